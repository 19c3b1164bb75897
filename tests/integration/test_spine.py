"""The thinnest whole path on the real parts: push, container, checkpoint, sealed score, rank."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from psycopg_pool import AsyncConnectionPool

from courses.leaderboards.queries import board
from courses.leaderboards.services import differences
from courses.submissions import queries, services
from courses.submissions.models import Run, Submission
from hub.tracking.queries import metrics
from hub.tracking.sockets import Gateway, watch
from runner import queue
from runner.engines.docker import DockerEngine
from runner.loop import parameters
from runner.models import Lease, OutboxEvent
from runner.worker import Worker
from tests.world import EXAMPLES, make_world, push_example, zip_folder

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
SECONDS_MAX = 120


@pytest.fixture(autouse=True)
def gateway(transactional_db: object) -> Iterator[None]:
    """The real gateway, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with AsyncConnectionPool(kwargs=parameters(), min_size=1, max_size=4, open=False) as pool:
            made = Gateway(pool)
            try:
                await watch(made)
            finally:
                for runner in made.runners.values():
                    await runner.cleanup()

    task = loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield
    loop.call_soon_threadsafe(task.cancel)
    while not task.done():
        time.sleep(0.01)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def drive(worker: Worker) -> None:
    """Plan, advance each attempt and deliver events until nothing is left to do."""
    end = time.monotonic() + SECONDS_MAX
    from runner.models import Attempt, Job

    while Job.objects.exclude(state="ended").exists() or OutboxEvent.objects.filter(handled_at=None).exists():
        assert time.monotonic() < end, list(Job.objects.exclude(state="ended").values())
        queue.schedule()
        for attempt in Attempt.objects.exclude(state="ended").select_related("job"):
            worker.step(attempt)
        while queue.deliver_one():
            pass


def test_a_push_becomes_a_sealed_score_and_a_rank(tmp_path: Path) -> None:
    world = make_world()
    assignment = push_example(world, "digits", tmp_path)
    worker = Worker(DockerEngine(settings.DOCKER_HOST))
    worker.register()
    for name in ("baseline", "better"):
        archive = zip_folder(EXAMPLES / "digits" / name, tmp_path / "code.zip")
        run = services.start_run(world.student, assignment, archive, submit=True)
        drive(worker)
        run = Run.objects.get(pk=run.pk)
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


def test_a_typo_is_found_before_anything_is_leased(tmp_path: Path) -> None:
    world = make_world()
    assignment = push_example(world, "digits", tmp_path)
    worker = Worker(DockerEngine(settings.DOCKER_HOST))
    worker.register()
    archive = zip_folder(EXAMPLES / "digits" / "baseline", tmp_path / "code.zip")
    import zipfile

    with zipfile.ZipFile(archive, "a") as bundle:
        bundle.writestr("extra.py", "import timm_is_not_here\n")
    run = services.start_run(world.student, assignment, archive)
    drive(worker)
    run = Run.objects.get(pk=run.pk)
    assert run.state == "failed"
    assert "extra.py:1 No module named 'timm_is_not_here'" in run.sentence
    assert "no GPU time or attempt used" in run.sentence
    assert run.job is None
