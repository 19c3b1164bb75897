from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class Config(AppConfig):
    name = "courses.leaderboards"
    label = "leaderboards"

    def ready(self) -> None:
        from courses.submissions.signals import score_recorded
        from courses.teams.signals import team_renamed

        score_recorded.connect(on_score, dispatch_uid="leaderboards")
        team_renamed.connect(on_rename, dispatch_uid="leaderboards")


def on_score(*, event: Any, **_: Any) -> None:
    """In the score's own transaction: a score and its place are committed together."""
    from courses.leaderboards.services import refresh

    refresh(event.assignment, event.team_id)


def on_rename(*, team: Any, **_: Any) -> None:
    """Boards that show the name say so with a number of their own."""
    from courses.leaderboards.services import announce

    announce(team)
