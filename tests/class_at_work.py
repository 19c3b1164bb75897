"""A class in the middle of its work: what each test of doors opens, and what must never come out of the wrong one."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from courses.assignments.models import Assignment
from courses.roster.models import ApiToken, Role, User
from courses.roster.services import add_member, create_token
from courses.submissions import services
from courses.submissions.models import Checkpoint, Run, RunState, ScoreEvent, Submission, SubmissionState
from courses.submissions.signals import score_recorded
from courses.teams.models import Team
from courses.teams.services import create
from hub.tracking.models import MetricPoint, TrackedRun
from runner import blobs
from runner.models import Job
from runner.spec import JobSpec
from tests.world import World, push_example, zip_of

CAST = ("anonymous", "outsider", "rival", "student", "teammate", "observer", "ta", "teacher")
# Each is in one place of the student's run, and nowhere else.
CODE, LOG, OUTPUT, CHECKPOINT, METRIC, PREDICTIONS, PREDICT_LOG = (
    f"the-{what}-of-maple" for what in ("code", "log", "output", "checkpoint", "metric", "predictions", "predict-log")
)
PRIVATE_SCORE = 0.123456789
OF_THE_TEAM = (CODE, LOG, OUTPUT, CHECKPOINT, METRIC, PREDICTIONS, str(PRIVATE_SCORE))


@dataclass
class ClassAtWork:
    world: World
    assignment: Assignment
    people: dict[str, User | None]
    other_team: Team
    run: Run  # ended, with a checkpoint, outputs, a log, metrics and a scored submission
    active: Run  # waits to be checked
    submission: Submission
    token: int  # the id of a token of the student's


def make_class(world: World, scratch: Path) -> ClassAtWork:
    assignment = push_example(world, "digits", scratch)
    rival, observer = (User.objects.create_user(name, password=f"{name}-password-1") for name in ("rival", "observer"))
    add_member(world.teacher, world.course, rival, Role.STUDENT)
    add_member(world.teacher, world.course, observer, Role.OBSERVER)
    other = create(rival, world.course, "oak", "")
    archive = scratch / "code.zip"
    archive.write_bytes(zip_of({"train.py": f"# {CODE}\n", "predict.py": ""}))
    run = services.start_run(world.student, assignment, archive)
    active = services.start_run(world.student, assignment, archive)
    submission = _finish(run)
    people = {"anonymous": None, "rival": rival, "observer": observer}
    people |= {name: getattr(world, name) for name in ("outsider", "student", "teammate", "ta", "teacher")}
    create_token(world.student, "lab")
    token = ApiToken.objects.get(user=world.student).pk
    return ClassAtWork(world, assignment, people, other, run, active, submission, token)


def _finish(run: Run) -> Submission:
    job = _ended_job("run", LOG)
    run.job, run.state = job.id, RunState.SUCCEEDED
    run.outputs = [{"path": "plots/a.txt", "size": len(OUTPUT), "sha256": blobs.put_bytes(OUTPUT.encode())}]
    run.save()
    saved = blobs.put_bytes(CHECKPOINT.encode())
    best = Checkpoint.objects.create(run=run, name="best", sha256=saved, size=len(CHECKPOINT))
    Checkpoint.objects.create(run=run, name="last", sha256=saved, size=len(CHECKPOINT))
    tracked = TrackedRun.objects.create(run_uuid=run.id.hex, experiment_id="1", name=run.session, started_ms=1)
    MetricPoint.objects.create(run=tracked, key=METRIC, value=0.5, step=1, timestamp_ms=1)
    _scored(best, 0.9)
    return _scored(best, PRIVATE_SCORE)  # not their best, so the board does not tell it


def _scored(checkpoint: Checkpoint, score: float) -> Submission:
    run, scores = checkpoint.run, {"macro_f1": score, "accuracy": score}
    made = Submission.objects.create(
        run=run, checkpoint=checkpoint, owner=run.owner, state=SubmissionState.SCORED, staff_detail=PREDICT_LOG,
        predict_job=_ended_job("predict", PREDICT_LOG).id, predictions_sha256=blobs.put_bytes(_tar(PREDICTIONS)),
        scores=scores,
    )  # fmt: skip
    event = ScoreEvent.objects.create(
        submission=made, assignment=run.assignment, team=run.team, scores=scores, primary=score
    )
    score_recorded.send(sender=ScoreEvent, event=event)
    return made


def _ended_job(kind: str, log: str) -> Job:
    head, tail = blobs.put_bytes(log.encode()), blobs.put_bytes(b"")
    spec = JobSpec(kind=kind, command=("true",), environment="base").to_json()
    stored = {"head": head, "tail": tail, "tail_start": len(log), "total": len(log)}
    return Job.objects.create(
        kind=kind, spec=json.loads(json.dumps(spec)), owner_key="o", share_path="s", state="ended",
        outcome="succeeded", detail={"log": stored},
    )  # fmt: skip


def _tar(text: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        info = tarfile.TarInfo("predictions.csv")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return sink.getvalue()
