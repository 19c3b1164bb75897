"""What a student sees while the environment of a push is built, and when it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from courses.submissions import handlers, queries, services
from courses.submissions.models import Run
from runner import queue
from runner.models import Attempt, EnvironmentBuild, Job
from runner.sentences import tell
from tests.stack import push
from tests.world import World, push_example

pytestmark = pytest.mark.django_db(transaction=True)
BUILDING = tell("Its environment {name} is about to be built.", name="base")


@pytest.fixture
def run(world: World, tmp_path: Path) -> Run:
    return push(world, push_example(world, "digits", tmp_path), {"train.py": "", "predict.py": ""}, tmp_path)


def gate(reason: str, *, ends: bool = False) -> queue.Gate:
    def asked(environments: set[str]) -> Mapping[str, queue.Blocked]:
        assert environments == {"base"}
        return {"base": queue.Blocked(reason, ends)}

    return asked


def deliver() -> None:
    while queue.deliver_one():
        pass


def test_the_reason_is_the_runs_own_sentence_while_its_check_waits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(handlers.notify, "send", lambda group, message: sent.append((group, message["type"])))
    queue.schedule(gate(BUILDING))
    assert queries.run_view(run)["sentence"] == "Its environment base is about to be built."
    with translation.override("ko"):
        assert queries.run_view(run)["sentence"] == "실행 환경 base을(를) 곧 만들기 시작합니다."
    told = [(f"run.{run.pk}", "run.changed"), (f"course.{run.assignment.course_id}", "queue.changed")]
    assert sent == told
    queue.schedule(gate(BUILDING))
    assert sent == told, "the same reason is no news"
    assert not Attempt.objects.exists()


def test_a_viewer_that_cannot_be_told_does_not_stop_the_plan(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(jobs: object) -> None:
        raise RuntimeError("no viewer")

    monkeypatch.setitem(queue.REASON_HANDLERS, "broken", broken)
    queue.schedule(gate(BUILDING))
    assert queries.run_view(run)["sentence"] == "Its environment base is about to be built."


@pytest.mark.parametrize("checked", [False, True])
def test_a_failed_build_refuses_the_run_and_costs_nothing(run: Run, checked: bool) -> None:
    if checked:
        Job.objects.update(state="ended", outcome="succeeded")
        services.start_job(run)
    queue.schedule(gate(BUILDING, ends=True))
    deliver()
    run.refresh_from_db()
    assert (run.state, queries.run_view(run)["sentence"]) == ("refused", "Its environment base is about to be built.")
    assert run.ended_at is not None and not Attempt.objects.exists()
    assert not EnvironmentBuild.objects.exists()
