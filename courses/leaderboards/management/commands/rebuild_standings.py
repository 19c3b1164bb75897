"""Rebuild the standings from the score events, or prove that they equal the rebuild."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from courses.assignments.models import Assignment
from courses.leaderboards.services import differences, refresh


class Command(BaseCommand):
    help = "Rebuild all standings from score events; --check changes nothing and fails if they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        assignments = list(Assignment.objects.all())
        if options["check"]:
            found = [line for assignment in assignments for line in differences(assignment)]
            if found:
                raise CommandError("\n".join(found))
            self.stdout.write(f"{len(assignments)} boards equal their rebuild.")
            return
        for assignment in assignments:
            refresh(assignment)
        self.stdout.write(f"{len(assignments)} boards rebuilt.")
