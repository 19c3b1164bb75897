"""What happens when a job of ours moves: states of runs, checkpoints, the next job, the score.

Called at least once for each event, in a transaction; each handler changes only what still waits for it.
"""

from __future__ import annotations

import io
import tarfile
import uuid

from django.db.models import Q

from courses.errors import Refused
from courses.sentences import join, tell
from courses.submissions import code, jobs, preflight, rules, services, signals
from courses.submissions.models import Checkpoint, Run, RunState, ScoreEvent, Submission, SubmissionState
from runner import blobs, notify, queue
from runner.models import Job, OutboxEvent
from runner.sentences import Written, kept, read

RUN_SENTENCES = {
    "succeeded": tell("Finished."),
    "out_of_memory": tell("It needed more than the memory limit. Use smaller batches or fewer workers."),
    "timed_out": tell("It reached the time limit. What it saved as checkpoints is kept."),
    "output_limit": tell("It wrote more than the output limit. Save fewer or smaller files."),
    "stopped": tell("Stopped by request. What it saved is kept."),
    "preempted": tell("It made room for others. It cost you nothing."),
}
PREDICTIONS_AT_FAULT = 65  # the scorer's exit code for it: EX_DATAERR of sysexits.h
SCORER_CHARS_SHOWN = 300
PROBLEM_CHARS_SHOWN = 500
PREDICT_LIMITS = {
    "out_of_memory": tell("it needed more than the memory limit"),
    "timed_out": tell("it reached the time limit"),
}


def run_sentence(outcome: str, exit_code: int | None, tries: int) -> Written:
    """What a run's end means to its team."""
    if outcome == "failed":
        return tell("Your command ended with exit code {code}. The log's end says why.", code=exit_code)
    if outcome == "lost":
        return tell("The platform lost it {tries} times: our fault. It cost you nothing; push it again.", tries=tries)
    return RUN_SENTENCES[outcome]


def on_event(event: OutboxEvent) -> None:
    """The one entry: find whose job it is."""
    job = event.job
    if job.kind in {"preflight", "run"}:
        column = "preflight_job" if job.kind == "preflight" else "job"
        run = Run.objects.select_for_update(of=("self",)).filter(**{column: job.id}).first()
        if run is not None:
            (_preflight if job.kind == "preflight" else _train)(event.kind, job, run)
            notify.send(f"run.{run.id}", {"type": "run.changed"})
            notify.send(f"course.{run.assignment.course_id}", {"type": "queue.changed"})
    elif event.kind == "job_ended":
        column = "predict_job" if job.kind == "predict" else "score_job"
        submission = Submission.objects.select_for_update(of=("self",)).filter(**{column: job.id}).first()
        if submission is not None:
            (_predicted if job.kind == "predict" else _scored)(job, submission)
            notify.send(f"run.{submission.run_id}", {"type": "run.changed"})


def on_reasons(jobs: list[uuid.UUID]) -> None:
    """Jobs wait for another reason: viewers of their runs and of the queue look again."""
    runs = list(Run.objects.filter(Q(job__in=jobs) | Q(preflight_job__in=jobs)).select_related("assignment"))
    for run in runs:
        notify.send(f"run.{run.id}", {"type": "run.changed"})
    for course in {run.assignment.course_id for run in runs}:
        notify.send(f"course.{course}", {"type": "queue.changed"})


def _preflight(kind: str, job: Job, run: Run) -> None:
    if kind != "job_ended" or run.state != RunState.PREFLIGHT:
        return
    if job.outcome == "succeeded":
        services.start_job(run)
        return
    run.ended_at = queue.database_now()
    if job.outcome == "stopped":
        run.state, run.sentence = RunState.STOPPED, tell("Stopped before it started.")
    elif job.outcome == "refused":
        run.state, run.sentence = RunState.REFUSED, kept(job.detail["error"])  # the runner's own words
    elif job.outcome == "lost":
        run.state = RunState.LOST
        run.sentence = tell("The check could not run: our fault. {error}", error=job.detail.get("error", ""))
    else:
        lines = preflight.said(log_tail(job, preflight.BYTES_MAX)) or tell(
            "The check ended as {outcome}.", outcome=job.outcome
        )
        run.state = RunState.FAILED
        run.sentence = tell("Preflight failed (your code; no GPU time or attempt used): {lines}", lines=lines)
    run.save()


def _train(kind: str, job: Job, run: Run) -> None:
    if not run.is_active:
        return
    if kind == "job_starting":
        if run.state == RunState.QUEUED:
            run.state = RunState.STARTING
    elif kind == "job_started":
        run.state, run.started_at = RunState.RUNNING, run.started_at or queue.database_now()
    elif kind == "job_retrying":
        run.state = RunState.QUEUED
        run.sentence = tell(
            "Worker lost, retrying ({n} of {most}). Our fault; it costs you nothing.",
            n=job.tries + 1, most=job.tries_max,
        )  # fmt: skip
    elif kind == "job_ended":
        _train_ended(job, run)
    run.save()


def _train_ended(job: Job, run: Run) -> None:
    run.state, run.ended_at = RunState(job.outcome), queue.database_now()
    run.exit_code = job.detail.get("exit_code")
    warning = kept(job.detail.get("warning", ""))  # the runner's own words, as the error of a refused one
    refused = kept(job.detail.get("error", "")) if job.outcome == "refused" else ""
    run.sentence = join(refused or run_sentence(job.outcome, run.exit_code, job.tries), warning)
    if problems := "; ".join(job.detail.get("problems", [])):
        run.sentence = join(run.sentence, tell("Not kept: {problems}.", problems=problems[:PROBLEM_CHARS_SHOWN]))
    run.outputs = job.detail.get("outputs", [])
    for found in job.detail.get("checkpoints", []):
        Checkpoint.objects.update_or_create(
            run=run, name=found["name"], defaults={"sha256": found["sha256"], "size": found["size"]}
        )
    if run.wants_submit and run.state == RunState.SUCCEEDED:
        if services.best_checkpoint(run) is None:
            run.sentence = tell(
                "Finished, but nothing was saved under /out/checkpoints, so there is nothing to submit."
            )
            return
        try:
            services.submit(run.owner, run, None)
        except Refused as error:
            run.sentence = join(tell("Finished, not submitted."), error.message, error.next)


def _predicted(job: Job, submission: Submission) -> None:
    if submission.state != SubmissionState.PREDICTING:
        return
    config = submission.run.version.config
    name = config.predictions_file
    if job.outcome != "succeeded":
        _predict_failed(job, submission)
        return
    sha = job.detail.get("files", {}).get(name)
    if sha is None:
        problem = "; ".join(job.detail.get("problems", [])) or tell("{file} was not written", file=name)
        sentence = tell("Predict failed (your code): {reason}.", reason=problem)
        services.fail_submission(submission, sentence, staff_detail=log_tail(job))
        return
    try:
        with blobs.open_blob(sha) as source:
            parsed = rules.parse_predictions(source.read(), config, trial=submission.trial)
    except rules.BadPredictions as error:
        sentence = tell("Predict failed (your code): {reason}", reason=error.written)
        services.fail_submission(submission, sentence, staff_detail=log_tail(job))
        return
    submission.predictions_sha256 = _tree_of_one(name, parsed)
    score = queue.enqueue(
        jobs.score(submission),
        owner_key=job.owner_key,
        share_path=job.share_path,
        express=True,
    )
    submission.score_job, submission.state = score.id, SubmissionState.SCORING
    submission.save()


def _predict_failed(job: Job, submission: Submission) -> None:
    if job.outcome == "lost":
        services.fail_submission(
            submission, tell("Predict was lost: our fault. It costs you nothing; submit again."),
            staff_detail=str(job.detail.get("error", "")), theirs=False,
        )  # fmt: skip
        return
    if job.outcome == "refused":
        services.fail_submission(submission, kept(job.detail["error"]), theirs=False)
        return
    log = log_tail(job, 20_000)
    if submission.trial:
        reason = PREDICT_LIMITS.get(job.outcome) or tell("the log shows why")
        sentence = tell("Predict failed on the public sample (your code): {reason}. It cost nothing.", reason=reason)
    else:
        files = {path: content.count(b"\n") + 1 for path, content in code.of_run(submission.run)}
        place = (
            PREDICT_LIMITS.get(job.outcome)
            or rules.where_it_failed(log, files)
            or tell("exit code {code}", code=job.detail.get("exit_code"))
        )
        again = f"seodang submit -t {submission.run.session} {submission.checkpoint.name}"
        sentence = tell(
            "Predict failed (your code): {place}; the message is hidden, it may hold test data. "
            "Reproduce it free: {command}",
            place=place, command=again,
        )  # fmt: skip
    services.fail_submission(submission, sentence, staff_detail=log)


def _tree_of_one(name: str, content: bytes) -> str:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o644
        tar.addfile(info, io.BytesIO(content))
    return blobs.put_bytes(sink.getvalue())


def _scored(job: Job, submission: Submission) -> None:
    if submission.state != SubmissionState.SCORING:
        return
    run = submission.run
    sha = job.detail.get("files", {}).get("scores.json")
    if job.outcome == "failed" and job.detail.get("exit_code") == PREDICTIONS_AT_FAULT:
        log = log_tail(job)
        said = next((line for line in reversed(log.splitlines()) if line.strip()), "")
        sentence = tell("The predictions cannot be scored (your code): {line}", line=said.strip()[:SCORER_CHARS_SHOWN])
        services.fail_submission(submission, sentence, staff_detail=log)
        return
    try:
        if job.outcome != "succeeded" or sha is None:
            raise rules.BadScores(f"The scorer ended as {job.outcome}. {'; '.join(job.detail.get('problems', []))}")
        with blobs.open_blob(sha) as source:
            scores = rules.parse_scores(source.read(), run.version.config)
    except rules.BadScores as error:
        services.fail_submission(
            submission,
            tell(
                "The scorer failed: your instructor's fault, or the format it checks is not met. It costs no attempt; "
                "the staff see its log."
            ),
            staff_detail=f"{error}\n{read(job.detail.get('error') or '')}\n{log_tail(job)}",
            theirs=False,
        )
        return
    submission.scores, submission.state, submission.ended_at = scores, SubmissionState.SCORED, queue.database_now()
    submission.sentence = tell("Tried on the public sample; not on the board.") if submission.trial else ""
    submission.save()
    if not submission.trial:
        _record(job, submission)


def _record(job: Job, submission: Submission) -> None:
    run = submission.run
    version = run.version
    event, made = ScoreEvent.objects.get_or_create(
        submission=submission,
        defaults={
            "assignment": run.assignment,
            "team": run.team,
            "scores": submission.scores,
            "primary": submission.scores[version.config.primary.name],
            "provenance": {
                "code": run.code_sha256,
                "checkpoint": submission.checkpoint.sha256,
                "predictions": submission.predictions_sha256,
                "test": version.dataset.test_sha256,
                "labels": version.dataset.labels_sha256,
                "scorer": version.scorer_sha256,
                "version": version.number,
                "image": job.detail.get("image", ""),
            },
        },
    )
    if made:
        signals.score_recorded.send(sender=ScoreEvent, event=event)


def log_tail(job: Job, most: int = 20_000) -> str:
    """The end of an ended job's log."""
    stored = job.detail.get("log")
    if not stored:
        return ""
    parts = b""
    for part in ("head", "tail"):
        with blobs.open_blob(stored[part]) as source:
            parts += source.read()
    return parts[-most:].decode(errors="replace").replace("\0", "")
