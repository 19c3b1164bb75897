"""Writes of teams."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext

from courses.audit.models import record
from courses.errors import Forbidden, Invalid, NotFound, Refused
from courses.roster.models import Course, Membership, User
from courses.roster.queries import membership, require
from courses.roster.services import recheck
from courses.teams import queries
from courses.teams.models import Invitation, Team, TeamMember
from courses.teams.signals import team_renamed

TEAM_SIZE_MAX = 20


@transaction.atomic
def team_for(user: Any, course: Course, assignment_slug: str) -> Team:
    """The user's team; alone they get a team of one, named after them."""
    if team := queries.team_of(user, course, assignment_slug):
        return team
    User.objects.select_for_update().get(pk=user.pk)  # two first pushes at once make one team
    if team := queries.team_of(user, course, assignment_slug):
        return team
    base = slugify(user.username, allow_unicode=True)[:30] or f"team-{user.pk}"
    taken = set(Team.objects.filter(course=course, name__startswith=base).values_list("name", flat=True))
    name = next(name for name in [base, *(f"{base}-{n}" for n in range(2, 10_000))] if name not in taken)
    return create(user, course, name, "")


@transaction.atomic
def create(user: Any, course: Course, name: str, scope: str) -> Team:
    team = Team.objects.create(course=course, name=name, scope=scope)
    TeamMember.objects.create(team=team, user=user, course=course, scope=scope)
    record(user, "team.create", name, course.slug)
    return team


@transaction.atomic
def rename(actor: Any, team: Team, name: str) -> None:
    """Raises Invalid, Refused, Forbidden."""
    _require_member(actor, team)
    clean = slugify(name, allow_unicode=True)[:40]
    if not clean:
        raise Invalid("team_name", gettext("%r is no team name.") % name, gettext("Use letters, digits and hyphens."))
    if Team.objects.filter(course=team.course, name=clean).exclude(pk=team.pk).exists():
        raise Refused("team_name_taken", gettext("A team %s exists already.") % clean, gettext("Choose another name."))
    record(actor, "team.rename", team.name, team.course.slug, to=clean)
    Team.objects.filter(pk=team.pk).update(name=clean)
    team_renamed.send(sender=Team, team=team)


@transaction.atomic
def invite(actor: Any, team: Team, username: str) -> Invitation:
    """Raises NotFound, Forbidden, Refused."""
    _require_member(actor, team)
    place = Membership.objects.filter(course=team.course, user__username=username.strip()).first()
    if place is None:
        nobody = gettext("Nobody in this course is called %s.") % username
        raise NotFound("no_such_person", nobody, gettext("Check the username."))
    if team.members.count() >= TEAM_SIZE_MAX:
        raise Refused("team_full", gettext("The team is full."), gettext("Remove somebody first."))
    record(actor, "team.invite", username, team.course.slug, team=team.name)
    found, _ = Invitation.objects.get_or_create(
        team=team, user=place.user, answered_at=None, defaults={"invited_by": actor}
    )
    return found


@transaction.atomic
def answer(user: Any, invitation_id: int, accept: bool) -> Team:
    """Accepting leaves a team of one behind; a team of several must be left first. Raises NotFound, Refused."""
    found = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("team__course")
        .filter(id=invitation_id, user=user, answered_at=None)
        .first()
    )
    if found is None:
        raise NotFound("invitation", gettext("This invitation was answered already."), gettext("Ask for a new one."))
    team = found.team
    if accept:
        old = TeamMember.objects.filter(course=team.course, scope=team.scope, user=user).first()
        if old is not None and old.team.members.count() > 1:
            others = gettext("You are in team %s with others.") % old.team.name
            raise Refused("in_a_team", others, gettext("Leave it first."))
        if old is not None:
            old.delete()
        try:
            with transaction.atomic():
                TeamMember.objects.create(team=team, user=user, course=team.course, scope=team.scope)
        except IntegrityError:
            raise Refused("in_a_team", gettext("You are in a team already."), gettext("Leave it first.")) from None
    found.accepted, found.answered_at = accept, timezone.now()
    found.save()
    record(user, "team.answer", team.name, team.course.slug, accepted=accept)
    return team


@transaction.atomic
def leave(user: Any, team: Team) -> None:
    """The runs stay with the team; the next push makes a team of one. Raises Forbidden, Refused."""
    _require_member(user, team)
    _take_out(user, team)
    record(user, "team.leave", team.name, team.course.slug)


@transaction.atomic
def remove(actor: Any, team: Team, username: str) -> None:
    """The staff take somebody out of a team, as when it broke up. Raises Forbidden, NotFound, Refused."""
    require(membership(actor, team.course.slug), "manage_teams")
    place = team.members.select_related("user").filter(user__username=username).first()
    if place is None:
        raise NotFound(
            "no_such_member",
            gettext("%(name)s is not in team %(team)s.") % {"name": username, "team": team.name},
            gettext("Check the username."),
        )
    _take_out(place.user, team)
    record(actor, "team.remove", username, team.course.slug, team=team.name)


def _take_out(user: Any, team: Team) -> None:
    Team.objects.select_for_update().get(pk=team.pk)  # the last two do not leave at once
    if team.members.count() < 2:
        raise Refused(
            "last_member",
            gettext("Team %(team)s has nobody else.") % {"team": team.name},
            gettext("It stays as it is; accept an invitation to join another."),
        )
    TeamMember.objects.filter(team=team, user=user).delete()
    recheck(user)


def _require_member(actor: Any, team: Team) -> None:
    if not queries.is_member(actor, team):
        raise Forbidden("not_your_team", gettext("You are not in this team."), gettext("Ask a member to invite you."))
