"""Reads of teams."""

from __future__ import annotations

from typing import Any

from courses.errors import NotFound
from courses.roster.models import Course
from courses.teams.models import Team, TeamMember


def team_of(user: Any, course: Course, assignment_slug: str) -> Team | None:
    """The user's team for the assignment, else their team for the whole course."""
    places = TeamMember.objects.select_related("team").filter(user=user, course=course, scope__in=["", assignment_slug])
    found = sorted(places, key=lambda place: place.scope, reverse=True)
    return found[0].team if found else None


def is_member(user: Any, team: Team) -> bool:
    return TeamMember.objects.filter(team=team, user=user).exists()


def teams(course: Course) -> list[Team]:
    """All of a course, with their members."""
    return list(Team.objects.filter(course=course).prefetch_related("members__user").order_by("name"))


def team_named(course: Course, name: str) -> Team:
    """Raises NotFound."""
    found = Team.objects.select_related("course").filter(course=course, name=name).first()
    if found is None:
        raise NotFound
    return found
