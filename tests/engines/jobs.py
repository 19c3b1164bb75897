"""Jobs and GPUs for tests of the runner alone: no course, no gateway."""

from __future__ import annotations

import time
from collections.abc import Mapping

from runner import queue
from runner.models import Attempt, Device, Job, Node
from runner.spec import JobSpec, Limits
from runner.worker import Worker
from tests.stack import turn

SECONDS_MAX = 60


def small(script: str, *, gpus: int = 0, env: Mapping[str, str] | None = None, wall_seconds_max: int = 60) -> JobSpec:
    """A job that runs the script with Python."""
    return JobSpec(
        kind="run",
        command=("python3", "-c", script),
        environment="base",
        env=env or {"PYTHONUNBUFFERED": "1"},
        limits=Limits(memory_bytes=256 << 20, wall_seconds_max=wall_seconds_max, output_bytes_max=1 << 20),
        gpus=gpus,
    )


def enqueue(spec: JobSpec, owner: str = "maple") -> Job:
    return queue.enqueue(spec, owner_key=owner, share_path=f"ml/{owner}")


def gpus(count: int, slots: int = 1, node: str = "local") -> list[str]:
    """Rows for this many GPUs of the node; their UUIDs."""
    place, _ = Node.objects.get_or_create(name=node)
    uuids = [f"GPU-{node}-0000-{number:04}" for number in range(count)]
    for number, uuid in enumerate(uuids):
        Device.objects.create(node=place, uuid=uuid, kind="gpu", index=number, name="H100", slots=slots)
    return uuids


def turn_until(worker: Worker, job: Job, *states: str) -> Job:
    """Turn until the job is in one of the states; it as it is then."""
    end = time.monotonic() + SECONDS_MAX
    while True:
        job.refresh_from_db()
        if job.state in states:
            return job
        assert time.monotonic() < end, (job.state, job.reason, list(Attempt.objects.filter(job=job).values()))
        Job.objects.filter(id=job.id).update(not_before=None)  # a retry's pause is no part of what is tested
        turn(worker)
