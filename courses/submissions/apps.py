from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    name = "courses.submissions"
    label = "submissions"

    def ready(self) -> None:
        from courses.submissions.handlers import on_event, on_reasons
        from runner import queue

        queue.subscribe("submissions", on_event)
        queue.on_reasons("submissions", on_reasons)
