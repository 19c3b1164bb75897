"""What all pages share: who asks, what is refused, what the frame around a page needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from courses.assignments import queries as assignments
from courses.assignments.models import Assignment
from courses.errors import CourseError, Invalid
from courses.roster.models import Membership
from courses.roster.rules import allowed
from courses.submissions.models import Run

WATCHED_MAX = 8  # sockets a page
View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """Signed in, and the domain's errors as pages of their own with the next step."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            refuse_nul(request)
            return view(request, *args, **kwargs)
        except CourseError as error:
            shown = {"error": error, "back": came_from(request)}
            return render(request, "error.html", shown, status=error.status)

    return login_required(wrapped)


def came_from(request: HttpRequest) -> str:
    """The page of ours whose form was sent, or ""."""
    page = request.headers.get("Referer", "") if request.method == "POST" else ""
    return page if url_has_allowed_host_and_scheme(page, {request.get_host()}) else ""


def refuse_nul(request: HttpRequest) -> None:
    """No text of ours has a NUL, and Postgres takes none. Raises Invalid."""
    given = [value for _name, values in request.POST.lists() for value in values]
    if any("\0" in value for value in given):
        raise Invalid("nul", _("A field holds a NUL character."), _("Take it out and send it again."))


def watched(place: Membership, runs: Iterable[Run], every_seconds: int = 60) -> dict[str, Any]:
    """A page that is read anew when one of ``runs`` moves, for staff when any of the course's does, and now and then.

    A student's page follows its own runs alone: 300 pages that follow 300 pushes would ask 90,000 times.
    """
    if allowed(place.role, "see_all_runs"):
        paths = [f"course/{place.course_id}"]
    else:
        paths = [f"run/{run.pk}" for run in runs if run.is_active][:WATCHED_MAX]
    return {"watch": " ".join(paths), "watch_every": every_seconds}


def whole_number(text: str) -> int:
    """A form's number. Raises Invalid."""
    if not text.isdecimal() or len(text) > 15:
        raise Invalid("number", _("%r is not a whole number.") % text[:40], _("Go back and choose again."))
    return int(text)


def context(place: Membership, at: str, listed: list[Assignment] | None = None, **more: Any) -> dict[str, Any]:
    """What every page of a course needs; ``at`` is the place in its navigation, ``listed`` the course's assignments."""
    listed = assignments.assignments(place.course) if listed is None else listed
    return {
        "place": place,
        "course": place.course,
        "at": at,
        "is_staff": allowed(place.role, "see_all_runs"),
        "first_assignment": next(iter(listed), None),
        **more,
    }
