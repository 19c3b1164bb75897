"""Reads of assignments."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from courses.assignments.models import Assignment
from courses.datasets.models import DatasetVersion
from courses.errors import NotFound
from courses.roster.models import Course, Membership
from courses.roster.rules import allowed
from runner import blobs


def assignments(course: Course) -> list[Assignment]:
    return list(Assignment.objects.filter(course=course).order_by("due_at", "slug"))


def assignment(course: Course, slug: str) -> Assignment:
    """Raises NotFound."""
    found = Assignment.objects.select_related("course").filter(course=course, slug=slug).first()
    if found is None:
        raise NotFound(
            "no_such_assignment", f"{course.slug} has no assignment {slug!r}.", "List them on the course's page."
        )
    return found


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


def training_data(place: Membership, slug: str) -> DatasetVersion:
    """Whose ``train_sha256`` the member may have. Test inputs and labels are given to nobody. Raises NotFound."""
    found = assignment(place.course, slug)
    if not _is_open_to(place, found):
        raise NotFound("not_open_yet", f"{slug} is not open yet.", "Look at the assignment's page for when it opens.")
    return found.current.dataset


def _is_open_to(place: Membership, one: Assignment) -> bool:
    return one.opens_at <= timezone.now() or allowed(place.role, "see_all_runs")
