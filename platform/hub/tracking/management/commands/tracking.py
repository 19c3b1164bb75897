"""The MLflow gateway of this machine's runs."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from hub.tracking.sockets import serve


class Command(BaseCommand):
    help = "Serve the tracking sockets of running attempts."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(serve())
