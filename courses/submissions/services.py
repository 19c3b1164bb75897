"""Push, stop, fork, submit: each is one transaction of rows, audit, job and event."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from courses.assignments.bundle import AssignmentConfig
from courses.assignments.models import Assignment
from courses.audit.models import record
from courses.errors import Forbidden, NotFound, Refused
from courses.roster.queries import membership, require
from courses.roster.rules import allowed
from courses.sentences import join, tell
from courses.submissions import admission, code, jobs, notebooks, pushes, resources
from courses.submissions.models import Checkpoint, Run, RunState, Submission, SubmissionState
from courses.teams import queries as team_queries
from courses.teams.models import Team
from courses.teams.services import team_for
from runner import archives, blobs, notify, queue

PREDICTIONS_AT_ONCE = 1  # of a team and assignment: they go before runs, and one may take ten minutes


def start_run(
    actor: Any, assignment: Assignment, archive: Path, *, entry: str = "", args: str = "", memo: str = "",
    submit: bool = False, idempotency_key: str = "", wishes: Mapping[str, Any] | None = None,
) -> Run:  # fmt: skip
    """Take a push: it is kept and on its way when this returns. Raises Invalid, Refused, Forbidden, NotFound.

    The same ``idempotency_key`` from the same person gives the same run again. ``wishes`` are gpus, cpus, memory and
    shm_size, where the push asks for less than the assignment gives.
    """
    place = membership(actor, assignment.course.slug)
    require(place, "push_run")
    if idempotency_key and (known := Run.objects.filter(owner=actor, idempotency_key=idempotency_key).first()):
        return known
    admission.require_open(assignment, place)
    version = assignment.current
    entry = entry.strip() or (notebooks.ALONE if notebooks.is_notebook(archive) else version.config.entry)
    pushes.check_command(entry, args)
    admission.require_room(actor, assignment, submit)
    chosen = _resources(version.config, wishes or {})
    gpus, most = int(chosen.get("gpus", version.config.gpus)), queue.largest_node_gpus()
    if gpus > most:
        raise Refused(
            "no_such_gpus",
            _("This assignment asks for %(asked)d GPU(s); the largest node has %(most)d.")
            % {"asked": gpus, "most": most},
            _("Tell your instructor: a node with GPUs must join first."),
        )
    if not queue.has_runtime(jobs.runtime(version)):
        raise Refused(
            "no_such_isolation",
            _("This assignment asks for gVisor; no node has it."),
            _("Tell your instructor: the operator must install it on a node."),
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "code"
        folder.mkdir()
        entry = pushes.unpack(archive, folder, entry)
        pushes.check_entry(entry, folder)
        if submit:
            pushes.require_a_way_to_predict(entry, code.in_folder(folder))
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        sha = blobs.put(archives.pack(folder))
    fields = {
        "entry": entry, "args": args, "memo": memo[:500], "wants_submit": submit, "code_sha256": sha,
        "code_files": len(sizes), "code_bytes": sum(sizes),
        "idempotency_key": idempotency_key[:100], "resources": chosen,
    }  # fmt: skip
    try:
        return _create(actor, assignment, fields, parent=None)
    except IntegrityError:  # the same push came twice at once
        return Run.objects.get(owner=actor, idempotency_key=idempotency_key)


@transaction.atomic
def _create(actor: Any, assignment: Assignment, fields: dict[str, Any], parent: Run | None) -> Run:
    team = team_for(actor, assignment.course, assignment.slug)
    Team.objects.select_for_update().get(pk=team.pk)  # run numbers follow each other
    admission.require_a_place_in_the_queue(team, assignment)
    last = Run.objects.filter(team=team, assignment=assignment).order_by("-number").values_list("number", flat=True)
    run = Run.objects.create(
        assignment=assignment, version=assignment.current, team=team, owner=actor, parent=parent,
        number=(last.first() or 0) + 1, **fields,
    )  # fmt: skip
    job = queue.enqueue(jobs.preflight(run), owner_key=_owner_key(run), share_path=_share_path(run), express=True)
    Run.objects.filter(pk=run.pk).update(preflight_job=job.id)
    run.preflight_job = job.id
    record(actor, "run.push", run.session, assignment.course.slug, code=fields["code_sha256"])
    notify.send(f"course.{assignment.course_id}", {"type": "queue.changed"})
    return run


def _owner_key(run: Run) -> str:
    return f"{run.team_id}:{run.assignment_id}"


def _share_path(run: Run) -> str:
    return f"{run.assignment.course.slug}/{run.team_id}"


def _resources(config: AssignmentConfig, wishes: Mapping[str, Any]) -> resources.Asked:
    try:
        return resources.asked(config, wishes)
    except resources.Beyond as error:
        raise Refused("beyond_limits", str(error), _("Leave the option out to get what is given.")) from None


def start_job(run: Run) -> None:
    """The preflight passed: queue the run itself. Called in the event's transaction."""
    config = run.version.config
    try:
        job = queue.enqueue(
            jobs.train(run),
            owner_key=_owner_key(run),
            share_path=_share_path(run),
            owner_running_max=config.running_at_once,
        )
    except queue.TooManyGpus as error:
        run.state, run.ended_at = RunState.REFUSED, timezone.now()
        run.sentence = join(error.written, tell("Nothing was used."))
        run.save()
        return
    run.job, run.state, run.sentence = job.id, RunState.QUEUED, ""
    run.save()


@transaction.atomic
def stop_run(actor: Any, run: Run) -> None:
    """Stop a run; one that ended already stays as it is. Raises Forbidden."""
    place = membership(actor, run.assignment.course.slug)
    if not (team_queries.is_member(actor, run.team) or allowed(place.role, "stop_any_run")):
        raise Forbidden("not_your_run", _("This run is another team's."), "")
    fresh = Run.objects.select_for_update().get(pk=run.pk)
    if not fresh.is_active:
        return
    stopped = [queue.request_stop(job) for job in (fresh.preflight_job, fresh.job) if job]
    if any(stopped):
        record(actor, "run.stop", run.session, place.course.slug)


def fork_run(actor: Any, run: Run, *, args: str | None = None, memo: str = "", checkpoint: str | None = None) -> Run:
    """A new run with the same code; the parent is recorded. Raises as start_run.

    With ``checkpoint``, one of the parent's, the new run finds it at /checkpoint.
    """
    place = membership(actor, run.assignment.course.slug)
    _require_member(actor, run)
    admission.require_open(run.assignment, place)
    found = _checkpoint(run, checkpoint) if checkpoint else None
    chosen = run.args if args is None else args
    pushes.check_command(run.entry, chosen)
    fields = {
        "entry": run.entry, "args": chosen, "memo": memo[:500], "code_sha256": run.code_sha256,
        "code_files": run.code_files, "code_bytes": run.code_bytes, "resources": resources.at_most(run.assignment.current.config, run.resources),
        "checkpoint_name": found.name if found else "", "checkpoint_sha256": found.sha256 if found else "",
    }  # fmt: skip
    return _create(actor, run.assignment, fields, parent=run)


def resume_run(actor: Any, run: Run) -> Run:
    """Go on from the newest checkpoint of a run that ended, as a new run. Raises Refused, and as fork_run."""
    _require_member(actor, run)
    if run.is_active:
        raise Refused("still_running", _("%s still runs.") % run.session, _("Follow it: seodang logs -f SESSION"))
    newest = run.checkpoints.order_by("-id").first()
    if newest is None:
        raise Refused(
            "no_checkpoint", _("%s saved no checkpoint to go on from.") % run.session,
            _("Start it anew: seodang fork %s") % run.session,
        )  # fmt: skip
    return fork_run(actor, run, memo=run.memo, checkpoint=newest.name)


@transaction.atomic
def hide_run(actor: Any, run: Run, *, force: bool = False) -> None:
    """Take an ended run off its team's lists; its scores and its record stay. ``force`` stops it first.

    Raises Forbidden, and Refused while it runs.
    """
    _require_member(actor, run)
    if run.is_active and not force:
        raise Refused(
            "still_running", _("%s still runs.") % run.session, _("Stop it first, or stop and remove it with rm -f.")
        )
    stop_run(actor, run)
    if Run.objects.filter(pk=run.pk, hidden_at=None).update(hidden_at=timezone.now()):
        record(actor, "run.hide", run.session, run.assignment.course.slug)
        notify.send(f"course.{run.assignment.course_id}", {"type": "queue.changed"})


def _require_member(actor: Any, run: Run) -> None:
    if not team_queries.is_member(actor, run.team):
        raise Forbidden("not_your_run", _("This run is another team's."), _("Fork or submit a run of your own team."))


@transaction.atomic
def submit(actor: Any, run: Run, checkpoint: str | None, *, trial: bool = False) -> Submission:
    """Have a checkpoint scored, or tried on the public sample. Raises NotFound, Forbidden, Refused."""
    _require_member(actor, run)
    admission.require_course_open(membership(actor, run.assignment.course.slug))
    found = _checkpoint(run, checkpoint)
    pushes.require_a_way_to_predict(run.entry, code.of_run(run))
    Team.objects.select_for_update().get(pk=run.team_id)  # two submits at once count as two
    if trial and not run.version.dataset.sample_inputs_sha256:
        raise Refused("no_sample", _("This assignment has no public sample."), _("Submit without -t."))
    if trial:
        admission.require_a_trial_left(run.team, run.assignment)
    else:
        if run.created_at > run.assignment.due_at and not allowed(
            membership(actor, run.assignment.course.slug).role, "see_all_runs"
        ):
            raise Refused("past_due", _("This run was pushed after the deadline."), _("Ask for an extension."))
        admission.require_a_submission_left(run.team, run.assignment)
    submission = Submission.objects.create(run=run, checkpoint=found, owner=actor, trial=trial, counts=not trial)
    job = queue.enqueue(
        jobs.predict(submission), owner_key=f"{_owner_key(run)}:predict", owner_running_max=PREDICTIONS_AT_ONCE,
        share_path=_share_path(run), express=True,
    )  # fmt: skip
    submission.predict_job = job.id
    submission.save(update_fields=["predict_job"])
    record(actor, "submission.try" if trial else "submission.create", run.session, run.assignment.course.slug,
           checkpoint=found.name)  # fmt: skip
    notify.send(f"run.{run.id}", {"type": "run.changed"})
    return submission


def _checkpoint(run: Run, name: str | None) -> Checkpoint:
    named = run.checkpoints.filter(name=name).first() if name else best_checkpoint(run)
    if named is None and name and run.checkpoints.exists():
        raise NotFound(
            "no_checkpoint",
            _("%(session)s has no checkpoint %(name)s.") % {"session": run.session, "name": name},
            _("List them: seodang model ls %s") % run.session,
        )
    if named is None and run.is_active:
        raise NotFound(
            "no_checkpoint",
            _("%s has no checkpoint yet: they come when it ends.") % run.session,
            _("Follow it: seodang logs -f %s") % run.session,
        )
    if named is None:
        raise NotFound(
            "no_checkpoint",
            _("%s saved no checkpoint.") % run.session,
            _("Save one under /out/checkpoints, or with nsml.save, and push again."),
        )
    return named


def best_checkpoint(run: Run) -> Checkpoint | None:
    """The one called best, else the newest."""
    return run.checkpoints.filter(name="best").first() or run.checkpoints.order_by("-id").first()


def set_memo(actor: Any, run: Run, memo: str) -> None:
    _require_member(actor, run)
    Run.objects.filter(pk=run.pk).update(memo=memo[:500])


@transaction.atomic
def remove_checkpoint(actor: Any, run: Run, name: str) -> None:
    """Raises Refused when a submission names it: its score must stay reproducible."""
    _require_member(actor, run)
    found = _checkpoint(run, name)
    if found.submissions.exists():
        raise Refused("submitted", _("%s was submitted and is kept.") % name, "")
    found.delete()
    record(actor, "checkpoint.remove", f"{run.session} {name}", run.assignment.course.slug)


@transaction.atomic
def fail_submission(submission: Submission, sentence: str, *, staff_detail: str = "", theirs: bool = True) -> None:
    """End a submission without a score; ``theirs`` says whose fault it is, and so whether it counts."""
    submission.state, submission.sentence = SubmissionState.FAILED, sentence
    submission.staff_detail = staff_detail[:20_000]
    submission.counts = submission.counts and theirs
    submission.ended_at = timezone.now()
    submission.save()
    notify.send(f"run.{submission.run_id}", {"type": "run.changed"})
