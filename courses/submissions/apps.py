from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    name = "courses.submissions"
    label = "submissions"

    def ready(self) -> None:
        from courses.submissions.handlers import on_event
        from runner.queue import subscribe

        subscribe("submissions", on_event)
