"""Reads of runs and submissions. Another team's run does not exist for a student."""

from __future__ import annotations

import datetime as dt
import tarfile
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from courses.errors import NotFound
from courses.roster.models import Course, Membership
from courses.roster.rules import allowed
from courses.sentences import read
from courses.submissions import code, handlers
from courses.submissions.models import ACTIVE_RUN_STATES, Run, RunState, Submission
from courses.teams.models import TeamMember
from runner import attempts, blobs
from runner.models import Attempt, Job
from runner.usage import peak_memory

code_files = code.files
RUNS_MAX = 500


def _visible(user: Any) -> QuerySet[Run]:
    staff = Membership.objects.filter(user=user, role__in=["instructor", "ta"]).values("course")
    teams = TeamMember.objects.filter(user=user).values("team")
    here = Membership.objects.filter(user=user).values("course")
    return (
        Run.objects.select_related("assignment__course", "team", "owner", "version__dataset")
        .prefetch_related("checkpoints", "submissions__checkpoint")
        .filter(Q(assignment__course__in=staff) | Q(team__in=teams, assignment__course__in=here))
    )


def run(user: Any, run_id: uuid.UUID | str) -> Run:
    """Raises NotFound."""
    found = _visible(user).filter(pk=run_id).first() if user.is_authenticated else None
    if found is None:
        raise NotFound("no_such_run", _("There is no such run for you."), _("List yours with seodang ps."))
    return found


def run_by_session(user: Any, course_slug: str, session: str) -> Run:
    """The run called TEAM/ASSIGNMENT/NUMBER. Raises NotFound."""
    parts = session.strip("/").split("/")
    if len(parts) == 3 and parts[2].isdecimal() and len(parts[2]) < 10:
        found = _visible(user).filter(
            assignment__course__slug=course_slug, team__name=parts[0], assignment__slug=parts[1], number=int(parts[2])
        )
        if one := found.first():
            return one
    raise NotFound("no_such_run", _("There is no run %s for you.") % session, _("List yours with seodang ps."))


def runs(place: Membership, assignment_slug: str | None = None, all_teams: bool = False, limit: int = 50) -> list[Run]:
    """The newest runs of the member's teams that they did not remove; of all teams for staff who ask."""
    found = _visible(place.user).filter(assignment__course=place.course)
    if not (all_teams and allowed(place.role, "see_all_runs")):
        found = found.filter(team__members__user=place.user, hidden_at=None)
    if assignment_slug:
        found = found.filter(assignment__slug=assignment_slug)
    return list(found.order_by("-created_at")[: min(limit, RUNS_MAX)])


def submission(user: Any, submission_id: uuid.UUID | str) -> Submission:
    """Raises NotFound."""
    found = Submission.objects.select_related("run", "checkpoint").filter(pk=submission_id).first()
    if found is None:
        raise NotFound
    run(user, found.run_id)
    return found


@dataclass(frozen=True)
class LogSlice:
    offset: int  # where the next call goes on
    total: int  # bytes written so far
    text: str
    done: bool
    gap: tuple[int, int] | None = None  # bytes that were dropped between head and tail


def log(run: Run, offset: int) -> LogSlice:
    """The log from ``offset``, a byte position in all that was written."""
    job = _job(run.job or run.preflight_job)
    return job_log(job, offset) if job else LogSlice(0, 0, "", not run.is_active)


def _job(key: uuid.UUID | None) -> Job | None:
    return Job.objects.filter(id=key).first() if key else None


def job_log(job: Job, offset: int) -> LogSlice:
    stored = job.detail.get("log")
    if stored:
        head, tail = (_blob(stored[part]) for part in ("head", "tail"))
        return _slice(head, tail, stored["tail_start"], stored["total"], offset, done=True)
    attempt = job.attempts.order_by("-number").first()
    if attempt is None:
        return LogSlice(0, 0, "", job.state == "ended")
    state = attempts.log_state(attempt)
    head, tail = attempts.log_part(attempt, "log.head"), attempts.log_part(attempt, "log.tail")
    start = state.get("tail_start")
    total = state.get("total")
    return _slice(
        head, tail, start if isinstance(start, int) else len(head), total if isinstance(total, int) else len(head),
        offset, done=job.state == "ended",
    )  # fmt: skip


def _blob(sha256: str) -> bytes:
    with blobs.open_blob(sha256) as source:
        return source.read()


def _slice(head: bytes, tail: bytes, tail_start: int, total: int, offset: int, *, done: bool) -> LogSlice:
    total = max(total, len(head))
    offset = max(0, min(offset, total))
    if offset < len(head):
        return _text(head[offset:], offset, total, done and not tail, None)
    gap = None
    if tail and offset < tail_start:
        gap, offset = (offset, tail_start), tail_start
    return _text(tail[offset - tail_start :] if tail else b"", offset, total, done, gap)


def _text(data: bytes, offset: int, total: int, done: bool, gap: tuple[int, int] | None) -> LogSlice:
    if not done:  # a letter may be cut in two; its rest comes with the next slice
        for back in range(1, min(4, len(data)) + 1):
            if data[-back] >= 0xC0:
                width = 2 if data[-back] < 0xE0 else 3 if data[-back] < 0xF0 else 4
                data = data[:-back] if back < width else data
                break
            if data[-back] < 0x80:
                break
    return LogSlice(offset + len(data), total, data.decode(errors="replace").replace("\0", "�"), done, gap)


def run_view(run: Run) -> dict[str, Any]:
    """The API's Run."""
    job = _job(run.job)
    waits = job is not None and run.state == RunState.QUEUED
    checks = _job(run.preflight_job) if run.state == RunState.PREFLIGHT else None
    return {
        "id": str(run.id),
        "session": run.session,
        "state": run.state,
        "sentence": read(run.sentence or (checks.reason if checks else "")),
        "position": job.position if job and waits else None,
        "expected_start": job.expected_start_at if job and waits else None,
        "reason": read(job.reason if job and waits else checks.reason if checks else ""),
        "owner": run.owner.get_username(),
        "team": run.team.name,
        "assignment": run.assignment.slug,
        "course": run.assignment.course.slug,
        "memo": run.memo,
        "entry": run.entry,
        "args": run.args,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "exit_code": run.exit_code,
        "checkpoints": [one.name for one in run.checkpoints.all()],
        "submissions": [submission_view(one, run) for one in run.submissions.all()],
        "url": f"/runs/{run.id}/",
        "try": max(1, job.tries) if job else 1,
        "tries_max": job.tries_max if job else 3,
        "parent": str(run.parent_id) if run.parent_id else None,
        "checkpoint": run.checkpoint_name,
        "resources": run.resources,
        "removed": run.hidden_at is not None,
        "code_files": run.code_files,
        "code_bytes": run.code_bytes,
    }


def submission_view(submission: Submission, run: Run | None = None) -> dict[str, Any]:
    """The API's Submission."""
    of = run or submission.run
    primary = of.version.config.primary.name
    return {
        "id": str(submission.id),
        "run": str(of.id),
        "session": of.session,
        "checkpoint": submission.checkpoint.name,
        "trial": submission.trial,
        "state": submission.state,
        "sentence": read(submission.sentence),
        "score": submission.scores.get(primary),
        "scores": submission.scores,
        "log": trial_log(submission),
        "created_at": submission.created_at,
        "url": f"/runs/{of.id}/",
    }


def trial_log(submission: Submission) -> str:
    """A trial's logs are shown whole: it saw nothing but the public sample."""
    if not submission.trial or submission.state not in {"scored", "failed"}:
        return ""
    jobs = Job.objects.filter(id__in=[key for key in (submission.predict_job, submission.score_job) if key])
    return "".join(handlers.log_tail(job) for job in sorted(jobs, key=lambda job: job.created_at))


def code_file(run: Run, path: str) -> bytes:
    """One pushed file. Raises NotFound."""
    with blobs.open_blob(run.code_sha256) as source, tarfile.open(fileobj=source, mode="r:") as tar:
        try:
            member = tar.extractfile(path)
        except KeyError:
            member = None
        if member is None:
            raise NotFound("no_such_file", _("%s is not in this run's code.") % path)
        return member.read()


def queue(course: Course) -> list[dict[str, Any]]:
    """Who waits, in the order in which they go."""
    waiting = Run.objects.select_related("team", "assignment").filter(assignment__course=course, state=RunState.QUEUED)
    jobs = {job.id: job for job in Job.objects.filter(id__in=[run.job for run in waiting if run.job])}
    rows = [
        {
            "run": str(run.id), "session": run.session, "team": run.team.name, "position": job.position,
            "expected_start": job.expected_start_at, "reason": read(job.reason), "held": job.held,
            "gpus": job.spec["gpus"], "minutes": job.spec["limits"]["wall_seconds_max"] / 60,
        }
        for run in waiting
        if run.job and (job := jobs.get(run.job))
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row["position"] or 10**9)


def run_of_job(job_id: uuid.UUID) -> uuid.UUID | None:
    """The run that a job of any kind belongs to."""
    run = Run.objects.filter(Q(job=job_id) | Q(preflight_job=job_id)).values_list("pk", flat=True).first()
    if run is None:
        of = Submission.objects.filter(Q(predict_job=job_id) | Q(score_job=job_id))
        run = of.values_list("run_id", flat=True).first()
    return run


def active(place: Membership) -> list[Run]:
    """The member's own runs that are on their way."""
    return list(
        _visible(place.user)
        .filter(assignment__course=place.course, team__members__user=place.user, state__in=ACTIVE_RUN_STATES)
        .order_by("-created_at")[:RUNS_MAX]
    )


def timeline(run: Run) -> list[dict[str, Any]]:
    """What happened, newest first."""
    size = ngettext("%(n)d file, %(size)s", "%(n)d files, %(size)s", run.code_files) % {
        "n": run.code_files, "size": filesizeformat(run.code_bytes),
    }  # fmt: skip
    rows: list[dict[str, Any]] = [_moment("succeeded", _("Received"), run.created_at, size)]
    preflight = _job(run.preflight_job)
    if preflight and preflight.ended_at:
        passed = preflight.outcome == "succeeded"
        rows.append(
            _moment(
                "succeeded" if passed else preflight.outcome,
                _("Preflight passed") if passed else _("Preflight failed"),
                preflight.ended_at,
                _("Entry, syntax, imports"),
            )  # fmt: skip
        )
    job = _job(run.job)
    if job:
        rows.append(_moment("queued", _("Queued"), job.created_at, read(job.reason)))
        for attempt in job.attempts.select_related("node").order_by("number"):
            rows += _attempt_rows(attempt, job)
    if run.ended_at and not any(row["at"] == run.ended_at for row in rows):
        rows.append(_moment(run.state, run.get_state_display(), run.ended_at, read(run.sentence)))
    return sorted(rows, key=lambda row: row["at"], reverse=True)


def _attempt_rows(attempt: Attempt, job: Job) -> list[dict[str, Any]]:
    note = _("Try %(n)d of %(most)d") % {"n": attempt.number, "most": job.tries_max} if job.tries > 1 else ""
    rows = [_moment("starting", _("Starting"), attempt.created_at, note)]
    if attempt.started_at:
        rows.append(_moment("running", _("Running on %s") % attempt.node.name, attempt.started_at, note))
    if attempt.ended_at and attempt.outcome == "lost":
        why = str(attempt.detail.get("error") or _("The node stopped answering."))
        rows.append(_moment("lost", _("Lost"), attempt.ended_at, _("%s Our fault, not yours.") % why))
    return rows


def _moment(state: str, label: str, at: dt.datetime, note: str) -> dict[str, Any]:
    return {"state": state, "label": label, "at": at, "note": note}


def usage(run: Run) -> dict[str, Any]:
    """What the run used, sampled (``runner.usage`` says how), the most memory of it, and its limits."""
    attempt = Attempt.objects.filter(job=run.job).select_related("job").order_by("-number").first() if run.job else None
    config = run.version.config
    limits = attempt.job.spec["limits"] if attempt else {}  # the push may have asked for less than the assignment gives
    return {
        "samples": attempt.usage if attempt else [],
        "memory_bytes_peak": peak_memory(attempt.usage) if attempt else 0,
        "cpus": limits.get("cpus", config.cpus),
        "memory_bytes": limits.get("memory_bytes", config.memory_bytes),
        "gpus": attempt.job.spec["gpus"] if attempt else config.gpus,
    }
