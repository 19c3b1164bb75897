from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class Config(AppConfig):
    name = "courses.leaderboards"
    label = "leaderboards"

    def ready(self) -> None:
        from courses.submissions.signals import score_recorded

        score_recorded.connect(on_score, dispatch_uid="leaderboards")


def on_score(*, event: Any, **_: Any) -> None:
    """In the score's own transaction: a score and its place are committed together."""
    from courses.leaderboards.services import refresh

    refresh(event.assignment, event.team_id)
