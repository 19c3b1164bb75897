from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    name = "hub.web"
    label = "web"

    def ready(self) -> None:
        from hub import checks  # noqa: F401  importing registers them
