from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class Config(AppConfig):
    name = "hub.tracking"
    label = "tracking"

    def ready(self) -> None:
        from courses.submissions.signals import score_recorded

        score_recorded.connect(on_score, dispatch_uid="tracking")


def on_score(*, event: Any, **_: Any) -> None:
    """In the score's own transaction: the mirror will carry it to MLflow's store."""
    from hub.tracking.scores import keep

    keep(event)
