"""Pages of those who run a course: its assignments, its people and teams, whether it is open; and its data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from courses.assignments import queries as assignments
from courses.assignments.services import push_bundle
from courses.errors import CourseError, Invalid
from courses.roster import queries as roster
from courses.roster import roster_file
from courses.roster import services as roster_services
from courses.roster.models import Membership
from courses.roster.rules import allowed
from courses.teams import queries as team_queries
from courses.teams import services as team_services
from hub.download import starter, training_data
from hub.web import invitations
from hub.web.pages import context, page
from hub.web.shown import in_words


@page
def bundles(request: HttpRequest, slug: str) -> HttpResponse:
    """The course's assignments with all their versions, and the upload of a new one."""
    place = roster.membership(request.user, slug)
    roster.require(place, "push_assignment")
    fault: CourseError | None = None
    if request.method == "POST":
        try:
            made = _upload(request, place)
        except Invalid as error:
            fault = error
        else:
            words = _("%(name)s is version %(number)d now.") % {"name": made.assignment.slug, "number": made.number}
            messages.success(request, words)
            return redirect("web:bundles", slug)
    shown = [
        (one, in_words(dict(one.current.config.title)), assignments.versions(one))
        for one in assignments.assignments(place.course)
    ]
    status = fault.status if fault else 200
    return render(request, "web/bundles.html", context(place, "bundles", shown=shown, fault=fault), status=status)


def _upload(request: HttpRequest, place: Membership) -> Any:
    upload = request.FILES.get("bundle")
    if upload is None:
        raise Invalid("no_file", _("No zip was chosen."), _("Choose the zip of the folder that has assignment.yaml."))
    if (upload.size or 0) > settings.BUNDLE_BYTES_MAX:
        raise Invalid("too_large", _("The zip is too large."), _("Leave out what no run and no scorer needs."))
    with tempfile.NamedTemporaryFile(suffix=".zip") as sink:
        for block in upload.chunks():
            sink.write(block)
        sink.flush()
        return push_bundle(request.user, place.course, Path(sink.name))


@page
def people(request: HttpRequest, slug: str) -> HttpResponse:
    """Who is in the course and in which team; a roster's dry run, then its import."""
    place = roster.membership(request.user, slug)
    roster.require(place, "see_people")
    report, text = None, request.POST.get("roster", "")
    if request.method == "POST":
        if username := request.POST.get("remove"):
            roster_services.remove_member(request.user, place.course, username)
            messages.success(request, _("%s is no longer in the course.") % username)
            return redirect("web:people", slug)
        if username := request.POST.get("out"):
            team = team_queries.team_named(place.course, request.POST.get("team", ""))
            team_services.remove(request.user, team, username)
            messages.success(request, _("%(name)s is no longer in %(team)s.") % {"name": username, "team": team.name})
            return redirect("web:people", slug)
        if request.POST.get("links"):
            return invitations.as_csv(roster_services.newcomers(request.user, place.course))
        text = _roster_text(request)
        dry = request.POST.get("do") != "import"
        report = roster_services.import_roster(request.user, place.course, text, dry)
        if not dry and not report.problems:
            messages.success(
                request,
                ngettext("%d person was added.", "%d people were added.", len(report.added)) % len(report.added),
            )
            return redirect("web:people", slug)
    members = place.course.memberships.select_related("user").order_by("role", "user__username")
    shown = context(
        place, "people", members=members, report=report, roster_text=text, teams=team_queries.teams(place.course),
        may_import=allowed(place.role, "import_roster"),
    )  # fmt: skip
    return render(request, "web/people.html", shown)


def _roster_text(request: HttpRequest) -> str:
    """The chosen file, else what is in the field. Raises Invalid."""
    upload = request.FILES.get("file")
    if upload is None:
        return str(request.POST.get("roster", ""))
    if (upload.size or 0) > roster_file.BYTES_MAX:
        raise Invalid("too_large", _("The file is larger than 1 MiB."), _("Leave out the columns that nobody needs."))
    try:
        return roster_file.decode(upload.read())
    except ValueError as error:
        raise Invalid("encoding", str(error), _("Nothing was changed.")) from None


@page
def course_settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Close or open the course; a new join code."""
    place = roster.membership(request.user, slug)
    roster.require(place, "manage_course")
    if request.method == "POST":
        if wish := request.POST.get("open"):
            roster_services.set_open(request.user, place.course, wish == "yes")
        elif request.POST.get("code") == "renew":
            roster_services.renew_join_code(request.user, place.course)
        return redirect("web:settings", slug)
    return render(request, "web/settings.html", context(place, "settings"))


@page
@require_safe
def data(request: HttpRequest, slug: str, name: str) -> Any:
    """The training split, with its licence."""
    place = roster.membership(request.user, slug)
    return training_data(assignments.readable_data(place, name))


@page
@require_safe
def start(request: HttpRequest, slug: str, name: str) -> Any:
    """The baseline and the public sample."""
    return starter(assignments.startable(roster.membership(request.user, slug), name))
