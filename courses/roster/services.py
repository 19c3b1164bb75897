"""Writes of people and courses."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from courses.audit.models import record
from courses.errors import Invalid, NotFound, Refused
from courses.roster import queries
from courses.roster.models import ApiToken, Course, Membership, Role, User, new_join_code
from courses.roster.roster_file import RosterReport, read_roster
from runner import notify

TOKEN_DAYS_MAX = 3_650


@transaction.atomic
def create_course(actor: Any, slug: str, title: str, term: str = "") -> Course:
    """A course with its first instructor."""
    course = Course.objects.create(slug=slug, title=title, term=term)
    Membership.objects.create(course=course, user=actor, role=Role.INSTRUCTOR)
    record(actor, "course.create", course, slug)
    return course


@transaction.atomic
def add_member(actor: Any, course: Course, user: User, role: str) -> Membership:
    place, _ = Membership.objects.update_or_create(course=course, user=user, defaults={"role": role})
    record(actor, "member.set", user.username, course.slug, role=role)
    recheck(user)
    return place


@transaction.atomic
def set_open(actor: Any, course: Course, is_open: bool) -> None:
    """Close a course: students see all they have, and start nothing; or open it again. Raises Forbidden."""
    queries.require(queries.membership(actor, course.slug), "manage_course")
    if Course.objects.filter(pk=course.pk).exclude(is_open=is_open).update(is_open=is_open):
        record(actor, "course.open" if is_open else "course.close", course, course.slug)


@transaction.atomic
def renew_join_code(actor: Any, course: Course) -> str:
    """A new code; the old one opens nothing more. Raises Forbidden."""
    queries.require(queries.membership(actor, course.slug), "manage_course")
    code = new_join_code()
    Course.objects.filter(pk=course.pk).update(join_code=code)
    record(actor, "course.join_code", course, course.slug)
    return code


@transaction.atomic
def join(user: User, code: str) -> Membership:
    """Join as a student by the course's code. Raises NotFound."""
    course = Course.objects.filter(join_code=code.strip(), is_open=True).first()
    if course is None:
        raise NotFound(
            "join_code", gettext("No open course has this code."), gettext("Check the code with your instructor.")
        )
    place, made = Membership.objects.get_or_create(course=course, user=user, defaults={"role": Role.STUDENT})
    if made:
        record(user, "member.join", user.username, course.slug)
    return place


@transaction.atomic
def remove_member(actor: Any, course: Course, username: str) -> None:
    """Take somebody out of the course: what they see of it closes at once. Their runs stay with their team, and they
    are in it again when they are added again. Raises Forbidden, NotFound, Refused."""
    queries.require(queries.membership(actor, course.slug), "manage_people")
    Course.objects.select_for_update().get(pk=course.pk)  # two instructors who remove each other leave one
    place = Membership.objects.select_related("user").filter(course=course, user__username=username).first()
    if place is None:
        raise NotFound(
            "no_such_person",
            gettext("Nobody in this course is called %(name)s.") % {"name": username},
            gettext("Check the username."),
        )
    others = Membership.objects.filter(course=course, role=Role.INSTRUCTOR).exclude(pk=place.pk)
    if place.role == Role.INSTRUCTOR and not others.exists():
        raise Refused(
            "last_instructor", gettext("This is the course's only instructor."), gettext("Make another one first.")
        )
    place.delete()
    record(actor, "member.remove", username, course.slug, role=place.role)
    recheck(place.user)


def recheck(user: User) -> None:
    """Have each open socket of ``user`` ask again whether it may stay open."""
    notify.send(f"user.{user.pk}", {"type": "recheck"})


def create_token(user: Any, name: str, days: int | None = None) -> str:
    """A new token, shown once; its hash is kept. It ends after ``days``, if that is said. Raises Invalid."""
    if days is not None and not 1 <= days <= TOKEN_DAYS_MAX:
        raise Invalid(
            "days",
            gettext("A token lives from 1 to %(most)d days.") % {"most": TOKEN_DAYS_MAX},
            gettext("Leave it out for no end."),
        )
    ends = None if days is None else timezone.now() + dt.timedelta(days=days)
    token = f"sdg_{secrets.token_urlsafe(30)}"
    ApiToken.objects.create(user=user, name=name[:100] or "token", digest=queries.digest(token), expires_at=ends)
    record(user, "token.create", name[:100], days=days)
    return token


@transaction.atomic
def revoke_token(user: Any, token_id: int) -> None:
    """What is open by it closes. Raises NotFound when there is no such live token of theirs."""
    if not ApiToken.objects.filter(user=user, id=token_id, revoked_at=None).update(revoked_at=timezone.now()):
        raise NotFound("no_such_token", gettext("You have no such token."), gettext("It may be revoked already."))
    record(user, "token.revoke", token_id)
    recheck(user)


@transaction.atomic
def newcomers(actor: Any, course: Course) -> list[User]:
    """Members who cannot sign in yet: they came by a roster, and never chose a password nor used the school's account.

    Whoever has a link for one of them takes that account over, so each asking is recorded. Raises Forbidden.
    """
    queries.require(queries.membership(actor, course.slug), "import_roster")
    members = User.objects.filter(memberships__course=course, is_active=True, last_login=None).order_by("username")
    found = [user for user in members if not user.has_usable_password()]
    record(actor, "roster.links", course, course.slug, people=len(found))
    return found


@transaction.atomic
def import_roster(actor: Any, course: Course, csv_text: str, dry_run: bool) -> RosterReport:
    """Add people from CSV (``username,name,email,role``; role is student unless said). Each bad line is named;
    if any is bad, or it is a dry run, nothing changes."""
    queries.require(Membership.objects.get(course=course, user=actor), "import_roster")
    report, people = read_roster(csv_text)
    existing = set(Membership.objects.filter(course=course).values_list("user__username", flat=True))
    for person in people:
        (report.kept if person["username"] in existing else report.added).append(person["username"])
    if dry_run or report.problems:
        return report
    for person in people:
        first, _, last = person["name"].rpartition(" ")
        user, made = User.objects.get_or_create(
            username=person["username"], defaults={"email": person["email"], "first_name": first or last,
                                                   "last_name": last if first else ""},
        )  # fmt: skip
        if made:
            user.set_unusable_password()
            user.save()
        Membership.objects.get_or_create(course=course, user=user, defaults={"role": person["role"]})
    record(actor, "roster.import", course, course.slug, added=len(report.added))
    return report
