"""Reads of assignments."""

from __future__ import annotations

from django.utils.translation import gettext

from courses.assignments.models import Assignment
from courses.errors import NotFound
from courses.roster.models import Course


def assignments(course: Course) -> list[Assignment]:
    return list(Assignment.objects.filter(course=course).order_by("due_at", "slug"))


def assignment(course: Course, slug: str) -> Assignment:
    """Raises NotFound."""
    found = Assignment.objects.select_related("course").filter(course=course, slug=slug).first()
    if found is None:
        raise NotFound(
            "no_such_assignment",
            gettext("%(course)s has no assignment %(name)r.") % {"course": course.slug, "name": slug},
            gettext("List them on the course's page."),
        )
    return found
