"""Faults inside the real containers: a scorer that breaks, metrics that are none, names that are no text."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from courses.assignments.models import Assignment
from courses.leaderboards.queries import board
from courses.roster.services import create_token
from courses.submissions import queries, services
from courses.submissions.models import Checkpoint, Run, ScoreEvent, Submission
from hub.tracking.models import MetricPoint
from runner import blobs
from runner.models import Attempt
from tests.stack import drive, make_worker, push, running_gateway, turn
from tests.world import World, push_example

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
CODE = {
    "train.py": "import os\nos.makedirs('/out/checkpoints')\nopen('/out/checkpoints/best', 'w').write('w')\n",
    "predict.py": (
        "import csv, sys\nout = sys.argv[sys.argv.index('--out') + 1]\n"
        "csv.writer(open(out, 'w')).writerows([['id', 'label']] + [[n, 0] for n in range(360)])\n"
    ),
}
SCORER = "import json, os, sys\nout = sys.argv[sys.argv.index('--out') + 1]\nprint('the labels are 7, 7, 7')\n"
GOOD = "json.dump({'macro_f1': 0.5, 'accuracy': 0.5}, open(out, 'w'))"
BROKEN = {
    "raises": ("raise KeyError('label 7')", "The scorer ended as failed"),
    "missing": ("pass", "scores.json was not written"),
    "not JSON": ("open(out, 'w').write('macro_f1: 1')", "scores.json is not JSON"),
    "NaN": ("json.dump({'macro_f1': float('nan'), 'accuracy': 1}, open(out, 'w'))", "macro_f1 is 'nan', not a finite"),
    "infinite": ("json.dump({'macro_f1': 1, 'accuracy': -float('inf')}, open(out, 'w'))", "accuracy is '-inf'"),
    "too large a number": ("open(out, 'w').write('{\"macro_f1\": 1e999, \"accuracy\": 1}')", "macro_f1 is 'inf'"),
    "a number of 4,000 digits": ("open(out, 'w').write('{\"macro_f1\": %s, \"accuracy\": 1}' % ('9' * 4000))", "macro_f1"),
    "a wrong key": ("json.dump({'f1': 1}, open(out, 'w'))", "must have exactly the keys accuracy, macro_f1"),
    "2 GB, sparse": ("open(out, 'w').truncate(2 << 30)", "File too large"),
    "2 GB, written": ("f = open(out, 'w')\nfor _ in range(2_000): f.write(' ' * (1 << 20))", "too large"),
    "900 kB": ("open(out, 'w').write(' ' * 900_000)", "larger than 100 kB"),
    "a link to the labels": ("os.symlink('/labels/labels.csv', out)", "is a link"),
    "a FIFO": ("os.mkfifo(out)", "not a regular file"),
}  # fmt: skip


@pytest.fixture
def digits(world: World, tmp_path: Path) -> Assignment:
    return push_example(world, "digits", tmp_path)


def scorer_blob(body: str) -> str:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        content = (SCORER + body + "\n").encode()
        info = tarfile.TarInfo("score.py")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return blobs.put_bytes(sink.getvalue())


def client_of(user: object) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(user, 'test')}"})


def test_a_broken_scorer_is_the_instructors_fault(world: World, digits: Assignment, tmp_path: Path) -> None:
    """It costs no attempt, moves no board, and only the staff read its log."""
    version, worker = digits.current, make_worker()
    version.raw["limits"]["submissions_per_day"] = 1  # so that one that cost an attempt would refuse the next
    made = push(world, digits, CODE, tmp_path, submit=False)
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded", (run.sentence, queries.log(run, 0).text)
    student, page, staff_page = client_of(world.student), Client(), Client()
    page.force_login(world.student, "django.contrib.auth.backends.ModelBackend")
    staff_page.force_login(world.ta, "django.contrib.auth.backends.ModelBackend")
    wrong = []
    for name, (body, words) in BROKEN.items():
        version.scorer_sha256 = scorer_blob(body)
        version.save()
        answer = student.post(f"/api/v1/runs/{run.pk}/submissions", {"checkpoint": "best"})
        assert answer.status_code == 201, (name, answer.json())
        drive(worker)
        one = Submission.objects.get(pk=answer.json()["id"])
        told = student.get(f"/api/v1/submissions/{one.pk}").content.decode()
        if (one.state, one.counts, one.scores) != ("failed", False, {}):
            wrong.append(f"{name}: {one.state}, counts={one.counts}, {one.scores}")
        if "instructor's fault" not in one.sentence or "costs no attempt" not in one.sentence:
            wrong.append(f"{name}: the student reads {one.sentence!r}")
        if words not in one.staff_detail or "the labels are 7" not in one.staff_detail:
            wrong.append(f"{name}: the staff read {one.staff_detail[:300]!r}")
        if "7, 7" in told or "label 7" in told:
            wrong.append(f"{name}: the student is told of the labels")
    assert not wrong, "\n".join(wrong)
    assert not ScoreEvent.objects.exists()
    assert not board(digits).rows
    where = f"/runs/{run.pk}/"
    assert "the labels are 7" not in page.get(where).content.decode()
    assert "the labels are 7" in staff_page.get(where).content.decode()
    version.scorer_sha256 = scorer_blob(GOOD)
    version.save()
    services.submit(world.student, run, "best")
    drive(worker)
    assert [row.score for row in board(digits).rows] == [0.5], "and a mended one scores the same checkpoint"


def test_metrics_that_are_none(world: World, digits: Assignment, tmp_path: Path) -> None:
    """Stock mlflow in the sealed container: a name of 10,000 characters, a NaN, and a good one after them."""
    train = (
        "import mlflow\nmlflow.log_metric('good', 0.5, step=1)\n"
        "try:\n    mlflow.log_metric('x' * 10_000, 1.0)\n"
        "except Exception as error:\n    print('REFUSED', type(error).__name__, str(error)[:300])\n"
        "mlflow.log_metric('loss', float('nan'), step=1)\nmlflow.log_metric('loss', 0.25, step=2)\n"
        "mlflow.log_metric('good', 0.75, step=2)\nprint('went on')\n"
    )
    with running_gateway():
        made = push(world, digits, {**CODE, "train.py": train}, tmp_path, submit=False)
        drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    text = queries.log(run, 0).text
    assert run.state == "succeeded", (run.sentence, text)
    assert "REFUSED RestException" in text and "250" in text, text
    assert text.rstrip().endswith("went on")
    points = MetricPoint.objects.filter(run_id=run.id.hex)
    assert sorted(points.values_list("key", "value", "is_nan")) == [
        ("good", 0.5, False),
        ("good", 0.75, False),
        ("loss", 0.0, True),
        ("loss", 0.25, False),
    ]
    shown = client_of(world.student).get(f"/api/v1/runs/{run.pk}/metrics").json()
    assert [point[:2] for point in shown["loss"]] == [[2, 0.25]]
    assert b"NaN" not in client_of(world.student).get(f"/api/v1/runs/{run.pk}").content


def test_names_that_are_no_text(world: World, digits: Assignment, tmp_path: Path) -> None:
    """Files whose names are no UTF-8, or are made to be read as something else: left out, and the rest comes back."""
    train = (
        "import os\nos.makedirs('/out/checkpoints/best')\nopen('/out/checkpoints/best/w', 'w').write('w')\n"
        "for name in (b'caf\\xe9', b'new\\nline', b'x' * 255, b'\\xff'):\n"
        "    open(b'/out/' + name, 'w').write('1')\n"
        "    open(b'/out/checkpoints/' + name, 'w').write('1')\n"
        "    open(b'/out/checkpoints/best/' + name, 'w').write('1')\n"
        "open('/out/mine.txt', 'w').write('ok')\n"
    )
    made = push(world, digits, {**CODE, "train.py": train}, tmp_path, submit=False)
    drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded", (run.sentence, queries.log(run, 0).text)
    names = {one["path"] for one in run.outputs}
    assert "mine.txt" in names
    assert not any("\n" in name or "\udce9" in name or "\udcff" in name for name in names)
    kept = set(Checkpoint.objects.filter(run=run).values_list("name", flat=True))
    assert "best" in kept
    assert not any("\n" in name or any("\ud800" <= letter < "\ue000" for letter in name) for name in kept)
    for route in ("", "/outputs", "/checkpoints"):
        assert client_of(world.student).get(f"/api/v1/runs/{run.pk}{route}").status_code == 200
    with tarfile.open(fileobj=blobs.open_blob(Checkpoint.objects.get(run=run, name="best").sha256)) as tar:
        assert "best/w" in tar.getnames()


@pytest.mark.parametrize("days", [3, -3])
def test_a_clock_that_jumps_ends_no_run(
    world: World, digits: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The machine's clock jumps while a run goes on: limits and durations are by the database's."""
    worker, version = make_worker(), digits.current
    version.scorer_sha256 = scorer_blob(GOOD)
    version.save()
    code = {**CODE, "train.py": CODE["train.py"] + "import time\nprint('up', flush=True)\ntime.sleep(3)\n"}
    made = push(world, digits, code, tmp_path)
    while not queries.log(Run.objects.get(pk=made.pk), 0).text.startswith("up"):
        turn(worker)
    true_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: true_now() + dt.timedelta(days=days))
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded", run.sentence
    assert run.started_at and run.ended_at
    assert 2 < (run.ended_at - run.started_at).total_seconds() < 60
    attempt = Attempt.objects.get(job=run.job)
    assert attempt.started_at and attempt.ended_at
    assert 2 < (attempt.ended_at - attempt.started_at).total_seconds() < 60
    assert Submission.objects.get(run=run).state == "scored"
