"""The runner process as it is, all its threads together; and what it finds that nobody owns."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from django.conf import settings

from runner import attempts, blobs, images, loop, queue, states
from runner.engines.docker import DockerEngine
from runner.loop import Loop
from runner.models import Attempt, EnvironmentBuild, Job, Lease
from runner.spec import TreeInput
from runner.worker import Worker
from tests.stack import make_worker, turn

from .jobs import enqueue, small, turn_until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
SECONDS_MAX = 120
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


def until(found: Callable[[], Any]) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not found():
        assert time.monotonic() < end, list(Job.objects.values())
        time.sleep(0.05)  # rows that other threads write


@contextlib.contextmanager
def running() -> Iterator[Loop]:
    made = Loop(Worker(DockerEngine(settings.DOCKER_HOST)))
    thread = threading.Thread(target=loop._closing, args=(made.run,))
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(SECONDS_MAX)
        for one in threading.enumerate():  # ``events`` waits for the engine, and has no connection
            if one.name in {"listen", "outbox", "usage", "builds", "sweep"}:
                one.join(SECONDS_MAX)


def test_a_job_of_an_environment_that_nobody_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enqueued, built, run, sampled and swept, by the threads of one process."""
    client = docker.DockerClient(base_url=settings.DOCKER_HOST, version="1.41")
    folder = tmp_path / "environments/looped"
    folder.mkdir(parents=True)
    (folder / "base").write_text(images.ensure_base(client, lambda line: None))
    (folder / "requirements.txt").write_text(f"# {uuid.uuid4()}")
    monkeypatch.setattr(images, "ROOT", folder.parent)
    monkeypatch.setattr(loop, "SWEEP_SECONDS", 0.2)
    orphan = Path(settings.ATTEMPTS) / str(uuid.uuid4())
    try:
        with running():
            job = enqueue(replace(small("import time; time.sleep(3)"), environment="looped"))
            until(lambda: Job.objects.get(id=job.id).state == "running")
            orphan.mkdir(parents=True)
            until(lambda: Job.objects.get(id=job.id).state == "ended" and not orphan.exists())
        job.refresh_from_db()
        assert (job.outcome, job.tries) == ("succeeded", 1), job.detail
        assert EnvironmentBuild.objects.get().state == "ready"
        assert Attempt.objects.get(job=job).usage, "three seconds give one sample"
    finally:
        client.images.remove(images.tag("looped"), force=True)


def mounted(attempt: Attempt) -> bool:
    return any(str(attempt.id) in line for line in Path("/proc/mounts").read_text().splitlines())


@as_root
def test_a_crash_between_the_end_and_the_folders_leaves_no_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = make_worker()
    job = enqueue(small("pass"))
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "remove", lambda attempt: None)  # as if it died right before
        turn_until(worker, job, "ended")
    attempt = Attempt.objects.get(job=job)
    going_on = enqueue(small("import time; time.sleep(600)"))
    turn_until(worker, going_on, "running")
    other = Attempt.objects.get(job=going_on)
    assert mounted(attempt) and attempts.socket_folder(attempt).is_dir()
    worker.sweep()
    assert not mounted(attempt) and not attempts.folders(attempt).root.exists()
    assert not attempts.socket_folder(attempt).exists()
    assert mounted(other) and attempts.socket_folder(other).is_dir(), "one that lives is left alone"
    assert worker.engine.poll(str(other.id)).state == "running"
    queue.request_stop(going_on.id)
    turn_until(worker, going_on, "ended")


def test_what_is_no_attempts_folder_is_left_alone() -> None:
    stranger = Path(settings.ATTEMPTS) / "lost+found"
    stranger.mkdir(parents=True)
    make_worker().sweep()
    assert stranger.is_dir()


@as_root
def test_folders_that_cannot_be_made_are_ours_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """mkfs finds no room: the job is tried again and ends, where it used to be begun again for ever."""
    worker = make_worker()
    do = attempts._do
    monkeypatch.setattr(attempts, "_do", lambda words: do(["false"] if words[0].startswith("mkfs") else words))
    job = turn_until(worker, enqueue(small("pass")), "ended")
    assert (job.outcome, job.tries) == ("lost", job.tries_max)
    assert "It could not start: false failed" in job.detail["error"]
    assert not any(mounted(one) for one in Attempt.objects.all()), "not even the half that was made"
    assert not Lease.objects.filter(released_at=None).exists()
    with pytest.raises(attempts.NoFolders, match="mount failed"):
        do(["mount", "-t", "nothing", "nothing", str(settings.VAR)])


def test_code_that_cannot_be_unpacked_ends_the_job() -> None:
    worker = make_worker()
    spec = replace(small("pass"), inputs=(TreeInput(blobs.put_bytes(b"no tar" * 1000), "/code"),))
    job = turn_until(worker, enqueue(spec), "ended")
    assert job.outcome == "lost" and "It could not start" in job.detail["error"]


def test_who_lost_the_race_for_an_end_touches_nothing() -> None:
    worker = make_worker()
    job = turn_until(worker, enqueue(small("import time; time.sleep(600)")), "running")
    attempt = Attempt.objects.get(job=job)
    stale = Attempt.objects.select_related("job").get(id=attempt.id)
    stale.fence = uuid.uuid4()
    assert not queue.finish(stale, states.Ending(states.LOST, None), {})
    queue.request_stop(job.id)
    subprocess.run(["docker", "kill", str(attempt.id)], check=True, capture_output=True)
    worker.step(stale)
    attempt.refresh_from_db()
    assert attempt.state == "running" and attempts.folders(attempt).io.is_dir()
    turn(worker)
    attempt.refresh_from_db()
    assert attempt.state == "ended"
