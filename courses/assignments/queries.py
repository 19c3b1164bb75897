"""Reads of assignments."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext

from courses.assignments.models import Assignment, AssignmentVersion
from courses.datasets.models import DatasetVersion
from courses.errors import NotFound, Refused
from courses.roster.models import Course, Membership
from courses.roster.rules import allowed


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


def versions(assignment: Assignment) -> list[AssignmentVersion]:
    """All of them, newest first."""
    return list(assignment.versions.select_related("created_by").order_by("-number"))


def readable_data(place: Membership, slug: str) -> DatasetVersion:
    """The data whose training split this person may have: from the opening on; the staff's always. Raises NotFound,
    Refused."""
    found = assignment(place.course, slug)
    if timezone.now() < found.opens_at and not allowed(place.role, "see_all_runs"):
        raise Refused("not_open_yet", gettext("The assignment opens %s.") % found.opens_at.isoformat())
    return found.current.dataset
