"""Watches what running attempts use. Apart from the worker's steps, so that none of them waits for a measurement."""

from __future__ import annotations

import logging
import time
import uuid

from django.db import transaction

from runner import gpus, notify, usage
from runner.engines.base import Engine
from runner.models import Attempt
from runner.spec import Reading

log = logging.getLogger("seodang.sampler")


class Sampler:
    """``once`` takes a sample of each attempt that is due for one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._last: dict[uuid.UUID, Reading] = {}
        self._due: dict[uuid.UUID, float] = {}  # by this process's monotonic clock

    def once(self) -> int:
        """How many samples were written. Raises EngineUnavailable, and then the rest waits for the next time."""
        running = list(Attempt.objects.filter(state="running").select_related("job"))
        live = {attempt.id for attempt in running}
        for kept in (self._last, self._due):
            for key in kept.keys() - live:
                del kept[key]
        now = time.monotonic()
        due = [attempt for attempt in running if self._due.get(attempt.id, now) <= now]
        return sum(self._sample(attempt, now) for attempt in due)

    def _sample(self, attempt: Attempt, now: float) -> bool:
        self._due[attempt.id] = now + usage.SAMPLE_SECONDS
        reading = self.engine.usage(str(attempt.id))
        before = self._last.get(attempt.id) or _since_start(attempt)
        if reading is None:
            return False
        self._last[attempt.id] = reading
        if before is None:  # another runner took the samples until now, and its last reading went with it
            return False
        leased = attempt.leases.filter(device__kind="gpu").order_by("device__index")
        loads = gpus.loads(list(leased.values_list("device__uuid", flat=True)))
        return write(attempt, usage.sample(reading, before, loads))


def _since_start(attempt: Attempt) -> Reading | None:
    """What a first sample counts from: a container that has used nothing yet."""
    if attempt.usage or attempt.started_at is None:
        return None
    return Reading(attempt.started_at.timestamp(), 0.0, 0)


def write(attempt: Attempt, sample: usage.Sample) -> bool:
    """Keep the sample and tell the run's viewers; nothing happens when the attempt is no longer this one's to write."""
    with transaction.atomic():
        won = Attempt.objects.filter(id=attempt.id, fence=attempt.fence, state="running").update(
            usage=usage.add(attempt.usage, sample)
        )
        if won and (run := attempt.job.spec["env"].get("SEODANG_RUN")):
            notify.send(f"run.{run}", {"type": "run.usage", "sample": sample})
    return bool(won)
