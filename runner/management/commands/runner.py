"""The scheduler and worker of this machine."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from runner.engines.docker import DockerEngine
from runner.loop import Loop
from runner.worker import Worker


class Command(BaseCommand):
    help = "Run the scheduler and the worker."

    def handle(self, *args: Any, **options: Any) -> None:
        loop = Loop(Worker(DockerEngine(settings.DOCKER_HOST)))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stop())
        loop.run()
