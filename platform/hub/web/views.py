"""Pages: parse, call a service or a query, render. No rule lives here."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from courses.assignments import queries as assignments
from courses.assignments.models import Assignment
from courses.errors import Invalid
from courses.roster import queries as roster
from courses.roster import services as roster_services
from courses.submissions import services
from courses.teams import services as team_services
from hub.web.pages import context, page, whole_number
from hub.web.shown import in_words, readme_html


@page
def home(request: HttpRequest) -> HttpResponse:
    """One course: straight there. Several, or none: choose, or join by code."""
    places = roster.memberships(request.user)
    if request.method == "POST":
        joined = roster_services.join(request.user, request.POST.get("code", ""))  # type: ignore[arg-type]
        return redirect("web:course", joined.course.slug)
    if len(places) == 1:
        return redirect("web:course", places[0].course.slug)
    return render(request, "web/home.html", {"places": places})


@page
def assignment(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """The task, and a place to drop a zip."""
    place = roster.membership(request.user, slug)
    found = assignments.assignment(place.course, name)
    if request.method == "POST":
        run = push(request, found)
        return redirect("web:run", run.pk)
    version = found.current
    return render(
        request,
        "web/assignment.html",
        context(
            place, "assignment", assignment=found, config=version.config, title=in_words(dict(version.config.title)),
            summary=in_words(dict(version.config.summary)), version=version, readme=readme_html(version.readme), key=uuid.uuid4().hex,
        ),
    )  # fmt: skip


def push(request: HttpRequest, found: Assignment) -> Any:
    """A zip or a notebook from the page's form. Raises CourseError."""
    upload = request.FILES.get("code")
    if upload is None:
        raise Invalid(
            "no_file", _("No file was chosen."), _("Choose the zip of your folder, or a notebook, and push again.")
        )
    if (upload.size or 0) > settings.CODE_BYTES_MAX:
        raise Invalid("too_large", _("The file is too large."), _("Leave data and checkpoints out of it."))
    args, memo, submit = (request.POST.get(name, "") for name in ("args", "memo", "submit"))
    # The form's key makes a double click one run. A form that the browser's way back shows again has the same key, and
    # may send other code.
    sent = hashlib.sha256("\0".join([request.POST.get("key", uuid.uuid4().hex), args, memo, submit]).encode())
    with tempfile.NamedTemporaryFile(suffix=".zip") as sink:
        for block in upload.chunks():
            sink.write(block)
            sent.update(block)
        sink.flush()
        return services.start_run(
            request.user,
            found,
            Path(sink.name),
            args=args,
            memo=memo,
            submit=submit == "on",
            idempotency_key=sent.hexdigest(),
        )


@page
def team(request: HttpRequest, slug: str) -> HttpResponse:
    """Who is in the team; invite, answer, rename."""
    place = roster.membership(request.user, slug)
    roster.require(place, "push_run")
    own = team_services.team_for(request.user, place.course, "")
    if request.method == "POST":
        if username := request.POST.get("invite"):
            team_services.invite(request.user, own, username)
        elif name := request.POST.get("name"):
            team_services.rename(request.user, own, name)
        elif request.POST.get("leave"):
            team_services.leave(request.user, own)
            messages.success(request, _("You left %s.") % own.name)
        elif key := request.POST.get("invitation"):
            team_services.answer(request.user, whole_number(key), request.POST.get("answer") == "yes")
        return redirect("web:team", slug)
    invitations = request.user.team_invitations.filter(  # type: ignore[union-attr]
        team__course=place.course, answered_at=None
    ).select_related("team", "invited_by")
    return render(
        request,
        "web/team.html",
        context(place, "team", team=own, members=own.members.select_related("user"), invitations=invitations),
    )


@page
def tokens(request: HttpRequest) -> HttpResponse:
    """API tokens: a new one is shown once."""
    fresh = ""
    if request.method == "POST":
        if key := request.POST.get("revoke"):
            roster_services.revoke_token(request.user, whole_number(key))
            return redirect("web:tokens")
        days = request.POST.get("days")
        fresh = roster_services.create_token(
            request.user, request.POST.get("name", "") or "token", whole_number(days) if days else None
        )
    listed = roster.tokens(request.user)
    return render(
        request,
        "web/tokens.html",
        {"tokens": listed, "fresh": fresh, "address": settings.ADDRESS, "now": timezone.now()},
    )
