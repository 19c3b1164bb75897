"""Write docs/reference from the code."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hub.reference import pages


class Command(BaseCommand):
    help = "Write the reference pages that are made from the code."

    def handle(self, *args: Any, **options: Any) -> None:
        folder = settings.ROOT / "docs" / "reference"
        for name, content in pages(settings.ROOT).items():
            (folder / name).write_text(content)
            self.stdout.write(f"docs/reference/{name}")
