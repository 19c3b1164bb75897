"""A course's home: what runs, what waits and why, what is due; for the staff what the class has done and what broke."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from courses.assignments import queries as assignments
from courses.assignments.models import Assignment
from courses.leaderboards.models import Standing
from courses.roster import queries as roster
from courses.roster.models import Course, Membership, Role, User
from courses.roster.rules import allowed
from courses.sentences import read
from courses.submissions import admission, queries
from courses.submissions.models import Run, RunState, Submission, SubmissionState
from courses.teams import queries as team_queries
from courses.teams.models import Team, TeamMember
from hub.web import summaries
from hub.web.pages import context, page, watched
from hub.web.runs import live_numbers
from hub.web.shown import in_words

RUNS_SHOWN = 12
BROKE_SHOWN = 8
BROKE_DAYS = 7
NEVER_SHOWN = 12  # names


@page
@require_safe
def course(request: HttpRequest, slug: str) -> HttpResponse:
    place = roster.membership(request.user, slug)
    is_staff = allowed(place.role, "see_all_runs")
    listed = assignments.assignments(place.course)
    recent = [(run, queries.run_view(run)) for run in queries.runs(place, all_teams=is_staff, limit=RUNS_SHOWN)]
    waiting = [pair for pair in recent if waits(*pair)]
    running = [pair for pair in recent if pair[0].is_active and pair not in waiting]
    due = [(one, in_words(dict(one.current.config.title))) for one in listed]
    upcoming = [one for one in listed if one.due_at > timezone.now()]
    shown = context(
        place, "home", listed, running=running, waiting=waiting, due=due,
        lately=[pair for pair in recent if not pair[0].is_active], next_due=summaries.due_next(upcoming),
        live=live_numbers([run for run, _view in running]),
        pushed=[run.assignment_id for run, _view in recent], upcoming=upcoming,
        **watched(place, [run for run, _view in recent]),
    )  # fmt: skip
    shown |= of_class(place, listed, upcoming) if is_staff else of_student(place, shown)
    return render(request, "web/course.html", shown)


def waits(run: Run, view: dict[str, Any]) -> bool:
    return run.state == RunState.QUEUED or (run.state == RunState.PREFLIGHT and bool(view["reason"]))


def of_student(place: Membership, shown: dict[str, Any]) -> dict[str, Any]:
    """Where the team stands and what it has left."""
    team = team_queries.team_of(place.user, place.course, "")
    visible = {one.pk for one, _title in shown["due"] if one.current.config.visibility != "staff"}
    standings = Standing.objects.filter(team=team, board__in=visible) if team else Standing.objects.none()
    by_assignment = {one.board_id: one for one in standings.select_related("board__assignment")}
    sizes = Standing.objects.filter(board__in=visible).values("board").annotate(teams=Count("pk"))
    focus = summaries.to_work_on(shown["upcoming"], shown["pushed"], list(by_assignment))
    return {
        "team": team, "standings": by_assignment, "focus": focus,
        "sizes": {row["board"]: row["teams"] for row in sizes},
        "left": admission.submissions_left(team, focus) if team and focus else None,
        "has_left": what_is_left(team, focus) if team and focus else [],
    }  # fmt: skip


def what_is_left(team: Team, focus: Assignment) -> list[dict[str, Any]]:
    """The team's limits on one assignment, and how much of each is used."""
    config = focus.current.config
    going = Run.objects.filter(team=team, assignment=focus, state__in=[RunState.STARTING, RunState.RUNNING]).count()
    left, most = admission.submissions_left(team, focus)
    words = _("%(used)d of %(most)d")
    return [
        summaries.meter(
            _("Runs at once"), words % {"used": going, "most": config.running_at_once},
            100 * going / config.running_at_once,
        ),
        summaries.meter(
            _("Submissions today"), words % {"used": most - left, "most": most}, 100 * (most - left) / most
        ),
    ]  # fmt: skip


def of_class(place: Membership, listed: list[Assignment], upcoming: list[Assignment]) -> dict[str, Any]:
    """How far the class is with each assignment, and what broke by our fault or the scorer's."""
    students = class_of(place.course)
    progress = progress_of(place.course, listed, students)
    next_due = {one.pk for one in summaries.due_next(upcoming)}
    of_focus = max(
        (one for one in progress if one["assignment"].pk in next_due), key=lambda one: one["runs"], default=None
    )
    states = Run.objects.filter(assignment__course=place.course).values("state").annotate(runs=Count("pk"))
    counts = {row["state"]: row["runs"] for row in states}
    return {
        "progress": progress, "broke": broke(place.course), "students": len(students), "standings": {},
        "focus": of_focus["assignment"] if of_focus else None, "of_focus": of_focus,
        "going": counts.get(RunState.RUNNING, 0) + counts.get(RunState.STARTING, 0),
        "queued": counts.get(RunState.QUEUED, 0),
    }  # fmt: skip


def class_of(course: Course) -> dict[int, User]:
    members = Membership.objects.filter(course=course, role=Role.STUDENT).select_related("user")
    return {one.user_id: one.user for one in members.order_by("user__last_name", "user__username")}


def progress_of(course: Course, listed: list[Assignment], students: dict[int, User]) -> list[dict[str, Any]]:
    """Who pushed, by the teams that they are in now; how many teams have a score; when the last push came."""
    pushed: dict[int, set[int]] = {}
    pairs = TeamMember.objects.filter(team__course=course, user__in=list(students)).values_list(
        "team__runs__assignment", "user"
    )
    for assignment, user in pairs.distinct():
        pushed.setdefault(assignment, set()).add(user)
    runs = Run.objects.filter(assignment__course=course).values("assignment")
    known = {
        row["assignment"]: (row["runs"], row["last"]) for row in runs.annotate(runs=Count("pk"), last=Max("created_at"))
    }
    scored = Standing.objects.filter(board__assignment__course=course).values("board").annotate(teams=Count("pk"))
    teams = {row["board"]: row["teams"] for row in scored}
    found = []
    for one in listed:
        there = pushed.get(one.pk, set())
        never = [user for key, user in students.items() if key not in there]
        runs_of_all, last = known.get(one.pk, (0, None))
        found.append(
            {
                "assignment": one,
                "title": in_words(dict(one.current.config.title)),
                "pushed": len(students) - len(never),
                "share": 100 - 100 * len(never) / max(1, len(students)),
                "never": never[:NEVER_SHOWN],
                "more": max(0, len(never) - NEVER_SHOWN),
                "scored": teams.get(one.pk, 0),
                "runs": runs_of_all,
                "last": last,
            }
        )
    return found


def broke(course: Course) -> list[dict[str, Any]]:
    """What ended by our fault, or the scorer's, in the last days: newest first."""
    since = timezone.now() - dt.timedelta(days=BROKE_DAYS)
    runs = Run.objects.filter(
        assignment__course=course, state__in=[RunState.LOST, RunState.REFUSED], ended_at__gte=since
    ).select_related("team", "assignment")
    sent = Submission.objects.filter(
        run__assignment__course=course, state=SubmissionState.FAILED, trial=False, counts=False, ended_at__gte=since
    ).select_related("run__team", "run__assignment")
    found: list[dict[str, Any]] = [
        {
            "run": one,
            "state": one.state,
            "words": one.get_state_display(),
            "at": one.ended_at,
            "why": read(one.sentence),
        }
        for one in runs.order_by("-ended_at")[:BROKE_SHOWN]
    ] + [
        {"run": one.run, "state": "failed", "words": _("scoring failed"), "at": one.ended_at, "why": read(one.sentence)}
        for one in sent.order_by("-ended_at")[:BROKE_SHOWN]
    ]
    return sorted(found, key=lambda one: one["at"], reverse=True)[:BROKE_SHOWN]
