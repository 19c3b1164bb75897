"""Pages: parse, call a service or a query, render. No rule lives here."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from courses.assignments import queries as assignments
from courses.assignments.models import Assignment
from courses.errors import Invalid
from courses.leaderboards.models import Standing
from courses.roster import queries as roster
from courses.roster import services as roster_services
from courses.roster.rules import allowed
from courses.submissions import queries, services
from courses.teams import queries as team_queries
from courses.teams import services as team_services
from hub.web import summaries
from hub.web.pages import context, page, whole_number
from hub.web.runs import live_numbers
from hub.web.shown import in_words, readme_html
from runner import queue as runner_queue
from runner.models import Device

HOME_RUNS = 12


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
@require_safe
def course(request: HttpRequest, slug: str) -> HttpResponse:
    """What runs, what waits and why, what is due. Staff see the whole class's."""
    place = roster.membership(request.user, slug)
    is_staff = allowed(place.role, "see_all_runs")
    recent = [(run, queries.run_view(run)) for run in queries.runs(place, all_teams=is_staff, limit=HOME_RUNS)]
    running = [pair for pair in recent if pair[0].state in {"running", "starting", "preflight"}]
    due = [(one, in_words(dict(one.current.config.title))) for one in assignments.assignments(place.course)]
    upcoming = [one for one, _title in due if one.due_at > timezone.now()]
    team = team_queries.team_of(request.user, place.course, "")
    standings = Standing.objects.filter(team=team, board__assignment__course=place.course) if team else None
    by_assignment = {
        one.board_id: one
        for one in (standings.select_related("board__assignment") if standings else ())
        if is_staff or one.board.assignment.current.config.visibility != "staff"
    }
    focus = summaries.to_work_on(upcoming, [run.assignment_id for run, _view in recent], list(by_assignment))
    return render(
        request,
        "web/course.html",
        context(
            place, "home", running=running, due=due, team=team, focus=focus, standings=by_assignment,
            waiting=[pair for pair in recent if pair[0].state == "queued"],
            lately=[pair for pair in recent if not pair[0].is_active],
            next_due=summaries.due_next(upcoming), live=live_numbers([run for run, _view in running]),
            left=services.submissions_left(team, focus) if team and focus else None,
        ),
    )  # fmt: skip


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
            summary=in_words(dict(version.config.summary)), version=version, readme=readme_html(version.readme),
        ),
    )  # fmt: skip


def push(request: HttpRequest, found: Assignment) -> Any:
    """A zip from the page's form. Raises CourseError."""
    upload = request.FILES.get("code")
    if upload is None:
        raise Invalid("no_file", _("No zip was chosen."), _("Choose the zip of your folder and push again."))
    if (upload.size or 0) > settings.CODE_BYTES_MAX:
        raise Invalid("too_large", _("The zip is too large."), _("Leave data and checkpoints out of it."))
    with tempfile.NamedTemporaryFile(suffix=".zip") as sink:
        for block in upload.chunks():
            sink.write(block)
        sink.flush()
        return services.start_run(
            request.user,
            found,
            Path(sink.name),
            args=request.POST.get("args", ""),
            memo=request.POST.get("memo", ""),
            submit=request.POST.get("submit") == "on",
            idempotency_key=request.POST.get("key", ""),
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


@page
@require_safe
def gpus(request: HttpRequest, slug: str) -> HttpResponse:
    """Which device does what, and who waits."""
    place = roster.membership(request.user, slug)
    roster.require(place, "manage_devices")
    devices = Device.objects.select_related("node").prefetch_related("leases__attempt__job").order_by("node", "index")
    nodes: dict[str, list[dict[str, Any]]] = {}
    for device in devices:
        held = {lease.slot: lease for lease in device.leases.all() if lease.released_at is None}
        tiles = [tile(device, held.get(slot), slot) for slot in range(device.slots)]
        nodes.setdefault(device.node.name, []).extend(tiles)
    everyone = [one for tiles in nodes.values() for one in tiles]
    return render(
        request,
        "web/gpus.html",
        context(
            place, "gpus", nodes=nodes, queue=queries.queue(place.course), slots=len(everyone),
            busy=sum(one["use"] == "busy" for one in everyone), gpus=runner_queue.largest_node_gpus(),
        ),
    )  # fmt: skip


def tile(device: Device, lease: Any, slot: int) -> dict[str, Any]:
    """One slot of a device: what it does now and for how long at most."""
    drained = device.drained or device.node.drained
    shown = {"device": device, "slot": slot, "use": "drained" if drained else "free"}
    if lease is None:
        return shown
    spec = lease.attempt.job.spec
    ends = lease.leased_at + dt.timedelta(seconds=spec["limits"]["wall_seconds_max"])
    share = summaries.elapsed_share(lease.leased_at, spec["limits"]["wall_seconds_max"] / 60, timezone.now())
    return {
        **shown, "use": "busy", "since": lease.leased_at, "ends": ends, "share": share, "kind": lease.attempt.job.kind,
        "session": spec["env"].get("SEODANG_SESSION", ""), "run": queries.run_of_job(lease.attempt.job_id),
    }  # fmt: skip
