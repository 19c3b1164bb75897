"""A script as it was written for NSML, as it is: pushed, reported, saved, tried, sealed, scored, ranked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from courses.assignments.models import Assignment
from courses.errors import Refused
from courses.leaderboards.queries import board
from courses.sentences import read
from courses.submissions import admission, queries, services
from courses.submissions.models import Run, Submission
from hub.tracking.queries import metrics
from runner.models import Job
from tests.stack import drive, example_code, make_worker, push, running_gateway
from tests.world import World, push_example, zip_of

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
# What a student gets wrong first: a name of NSML's own data, known only when the sealed run reads it.
BROKEN = ('phase + ".csv"', 'phase + "_data"')


@pytest.fixture
def gateway(transactional_db: object) -> Iterator[None]:
    with running_gateway():
        yield


@pytest.fixture
def digits(world: World, tmp_path: Path, gateway: None) -> Assignment:
    return push_example(world, "digits", tmp_path)


def sent(world: World, digits: Assignment, tmp_path: Path, code: dict[str, str]) -> Run:
    archive = tmp_path / "push.zip"
    archive.write_bytes(zip_of(code))
    made = services.start_run(world.student, digits, archive, entry="python3 main.py", args="--epochs 3", submit=True)
    drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded", (run.sentence, queries.log(run, 0).text)
    return run


def test_from_the_push_to_the_rank(world: World, digits: Assignment, tmp_path: Path) -> None:
    run = sent(world, digits, tmp_path, example_code("digits", "nsml"))
    assert {one.name for one in run.checkpoints.all()} == {"0", "1", "2"}
    logged = metrics(run.id.hex)
    assert [point[0] for point in logged["train/loss"]] == [0, 1, 2] and set(logged) >= {"train/acc", "epoch"}

    sealed = Submission.objects.get(run=run)
    assert (sealed.state, sealed.checkpoint.name) == ("scored", "2"), sealed.staff_detail
    assert sealed.scores["macro_f1"] > 0.9
    (row,) = board(digits).rows
    assert (row.rank, row.team) == (1, "maple")
    job = Job.objects.get(pk=sealed.predict_job)
    assert job.spec["command"] == [
        "python3", "main.py", "--epochs", "3", "--mode", "test", "--pause", "1", "--iteration", "2",
    ]  # fmt: skip
    assert not job.spec["tracking"] and [one["target"] for one in job.spec["inputs"]] == [
        "/code",
        "/data",
        "/checkpoint",
    ]

    services.submit(world.teammate, run, "0", trial=True)
    drive(make_worker())
    trial = Submission.objects.get(run=run, trial=True)
    assert trial.state == "scored", trial.staff_detail
    assert "model loaded!" in queries.trial_log(trial) and "(confidence, prediction)" in queries.trial_log(trial)


def test_a_fault_in_infer_names_the_line_and_not_the_message(world: World, digits: Assignment, tmp_path: Path) -> None:
    code = {name: text.replace(*BROKEN) for name, text in example_code("digits", "nsml").items()}
    line = next(n for n, text in enumerate(code["main.py"].splitlines(), 1) if BROKEN[1] in text)
    sealed = Submission.objects.get(run=sent(world, digits, tmp_path, code))
    assert sealed.state == "failed"
    assert f"main.py:{line} FileNotFoundError; the message is hidden" in read(sealed.sentence)
    assert "test_data" not in read(sealed.sentence) and "test_data" in sealed.staff_detail


def test_a_notebook_runs_and_predicts(world: World, digits: Assignment, tmp_path: Path) -> None:
    cells = ["%matplotlib inline\nimport nsml\n", "nsml.bind(save=lambda path: open(path + '/w', 'w').close(),\n"
             "          load=print, infer=lambda folder: [3] * 360)\n", "nsml.paused()\nnsml.save('best')\n"]  # fmt: skip
    code = {"my notes.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": one} for one in cells]})}
    archive = tmp_path / "push.zip"
    archive.write_bytes(zip_of(code))
    made = services.start_run(world.student, digits, archive, entry="'my notes.ipynb'", submit=True)
    drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded", (run.sentence, queries.log(run, 0).text)
    sealed = Submission.objects.get(run=run)
    assert sealed.state == "scored", sealed.staff_detail
    assert [name for name, _size in queries.code_files(run)] == ["my notes.ipynb", "my notes.py"]


def test_code_that_cannot_predict_is_refused_before_it_trains(world: World, digits: Assignment, tmp_path: Path) -> None:
    code = {"train.py": "import os\nos.makedirs('/out/checkpoints/best')\nopen('/out/checkpoints/best/w', 'w')\n"}
    with pytest.raises(Refused, match=r"no predict\.py, and train\.py never calls nsml\.paused\(\)"):
        push(world, digits, code, tmp_path, submit=True)
    assert not Run.objects.exists()
    made = push(world, digits, code, tmp_path, submit=False)
    drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    for trial in (False, True):
        with pytest.raises(Refused, match=r"never calls nsml\.paused"):
            services.submit(world.student, run, "best", trial=trial)
    assert admission.submissions_today(world.team, digits) == 0
