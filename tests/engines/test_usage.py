"""What a real container uses, as the engine tells and as its attempt's row keeps it."""

from __future__ import annotations

import time
import uuid

import pytest
from django.conf import settings

from runner import attempts, images, queue, usage
from runner.engines.docker import DockerEngine
from runner.models import Attempt, Job
from runner.sampler import Sampler, write
from runner.sentences import read
from runner.spec import ContainerSpec, JobSpec
from tests.stack import make_worker

from .jobs import enqueue, small, turn_until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
SECONDS_MAX = 60
MIB = 1 << 20
HOLD = """
import os, time
held = b"x" * (100 << 20)
print("held", flush=True)
while not os.path.exists("/out/busy"): time.sleep(0.05)
before = time.process_time()
while time.process_time() < before + 1.0: pass
print("burned", flush=True)
while not os.path.exists("/out/stop"): time.sleep(0.05)
"""


def sampled(sampler: Sampler, attempt: Attempt) -> usage.Sample:
    """The next sample, whether it is due or not."""
    sampler._due.clear()
    before = len(attempt.usage)
    end = time.monotonic() + SECONDS_MAX
    while True:
        sampler.once()
        attempt.refresh_from_db()
        if len(attempt.usage) > before:
            last: usage.Sample = attempt.usage[-1]
            return last
        assert time.monotonic() < end
        sampler._due.clear()


def until_printed(attempt: Attempt, word: bytes) -> None:
    end = time.monotonic() + SECONDS_MAX
    while word not in attempts.log_part(attempt, "log.head"):
        assert time.monotonic() < end
        time.sleep(0.05)  # the launcher's log is a file that it grows


def test_a_busy_loop_and_its_memory_are_seen() -> None:
    worker = make_worker()
    job = turn_until(worker, enqueue(small(HOLD)), "running")
    attempt = Attempt.objects.get(job=job)
    until_printed(attempt, b"held")
    sampler = Sampler(worker.engine)
    first = sampled(sampler, attempt)
    assert sampler.once() == 0, "none is due twice in five seconds"
    before = worker.engine.usage(str(attempt.id))
    (attempts.folders(attempt).out / "busy").touch()
    until_printed(attempt, b"burned")
    busy = sampled(sampler, attempt)
    after = worker.engine.usage(str(attempt.id))
    assert before is not None and after is not None
    assert 0.9 < after.cpu_seconds - before.cpu_seconds < 1.6, "one second of one core"
    share = (after.cpu_seconds - before.cpu_seconds) / (after.at - before.at)
    assert float(busy[1] or 0) == pytest.approx(share, rel=0.5) and float(busy[1] or 0) <= 1.2, (busy, share)
    for one in (first, busy):
        assert 100 * MIB < int(one[2] or 0) < 200 * MIB, one
        assert one[3:] == [None, None], "no GPU, no figure"
    (attempts.folders(attempt).out / "stop").touch()
    turn_until(worker, job, "ended")
    attempt.refresh_from_db()
    assert attempt.usage == [first, busy], "the row of an ended attempt keeps what was seen"
    assert sampler.once() == 0


def test_the_cache_of_a_written_file_is_not_memory_in_use() -> None:
    worker = make_worker()
    script = """
import os, time
with open("/out/big", "wb") as sink:
    for _ in range(60): sink.write(b"x" * (1 << 20))
print("held", flush=True)
while not os.path.exists("/out/stop"): time.sleep(0.05)
"""
    spec = small(script)
    raw = spec.to_json()
    raw["limits"]["output_bytes_max"] = 100 * MIB
    job = turn_until(worker, enqueue(JobSpec.from_json(raw)), "running")
    attempt = Attempt.objects.get(job=job)
    until_printed(attempt, b"held")
    seen = sampled(Sampler(worker.engine), attempt)
    assert int(seen[2] or 0) < 60 * MIB, seen
    queue.request_stop(job.id)
    turn_until(worker, job, "ended")


def test_usage_of_what_does_not_run_is_none() -> None:
    """Before the start, after the end, when it is gone, and twice."""
    engine = DockerEngine(settings.DOCKER_HOST)
    name = str(uuid.uuid4())
    assert engine.usage(name) is None
    worker = make_worker()
    job = turn_until(worker, enqueue(small("pass")), "running")
    attempt = Attempt.objects.get(job=job)
    end = time.monotonic() + SECONDS_MAX
    while engine.poll(str(attempt.id)).state == "running":
        assert time.monotonic() < end
        engine.usage(str(attempt.id))  # also while it ends
    assert engine.poll(str(attempt.id)).state == "exited"
    assert engine.usage(str(attempt.id)) is None and engine.usage(str(attempt.id)) is None
    turn_until(worker, job, "ended")
    assert engine.usage(str(attempt.id)) is None
    made = ContainerSpec(name, images.tag("base"), ("true",), {}, {}, (), small("").limits)
    engine._create(made, {})
    try:
        assert engine.usage(name) is None
    finally:
        engine.remove(name)


def test_a_lost_fence_and_an_ended_attempt_are_not_written_to() -> None:
    worker = make_worker()
    job = turn_until(worker, enqueue(small("import time; time.sleep(600)")), "running")
    attempt = Attempt.objects.select_related("job").get(job=job)
    sample: usage.Sample = [1.0, 1.0, 1, None, None]
    stale = Attempt.objects.select_related("job").get(id=attempt.id)
    stale.fence = uuid.uuid4()
    assert not write(stale, sample)
    assert write(attempt, sample)
    queue.request_stop(job.id)
    turn_until(worker, job, "ended")
    assert not write(attempt, [2.0, 1.0, 1, None, None])
    attempt.refresh_from_db()
    assert attempt.usage == [sample]


def test_hardly_room_in_memory_is_said_at_the_end() -> None:
    worker = make_worker()
    job = turn_until(worker, enqueue(small("import time; print('up'); time.sleep(1)")), "running")
    attempt = Attempt.objects.select_related("job").get(job=job)
    assert write(attempt, [1.0, 1.0, int(0.98 * job.spec["limits"]["memory_bytes"]), None, None])
    ended = turn_until(worker, job, "ended")
    assert ended.outcome == "succeeded"
    assert read(ended.detail["warning"]).startswith("Memory peaked at 98 percent of its limit;")


def test_a_next_runner_goes_on_without_a_false_sample() -> None:
    worker = make_worker()
    job = turn_until(worker, enqueue(small(HOLD)), "running")
    attempt = Attempt.objects.get(job=job)
    until_printed(attempt, b"held")
    sampled(Sampler(worker.engine), attempt)
    adopted = Sampler(worker.engine)
    assert adopted.once() == 0, "it knows no reading to count from"
    sampled(adopted, attempt)
    assert len(attempt.usage) == 2
    (attempts.folders(attempt).out / "busy").touch()
    (attempts.folders(attempt).out / "stop").touch()
    turn_until(worker, job, "ended")
    assert Job.objects.get(id=job.id).outcome == "succeeded"
