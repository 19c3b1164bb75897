"""The thinnest whole path on the real parts: push, container, checkpoint, sealed score, rank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from courses.leaderboards.queries import board
from courses.leaderboards.services import differences
from courses.sentences import read
from courses.submissions import queries
from courses.submissions.models import Run, Submission
from hub.tracking.queries import metrics
from runner.models import Lease
from tests.stack import drive, example_code, make_worker, push, running_gateway
from tests.world import World, push_example

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def gateway(transactional_db: object) -> Iterator[None]:
    with running_gateway():
        yield


def test_a_push_becomes_a_sealed_score_and_a_rank(world: World, tmp_path: Path) -> None:
    assignment = push_example(world, "digits", tmp_path)
    worker = make_worker()
    for kind in ("baseline", "better"):
        made = push(world, assignment, example_code("digits", kind), tmp_path)
        drive(worker)
        run = Run.objects.get(pk=made.pk)
        log = queries.log(run, 0)
        assert run.state == "succeeded", (run.sentence, log.text)
        assert log.done
        assert len(metrics(run.id.hex)["train/acc"]) >= 10, "stock mlflow logged through the socket, with no network"
        submission = Submission.objects.get(run=run)
        assert submission.state == "scored", (submission.sentence, submission.staff_detail)
    view = board(assignment)
    assert [row.team for row in view.rows] == ["maple"]
    assert view.rows[0].count == 2
    assert len(view.rows[0].history) == 2, "the better solution improves the baseline"
    assert view.seq == 2
    assert differences(assignment) == []
    assert not Lease.objects.filter(released_at=None).exists()
    assert worker.engine.list({"seodang.instance": settings.INSTANCE}) == []


def test_a_typo_is_found_before_anything_is_leased(world: World, tmp_path: Path) -> None:
    assignment = push_example(world, "digits", tmp_path)
    code = {**example_code("digits"), "extra.py": "import timm_is_not_here\n"}
    made = push(world, assignment, code, tmp_path)
    drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    assert run.state == "failed"
    assert "extra.py:1 No module named 'timm_is_not_here'" in read(run.sentence)
    assert "no GPU time or attempt used" in read(run.sentence)
    assert run.job is None
