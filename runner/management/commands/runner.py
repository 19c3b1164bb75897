"""The scheduler and worker of this machine."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from runner.engines.docker import DockerEngine
from runner.loop import Loop
from runner.worker import Worker


class Command(BaseCommand):
    help = "Run the scheduler and the worker."

    def handle(self, *args: Any, **options: Any) -> None:
        Loop(Worker(DockerEngine(settings.DOCKER_HOST))).run()
