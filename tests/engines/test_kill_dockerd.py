"""``kill -9`` of dockerd in the middle of a run: after its restart the run ends as it would have, once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import attempts, blobs, images
from runner.engines.base import EngineUnavailable
from runner.engines.docker import DockerEngine
from runner.models import Attempt, Job, Lease
from runner.worker import Worker
from tests.stack import turn

from .daemon import Daemon, running_daemon
from .jobs import SECONDS_MAX, enqueue, small, turn_until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
STEPS = 60
STEADY = f"""
import os, time
print("try", os.environ["SEODANG_TRY"])
for step in range({STEPS}):
    print("step", step)
    time.sleep(0.1)
"""
BRIEF = STEADY.replace("0.1", "0.03")
# It answers a request to end by ending well, in the middle of its work.
POLITE = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + STEADY
FAILING = BRIEF + "\nraise SystemExit(3)\n"


@pytest.fixture(params=[False, True], ids=["plain", "live-restore"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with running_daemon(live_restore=request.param) as made:
        made.load(images.tag("base"))
        yield made


@pytest.fixture
def worker(daemon: Daemon, settings: Any) -> Iterator[Worker]:
    settings.DOCKER_HOST = daemon.address
    made = Worker(DockerEngine(daemon.address))
    made.register()
    yield made
    made.sweep()


def running(worker: Worker, script: str) -> tuple[Job, Attempt]:
    """A job whose log has come to its fifth step."""
    job = turn_until(worker, enqueue(small(script)), "running")
    attempt = Attempt.objects.get(job=job)
    await_log(attempt, b"step 5\n")
    return job, attempt


def await_log(attempt: Attempt, words: bytes) -> None:
    end = time.monotonic() + SECONDS_MAX
    while words not in attempts.log_part(attempt, "log.head"):
        assert time.monotonic() < end
        time.sleep(0.02)


def log(job: Job) -> list[str]:
    with blobs.open_blob(job.detail["log"]["head"]) as source:
        return source.read().decode().splitlines()


def ended_once(daemon: Daemon, job: Job, tries: list[str]) -> None:
    found = Attempt.objects.filter(job=job).order_by("number")
    assert [one.outcome for one in found] == tries, [one.detail for one in found]
    assert not Lease.objects.filter(released_at=None).exists()
    assert daemon.client.containers.list(all=True) == []


@pytest.mark.parametrize("script", [STEADY, POLITE], ids=["steady", "polite"])
def test_killed_and_back_in_the_middle(daemon: Daemon, worker: Worker, script: str) -> None:
    """A plain daemon ends what it finds running: tried again, our fault. One with live-restore lets it run: adopted."""
    job, attempt = running(worker, script)
    daemon.kill()
    with pytest.raises(EngineUnavailable):
        worker.step(attempt)
    attempt.refresh_from_db()
    assert attempt.state == "running", "nothing is known, so nothing is decided"
    daemon.start()
    job = turn_until(worker, job, "ended")
    tries = ["succeeded"] if daemon.live_restore else ["lost", "succeeded"]
    assert job.outcome == "succeeded", job.detail
    assert log(job) == [f"try {len(tries)}", *[f"step {number}" for number in range(STEPS)]]
    ended_once(daemon, job, tries)
    if not daemon.live_restore:
        lost = Attempt.objects.get(job=job, number=1)
        assert "from outside (its engine went down)" in lost.detail["error"]


@pytest.mark.parametrize(("script", "outcome"), [(BRIEF, "succeeded"), (FAILING, "failed")], ids=["well", "badly"])
def test_the_command_ends_while_dockerd_is_away(daemon: Daemon, worker: Worker, script: str, outcome: str) -> None:
    """Whatever the daemon makes of it afterwards, a run that ended well is never told that it failed, nor the reverse."""
    job, attempt = running(worker, script)
    daemon.kill()
    status = attempts.folders(attempt).io / "status.json"
    end = time.monotonic() + SECONDS_MAX
    while not status.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    worker.doubt()  # as the loop does when the stream of events breaks
    daemon.start()
    job = turn_until(worker, job, "ended")
    assert job.outcome == outcome, job.detail
    assert log(job)[-1] == f"step {STEPS - 1}"
    tries = [one.outcome for one in Attempt.objects.filter(job=job).order_by("number")]
    assert tries in ([outcome], ["lost", outcome])
    ended_once(daemon, job, tries)


def test_dockerd_dies_with_everything_of_its(daemon: Daemon, worker: Worker, tmp_path: Path) -> None:
    """As when the machine falls: the shims and the containers die too, and nobody writes a status."""
    job, attempt = running(worker, STEADY)
    pid = daemon.client.containers.get(str(attempt.id)).attrs["State"]["Pid"]
    daemon.kill()
    os.kill(pid, 9)
    worker.doubt()
    daemon.start()
    turn(worker)
    job = turn_until(worker, job, "ended")
    assert job.outcome == "succeeded", job.detail
    ended_once(daemon, job, ["lost", "succeeded"])
