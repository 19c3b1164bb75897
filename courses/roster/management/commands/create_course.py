"""``manage.py create_course SLUG TITLE --instructor USERNAME``: a course, with the person who will run it."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug
from django.db import transaction

from courses.roster.models import Course, User
from courses.roster.services import create_course


class Command(BaseCommand):
    help = "Make a course. Its instructor is made too where there is nobody of that name; the password is printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", type=str.lower, help="short name, as it stands in addresses: ml-2026")
        parser.add_argument("title", help="as people read it: 'Machine Learning'")
        parser.add_argument("--term", default="", help="such as 'Fall 2026'")
        parser.add_argument("--instructor", required=True, metavar="USERNAME")

    @transaction.atomic
    def handle(self, *args: Any, slug: str, title: str, term: str, instructor: str, **options: Any) -> None:
        try:
            validate_slug(slug)
        except ValidationError as error:
            raise CommandError(f"{slug!r} is no short name. Use letters, digits and hyphens.") from error
        if Course.objects.filter(slug=slug).exists():
            raise CommandError(f"There is a course {slug} already.")
        user, made = User.objects.get_or_create(username=instructor)
        if made:
            password = secrets.token_urlsafe(12)
            user.set_password(password)
            user.save()
            self.stdout.write(f"{instructor} is new. Password, shown once: {password}")
        course = create_course(user, slug, title, term)
        self.stdout.write(f"Course {slug}, taught by {instructor}. Students join by the code {course.join_code}")
