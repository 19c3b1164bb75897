"""Reads of assignments."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

from courses.assignments.models import Assignment, AssignmentVersion
from courses.datasets.models import DatasetVersion
from courses.errors import NotFound, Refused
from courses.roster.models import Course, Membership
from courses.roster.rules import allowed
from runner import blobs


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


def versions(assignment: Assignment) -> list[AssignmentVersion]:
    """All of them, newest first."""
    return list(assignment.versions.select_related("created_by").order_by("-number"))


def startable(place: Membership, slug: str) -> AssignmentVersion:
    """The version whose training split, baseline and public sample this person may have: from the opening on; the
    staff's always. Raises NotFound, Refused."""
    found = assignment(place.course, slug)
    if not _is_open_to(place, found):
        raise Refused("not_open_yet", gettext("The assignment opens %s.") % found.opens_at.isoformat())
    return found.current


def readable_data(place: Membership, slug: str) -> DatasetVersion:
    """The data whose training split this person may have. Raises as ``startable``."""
    return startable(place, slug).dataset


def datasets(place: Membership, word: str = "") -> list[dict[str, Any]]:
    """The data of each assignment that is open to the member; with ``word`` those that speak of it."""
    found = []
    for one in assignments(place.course):
        data = one.current.dataset
        told = f"{one.slug} {one.title} {data.license} {data.source}".lower()
        if _is_open_to(place, one) and word.lower() in told:
            found.append(
                {
                    "name": one.slug, "title": one.title, "version": data.number, "license": data.license,
                    "source": data.source, "train_bytes": blobs.path(data.train_sha256).stat().st_size,
                }
            )  # fmt: skip
    return found


def _is_open_to(place: Membership, one: Assignment) -> bool:
    return one.opens_at <= timezone.now() or allowed(place.role, "see_all_runs")
