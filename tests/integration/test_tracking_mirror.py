"""The mirror into MLflow's own store: equal counts, also when it is cut off anywhere."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from mlflow.exceptions import MlflowException

from courses.submissions.models import Checkpoint, Run, ScoreEvent, Submission
from courses.submissions.signals import score_recorded
from hub.tracking.mirror import Mirror
from hub.tracking.mlflow_database import workspace_of
from hub.tracking.models import MetricPoint, RunText, TrackedRun
from runner.loop import parameters
from tests.gateway import Tracked, make_tracked, until
from tests.world import make_world, push_example

pytestmark = pytest.mark.django_db(transaction=True)
DATABASE = f"test_mlflow_{os.getpid()}"


@pytest.fixture(scope="module")
def made(django_db_setup: object, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Mirror]:
    """MLflow's tables take seconds to make, so they are made once."""
    mirror = Mirror(DATABASE)
    with django_db_blocker.unblock():
        assert mirror.store is not None
    yield mirror
    mirror.store.engine.dispose()
    with django_db_blocker.unblock(), psycopg.connect(**parameters(), autocommit=True) as server:  # type: ignore[arg-type]
        server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def tracked(transactional_db: object, tmp_path: Path) -> Tracked:
    world = make_world()
    found = make_tracked(world, push_example(world, "digits", tmp_path))
    TrackedRun.objects.create(
        run_uuid=found.id, experiment_id="1", experiment_name=f"ml/{uuid.uuid4().hex[:8]}", name=found.run.session,
        user="maple", started_ms=1_000,
    )  # fmt: skip
    return found


def log(tracked: Tracked, count: int, key: str = "loss") -> None:
    MetricPoint.objects.bulk_create(
        MetricPoint(run_id=tracked.id, key=key, value=n / 7, timestamp_ms=n, step=n) for n in range(count)
    )


def text(tracked: Tracked, kind: str, key: str, value: str) -> None:
    RunText.objects.update_or_create(
        run_id=tracked.id, kind=kind, key=key, defaults={"value": value, "mirrored": False}
    )


def copy(mirror: Mirror) -> None:
    for _ in range(50):
        if not mirror.once():
            return
    raise AssertionError("the mirror finds no end")


def run_id(tracked: Tracked) -> str:
    return str(TrackedRun.objects.get(pk=tracked.id).mirror_run_id)


def mirrored(mirror: Mirror, tracked: Tracked) -> Any:
    with mirror.workspace(workspace_of(tracked.run.assignment.course_id)):
        return mirror.store.get_run(run_id(tracked))


def history(mirror: Mirror, tracked: Tracked, key: str = "loss") -> list[Any]:
    with mirror.workspace(workspace_of(tracked.run.assignment.course_id)):
        return list(mirror.store.get_metric_history(run_id(tracked), key))


def test_everything_arrives_and_counts_are_equal(made: Mirror, tracked: Tracked) -> None:
    log(tracked, 2_500)
    MetricPoint.objects.create(run_id=tracked.id, key="bad", value=0, is_nan=True, timestamp_ms=1, step=1)
    text(tracked, "param", "lr", "0.1")
    text(tracked, "tag", "note", "한글")
    text(tracked, "tag", "mlflow.runName", "a name that hides whose run it is")
    text(
        tracked,
        "input",
        "d:1",
        '{"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}, "tags": []}',
    )
    copy(made)
    run = mirrored(made, tracked)
    assert len(history(made, tracked)) == 2_500
    assert math.isnan(history(made, tracked, "bad")[0].value)
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["note"] == "한글"
    assert run.info.run_name == "maple/digits/1"
    assert run.info.status == "RUNNING"
    assert run.info.start_time == 1_000
    assert run.info.artifact_uri == (Path(settings.VAR) / "artifacts" / tracked.id).as_uri()
    assert run.inputs.dataset_inputs[0].dataset.name == "d"
    assert made.once() is False


def test_what_comes_later_and_the_ending_follow(made: Mirror, tracked: Tracked) -> None:
    log(tracked, 3)
    text(tracked, "tag", "gone", "1")
    copy(made)
    RunText.objects.filter(run_id=tracked.id, kind="tag", key="gone").delete()
    text(tracked, "untag", "gone", "")
    log(tracked, 2, "later")
    ended = timezone.now()
    Run.objects.filter(pk=tracked.run.pk).update(state="out_of_memory", ended_at=ended)
    copy(made)
    run = mirrored(made, tracked)
    assert len(history(made, tracked, "later")) == 2
    assert "gone" not in run.data.tags
    assert (run.info.status, run.info.end_time) == ("FAILED", int(ended.timestamp() * 1000))
    assert TrackedRun.objects.get(pk=tracked.id).ended_ms == run.info.end_time
    log(tracked, 1, "last")  # a call that was under way when the run ended
    copy(made)
    assert len(history(made, tracked, "last")) == 1


def test_a_crash_before_the_cursor_moves_doubles_nothing(made: Mirror, tracked: Tracked) -> None:
    log(tracked, 1_500)
    copy(made)
    first = TrackedRun.objects.get(pk=tracked.id).mirror_run_id
    # As after a crash between MLflow's commit and ours: the run unknown, the cursor at its start, texts not marked.
    TrackedRun.objects.filter(pk=tracked.id).update(mirror_run_id="", mirror_cursor=0)
    log(tracked, 10, "new")
    copy(made)
    assert TrackedRun.objects.get(pk=tracked.id).mirror_run_id == first
    assert len(history(made, tracked)) == 1_500
    assert len(history(made, tracked, "new")) == 10


def test_one_run_that_fails_does_not_stop_the_others(made: Mirror, tracked: Tracked) -> None:
    bad = TrackedRun.objects.create(
        run_uuid="f" * 32, experiment_id="1", experiment_name="", name="bad", started_ms=0
    )  # MLflow takes no empty name
    log(tracked, 5)
    assert made.once() is True
    assert len(history(made, tracked)) == 5
    assert made.once() is False, "the bad one waits"
    bad.delete()


@pytest.mark.parametrize("command", ["tracking", "mirror"])
def test_the_commands_leave_at_sigterm(command: str, tmp_path: Path) -> None:
    env = {**os.environ, "SEODANG_SOCKETS": str(tmp_path / "s"), "SEODANG_LOG_LEVEL": "INFO"}
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "manage.py", command], cwd=root, env={**env, "DATABASE_URL": _address()},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: _connected() >= 1, 60)
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def _address() -> str:
    """The test's own database, for a process of its own."""
    from urllib.parse import quote

    chosen = parameters()
    host = quote(chosen["host"], safe="")
    return (
        f"postgres://{quote(chosen['user'])}:{quote(chosen['password'])}@localhost:{chosen['port']}/{chosen['dbname']}"
        f"?host={host}"
    )


def _connected() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND (query LIKE 'LISTEN seodang_attempts%' OR query LIKE '%pg_try_advisory_lock%' OR query = 'SELECT 1')"
        )
        return int(cursor.fetchone()[0])


def test_an_official_score_follows_after_the_end_and_only_once(made: Mirror, tracked: Tracked) -> None:
    log(tracked, 2)
    Run.objects.filter(pk=tracked.run.pk).update(state="succeeded", ended_at=timezone.now())
    copy(made)
    TrackedRun.objects.filter(pk=tracked.id).update(ended_ms=1)  # long ago
    found = Checkpoint.objects.create(run=tracked.run, name="best", sha256="0" * 64, size=1)
    submission = Submission.objects.create(run=tracked.run, checkpoint=found, owner=tracked.run.owner)
    event = ScoreEvent.objects.create(
        submission=submission, assignment=tracked.run.assignment, team=tracked.run.team, scores={"macro_f1": 0.9},
        primary=0.9,
    )  # fmt: skip
    for _ in range(2):
        score_recorded.send(sender=ScoreEvent, event=event)
    copy(made)
    assert [one.value for one in history(made, tracked, "official/macro_f1")] == [0.9]
    assert mirrored(made, tracked).data.metrics == {"loss": 1 / 7, "official/macro_f1": 0.9}


def test_a_course_is_a_workspace(made: Mirror, tracked: Tracked) -> None:
    log(tracked, 1)
    copy(made)
    with made.workspace(workspace_of(tracked.run.assignment.course_id)):
        assert made.store.get_run(run_id(tracked)).info.run_name == "maple/digits/1"
    with made.workspace("course-0"), pytest.raises(MlflowException, match="not found"):
        made.store.get_run(run_id(tracked))
