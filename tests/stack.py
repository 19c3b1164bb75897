"""The real worker, engine and gateway, driven step by step by a test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from courses.assignments.models import Assignment
from courses.submissions import services
from courses.submissions.models import Run
from hub.tracking.sockets import Gateway, make_pool, watch
from runner import images, queue
from runner.engines.docker import DockerEngine
from runner.models import Attempt, Job, OutboxEvent
from runner.worker import Worker

from .world import EXAMPLES, World, zip_of

SECONDS_MAX = 120


def make_worker() -> Worker:
    images.ensure_image("base", lambda line: None)
    worker = Worker(DockerEngine(settings.DOCKER_HOST))
    worker.register()
    return worker


def turn(worker: Worker) -> None:
    """Plan once, advance each attempt once, deliver what is open."""
    queue.schedule()
    for attempt in Attempt.objects.exclude(state="ended").select_related("job"):
        worker.step(attempt)
    while queue.deliver_one():
        pass


def drive(worker: Worker) -> None:
    """Turn until nothing is left to do."""
    end = time.monotonic() + SECONDS_MAX
    while Job.objects.exclude(state="ended").exists() or OutboxEvent.objects.filter(handled_at=None).exists():
        assert time.monotonic() < end, list(Job.objects.exclude(state="ended").values())
        turn(worker)


def push(world: World, assignment: Assignment, files: dict[str, str], tmp_path: Path, submit: bool = True) -> Run:
    """A push of these files by the student."""
    archive = tmp_path / "push.zip"
    archive.write_bytes(zip_of(files))
    return services.start_run(world.student, assignment, archive, submit=submit)


def example_code(name: str, kind: str = "baseline") -> dict[str, str]:
    folder = EXAMPLES / name / kind
    return {path.name: path.read_text() for path in folder.glob("*.py")}


@contextlib.contextmanager
def running_gateway() -> Iterator[None]:
    """The real gateway, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with make_pool() as pool:
            made = Gateway(pool)
            try:
                await watch(made)
            finally:
                for runner in made.runners.values():
                    await runner.cleanup()

    task = loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        while not task.done():
            time.sleep(0.01)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
