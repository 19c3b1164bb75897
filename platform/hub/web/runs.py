"""A team's runs: the list, one of them as it happens, its log, and what its people may do to it."""

from __future__ import annotations

import shlex
import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from courses.errors import NotFound
from courses.roster import queries as roster
from courses.sentences import read
from courses.submissions import admission, queries, services
from courses.submissions.models import Run, SubmissionState
from courses.teams import queries as team_queries
from hub.tracking import queries as tracking
from hub.web import diffs, history, summaries, usage
from hub.web.pages import context, page, watched
from hub.web.shown import code_html, in_words

LOG_SHOWN_MAX = 20_000  # letters that the page itself brings
OTHERS_SHOWN = 30  # runs to compare with


@page
@require_safe
def runs(request: HttpRequest, slug: str) -> HttpResponse:
    place = roster.membership(request.user, slug)
    everyone = request.GET.get("all") == "1"
    found = [(run, queries.run_view(run)) for run in queries.runs(place, all_teams=everyone, limit=100)]
    return render(
        request,
        "web/runs.html",
        context(place, "runs", runs=found, everyone=everyone, **watched(place, [run for run, _view in found])),
    )


@page
@require_safe
def run(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    """What the run does now; ``?fragment=1`` is its moving parts alone."""
    found = queries.run(request.user, key)
    place = roster.membership(request.user, found.assignment.course.slug)
    shown = context(
        place, "runs", run=found, config=found.version.config, title=in_words(dict(found.version.config.title)),
        is_member=team_queries.is_member(request.user, found.team), **moving(found),
    )  # fmt: skip
    if "fragment" in request.GET:
        return render(request, "web/_run.html", shown)
    latest = tracking.latest([found.id.hex]).get(found.id.hex, {})
    others = [one for one in queries.runs(place, found.assignment.slug, limit=OTHERS_SHOWN) if one.pk != found.pk]
    log = history.log_text(found)
    shown |= {
        "metrics": summaries.newest(latest), "others": others[:8], "log_text": log[-LOG_SHOWN_MAX:],
        "log_lines": log.count("\n"), "log_bytes": queries.log(found, 0).total,
        "command": shlex.join(shlex.split(found.entry) + shlex.split(found.args)),
        **code(found, others, request.GET.get("file", "")),
    }  # fmt: skip
    return render(request, "web/run.html", shown)


def moving(found: Run) -> dict[str, Any]:
    """What changes while the run goes on."""
    primary = found.version.config.primary
    sent = sorted(found.submissions.all(), key=lambda one: one.created_at, reverse=True)
    rows = history.timed(queries.timeline(found), timezone.now() if found.is_active else found.ended_at)
    running = found.state == "running"
    return {
        "view": queries.run_view(found), "primary": primary, "timeline": rows, "track": history.track(rows),
        "took": history.whole(rows), "use": usage.shown(found),
        "checkpoints": summaries.checkpoints(list(found.checkpoints.all()), sent, primary.name),
        "left": admission.submissions_left(found.team, found.assignment),
        "to_submit": unscored(found), "has_sample": bool(found.version.dataset.sample_inputs_sha256),
        "live": live_numbers([found])[found.pk] if running else None,
        "node": next((row["label"] for row in rows if row["state"] == "running"), "") if running else "",
        "submissions": [
            (one, one.scores.get(primary.name), queries.trial_log(one), read(one.sentence)) for one in sent
        ],
    }  # fmt: skip


def unscored(found: Run) -> str:
    """The checkpoint that a submit without a name would send, where it was not sent before."""
    best = services.best_checkpoint(found)
    if best is None or best.submissions.filter(trial=False).exclude(state=SubmissionState.FAILED).exists():
        return ""
    return best.name


def live_numbers(going: list[Run]) -> dict[Any, dict[str, Any]]:
    """What each running run logged last, and how much of its time is gone."""
    latest = tracking.latest(run.id.hex for run in going)
    now = timezone.now()
    return {
        run.pk: {
            "metrics": summaries.live_metrics(latest.get(run.id.hex, {})),
            "step": summaries.step(latest.get(run.id.hex, {})),
            "share": summaries.elapsed_share(run.started_at, run.version.config.minutes, now),
            "ends": summaries.ends(run.started_at, run.version.config.minutes),
            "minutes_max": run.version.config.minutes,
        }
        for run in going
    }


def code(found: Run, others: list[Run], asked: str) -> dict[str, Any]:
    """The pushed files, the one that is read, and what changed since the parent, else since the team's run before."""
    files = queries.code_files(found)
    names = [path for path, _size in files]
    chosen = asked or next((one for one in names if one in found.entry), names[0])
    before = found.parent or next(
        (one for one in others if one.team_id == found.team_id and one.number < found.number), None
    )
    changes = diffs.counted(before.code_sha256, found.code_sha256) if before else None
    return {
        "files": [(path, (changes or {}).get(path)) for path in names], "chosen": chosen,
        "code": code_html(queries.code_file(found, chosen), chosen), "before": before if changes is not None else None,
        "added": sum(one[0] for one in (changes or {}).values()),
        "removed": sum(one[1] for one in (changes or {}).values()),
    }  # fmt: skip


@page
@require_safe
def log(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    """The whole stored log as a text file; what was left out between its head and its tail is said there."""
    found = queries.run(request.user, key)
    name = f"{found.session.replace('/', '-')}.log"
    return HttpResponse(
        history.log_text(found),
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


@page
@require_POST
def act(request: HttpRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    """Stop, fork or submit a run."""
    found = queries.run(request.user, key)
    if verb == "stop":
        services.stop_run(request.user, found)
        if request.POST.get("from") == "gpus":
            messages.success(request, _("%s is being stopped.") % found.session)
            return redirect("web:gpus", found.assignment.course.slug)
    elif verb == "fork":
        found = services.fork_run(request.user, found, args=request.POST.get("args"), memo=request.POST.get("memo", ""))
    elif verb in {"submit", "try"}:
        services.submit(request.user, found, request.POST.get("checkpoint") or None, trial=verb == "try")
        messages.success(request, _("On its way: the score shows here and on the board."))
    else:
        raise NotFound
    return redirect("web:run", found.pk)


@page
@require_safe
def diff(request: HttpRequest, key: uuid.UUID, other: uuid.UUID) -> HttpResponse:
    """What changed in the code between two runs."""
    left, right = queries.run(request.user, other), queries.run(request.user, key)
    place = roster.membership(request.user, right.assignment.course.slug)
    changes = diffs.shown(left.code_sha256, right.code_sha256)
    return render(request, "web/diff.html", context(place, "runs", left=left, right=right, changes=changes))
