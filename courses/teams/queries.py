"""Reads of teams."""

from __future__ import annotations

from typing import Any

from courses.roster.models import Course
from courses.teams.models import Team, TeamMember


def team_of(user: Any, course: Course, assignment_slug: str) -> Team | None:
    """The user's team for the assignment, else their team for the whole course."""
    places = TeamMember.objects.select_related("team").filter(user=user, course=course, scope__in=["", assignment_slug])
    found = sorted(places, key=lambda place: place.scope, reverse=True)
    return found[0].team if found else None


def is_member(user: Any, team: Team) -> bool:
    return TeamMember.objects.filter(team=team, user=user).exists()
