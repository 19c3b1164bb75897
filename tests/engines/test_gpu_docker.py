"""Which GPUs reach a container, on a real daemon whose NVIDIA hook writes down what it is asked for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from runner import images, queue
from runner.engines.docker import DockerEngine
from runner.models import Attempt, Job, Lease
from runner.worker import Worker

from .daemon import Daemon, running_daemon
from .jobs import enqueue, gpus, small, turn_until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
SHOW = "import os; print('SEES', os.environ['NVIDIA_VISIBLE_DEVICES'])"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon(hook=True) as made:
        # As the CUDA images do: an image that asks for every GPU of the machine.
        made.load(images.tag("base"), "ENV NVIDIA_VISIBLE_DEVICES=all", "ENV NVIDIA_DRIVER_CAPABILITIES=compute")
        yield made


@pytest.fixture
def worker(daemon: Daemon, settings: Any) -> Iterator[Worker]:
    yield from _worker(daemon, settings)


def _worker(daemon: Daemon, settings: Any) -> Iterator[Worker]:
    settings.DOCKER_HOST = daemon.address
    made = Worker(DockerEngine(daemon.address))
    made.register()
    yield made
    made.sweep()


def visible(daemon: Daemon, attempt: Attempt) -> list[str]:
    """Every value of NVIDIA_VISIBLE_DEVICES that the hook was given for the attempt's container."""
    labelled = daemon.client.containers.list(all=True, filters={"label": f"seodang.attempt={attempt.id}"})
    told = json.loads((daemon.asked / labelled[0].id).read_text())
    assert told["arguments"] == ["prestart"]
    return [line.split("=", 1)[1] for line in told["env"] if line.startswith("NVIDIA_VISIBLE_DEVICES=")]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_container_gets_the_leased_uuids_and_no_other(daemon: Daemon, worker: Worker, count: int) -> None:
    have = gpus(4)
    job = turn_until(worker, enqueue(small(SHOW + "; import time; time.sleep(600)", gpus=count)), "running")
    attempt = Attempt.objects.get(job=job)
    leased = set(Lease.objects.filter(attempt=attempt).values_list("device__uuid", flat=True))
    assert len(leased) == count and leased <= set(have)
    values = visible(daemon, attempt)
    assert values
    for value in values:
        assert set(value.split(",")) == leased, "never all, never an index"
    queue.request_stop(job.id)
    assert turn_until(worker, job, "ended").outcome == "stopped"
    assert not Lease.objects.filter(released_at=None).exists()


def test_two_runs_side_by_side_get_different_gpus(daemon: Daemon, worker: Worker) -> None:
    gpus(2)
    jobs = [enqueue(small("import time; time.sleep(600)", gpus=1), owner) for owner in ("maple", "oak")]
    seen = [visible(daemon, Attempt.objects.get(job=turn_until(worker, job, "running"))) for job in jobs]
    assert {value for values in seen for value in values} == {"GPU-local-0000-0000", "GPU-local-0000-0001"}
    assert all(len(set(values)) == 1 for values in seen)
    for job in jobs:
        queue.request_stop(job.id)
        turn_until(worker, job, "ended")


def test_a_job_without_gpus_gets_none_though_its_image_asks_for_all(daemon: Daemon, worker: Worker) -> None:
    gpus(2)
    before = set(daemon.asked.iterdir())
    job = turn_until(worker, enqueue(small(SHOW)), "ended")
    assert job.outcome == "succeeded"
    assert log(job) == "SEES void\n"
    assert set(daemon.asked.iterdir()) == before, "the hook was not called"


def test_the_command_sees_its_uuids(worker: Worker) -> None:
    (only,) = gpus(1)
    assert log(turn_until(worker, enqueue(small(SHOW, gpus=1)), "ended")) == f"SEES {only}\n"


@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "LD_PRELOAD"])
def test_a_spec_that_would_choose_its_devices_is_refused(daemon: Daemon, worker: Worker, name: str) -> None:
    gpus(1)
    before = set(daemon.asked.iterdir())
    job = turn_until(worker, enqueue(small(SHOW, gpus=1, env={name: "all"})), "ended")
    assert job.outcome == "lost"
    assert f"The environment variable {name} is not allowed." in job.detail["error"]
    assert set(daemon.asked.iterdir()) == before
    assert daemon.client.containers.list(all=True) == []


def test_more_gpus_than_a_node_has_are_refused_at_once() -> None:
    gpus(2)
    gpus(3, node="other")
    with pytest.raises(queue.TooManyGpus, match=r"needs 4 GPU\(s\) on one node; the largest node has 3"):
        enqueue(small(SHOW, gpus=4))


def test_without_the_hook_it_is_the_operators_fault(settings: Any) -> None:
    """The daemon answers that it has no such driver: tried again, ended as lost, and charged to nobody."""
    with running_daemon() as plain:
        plain.load(images.tag("base"))
        for worker in _worker(plain, settings):
            gpus(1)
            job = turn_until(worker, enqueue(small(SHOW, gpus=1)), "ended")
            assert plain.client.containers.list(all=True) == [], "what was created and could not start is gone"
    assert job.outcome == "lost"
    assert "could not select device driver" in job.detail["error"]
    tries = Attempt.objects.filter(job=job).order_by("number")
    assert [one.outcome for one in tries] == ["lost"] * job.tries_max
    assert all("could not select device driver" in one.detail["error"] for one in tries)
    assert not Lease.objects.filter(released_at=None).exists()
    assert charged(job) == 0


def charged(job: Job) -> float:
    """Slot-seconds that the fair share counts against the job's owner."""
    from django.utils import timezone

    return sum(one.slot_seconds for one in queue._usages(timezone.now()) if one.share == job.share_path)


def log(job: Job) -> str:
    from runner import blobs

    with blobs.open_blob(job.detail["log"]["head"]) as source:
        return source.read().decode()


def test_the_container_is_named_by_its_attempt(daemon: Daemon, worker: Worker) -> None:
    job = turn_until(worker, enqueue(small("import time; time.sleep(600)")), "running")
    names = [one.name for one in daemon.client.containers.list()]
    assert [uuid.UUID(name) for name in names] == [Attempt.objects.get(job=job).id]
    queue.request_stop(job.id)
    turn_until(worker, job, "ended")
