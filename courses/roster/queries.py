"""Reads of people and courses. What somebody may not see does not exist for them."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from courses.errors import Forbidden, NotFound
from courses.roster import rules
from courses.roster.models import ApiToken, Membership, User

TOUCH_AFTER = dt.timedelta(minutes=1)


def membership(user: Any, course_slug: str) -> Membership:
    """The user's place in the course. Raises NotFound."""
    if not user.is_authenticated:
        raise NotFound
    found = Membership.objects.select_related("course", "user").filter(user=user, course__slug=course_slug).first()
    if found is None:
        raise NotFound
    return found


def membership_in(user: Any, course: int) -> Membership:
    """The user's place in the course of that id. Raises NotFound."""
    found = Membership.objects.filter(user_id=user.pk, course=course).first()
    if found is None:
        raise NotFound
    return found


def memberships(user: Any) -> list[Membership]:
    return list(Membership.objects.select_related("course").filter(user=user).order_by("course__slug"))


def require(place: Membership, action: str) -> None:
    """Raises Forbidden unless the role may do it."""
    if not rules.allowed(place.role, action):
        raise Forbidden(
            "forbidden", gettext("Your role in this course does not allow that."), gettext("Ask an instructor.")
        )


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def tokens(user: Any) -> list[ApiToken]:
    """Those that were not revoked, newest first; one whose time is over is among them."""
    return list(ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at", "-id"))


def user_for_token(token: str) -> User | None:
    """The owner of a live token; notes when it was last used, at most once a minute."""
    now = timezone.now()
    found = (
        ApiToken.objects.select_related("user")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=digest(token), revoked_at=None)
        .first()
    )
    if found is None or not found.user.is_active:
        return None
    if found.last_used_at is None or now - found.last_used_at > TOUCH_AFTER:
        ApiToken.objects.filter(id=found.id).update(last_used_at=now)
    return found.user
