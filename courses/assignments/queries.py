"""Reads of assignments."""

from __future__ import annotations

from django.utils.translation import gettext

from courses.assignments.models import Assignment, AssignmentVersion
from courses.errors import NotFound
from courses.roster.models import Course


def assignments(course: Course) -> list[Assignment]:
    """The course's, nearest deadline first, each with its current version: two queries."""
    found = list(Assignment.objects.filter(course=course).order_by("due_at", "slug"))
    newest = AssignmentVersion.objects.filter(assignment__in=found).order_by("assignment_id", "-number")
    versions = {version.assignment_id: version for version in newest.distinct("assignment_id")}
    for one in found:
        one.kept = versions[one.pk]
    return found


def assignment(course: Course, slug: str) -> Assignment:
    """One of them, with its current version. Raises NotFound."""
    return named(assignments(course), course, slug)


def named(listed: list[Assignment], course: Course, slug: str) -> Assignment:
    """The one of that name. Raises NotFound."""
    for one in listed:
        if one.slug == slug:
            one.course = course
            return one
    raise NotFound(
        "no_such_assignment",
        gettext("%(course)s has no assignment %(name)r.") % {"course": course.slug, "name": slug},
        gettext("List them on the course's page."),
    )
