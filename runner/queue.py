"""The database's side of running jobs: enqueue, plan, lease, and every transition, each by compare-and-swap."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.db import connection, transaction
from django.db.models import F, Q

from runner import notify, policy, states
from runner.models import Attempt, Device, Job, JobState, Lease, Node, OutboxEvent
from runner.sentences import Said, tell
from runner.spec import JobSpec

log = logging.getLogger("seodang.queue")
Handler = Callable[[OutboxEvent], None]
HANDLERS: dict[str, Handler] = {}
ReasonHandler = Callable[[list[uuid.UUID]], None]
REASON_HANDLERS: dict[str, ReasonHandler] = {}
PLAN_LOCK = 7_316_001  # advisory: one planner at a time
QUEUE_MAX = 2_000  # jobs that one plan looks at: all that is express, then the oldest
USAGE_LOOKED_AT = dt.timedelta(days=2)  # eight half-lives: older use weighs less than a 250th
EXPRESS_USAGE_LOOKED_AT = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Blocked:
    """Why no job of an environment starts; ``ends`` says that waiting would not help."""

    reason: str
    ends: bool = False


Gate = Callable[[set[str]], Mapping[str, Blocked]]  # environments → those that are not ready


class TooManyGpus(Said):
    """No node has that many GPUs, and waiting would not help."""

    def __init__(self, asked: int, most: int) -> None:
        super().__init__(
            tell("This needs {asked} GPU(s) on one node; the largest node has {most}.", asked=asked, most=most)
        )
        self.asked, self.most = asked, most


def database_now() -> dt.datetime:
    """One clock for all durations: a node's own may jump, and two nodes' differ."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cast(dt.datetime, cursor.fetchone()[0])


def subscribe(name: str, handler: Handler) -> None:
    """Have ``handler`` called for each event of each job, at least once, in a transaction of its own."""
    HANDLERS[name] = handler


def on_reasons(name: str, handler: ReasonHandler) -> None:
    """Have ``handler`` called with the jobs that now wait for another reason, in the plan's transaction. A hint for
    viewers: what it misses is in the rows."""
    REASON_HANDLERS[name] = handler


def largest_node_gpus() -> int:
    """GPUs of the node that has most."""
    nodes = Counter(Device.objects.filter(kind="gpu", gone=False).values_list("node_id", flat=True))
    return max(nodes.values(), default=0)


def has_runtime(name: str) -> bool:
    """Whether some node runs containers under it; "" is the engine's own, which each has."""
    return not name or Node.objects.filter(runtimes__contains=[name]).exists()


def enqueue(
    spec: JobSpec, *, owner_key: str, share_path: str, owner_running_max: int = 0, express: bool = False
) -> Job:
    """Add a job in the caller's transaction. Raises TooManyGpus."""
    if spec.gpus and spec.gpus > (most := largest_node_gpus()):
        raise TooManyGpus(spec.gpus, most)
    job = Job.objects.create(
        kind=spec.kind,
        spec=spec.to_json(),
        owner_key=owner_key,
        owner_running_max=owner_running_max,
        share_path=share_path,
        priority_class="express" if express else "normal",
    )
    notify.signal(notify.JOBS, str(job.id))
    return job


def request_stop(job_id: uuid.UUID) -> bool:
    """Stop a job, whatever its state. Twice is once: whether this was the first time and it had not ended."""
    with transaction.atomic():
        now = database_now()
        first = (
            Job.objects.filter(id=job_id, stop_requested_at=None)
            .exclude(state=JobState.ENDED)
            .update(stop_requested_at=now)
        )
        ended = Job.objects.filter(id=job_id, state=JobState.QUEUED).update(
            state=JobState.ENDED, outcome=states.STOPPED, ended_at=now
        )
        if ended:
            _emit("job_ended", job_id)
        notify.signal(notify.JOBS, str(job_id))
        return bool(first)


def _emit(kind: str, job_id: uuid.UUID, **payload: Any) -> None:
    OutboxEvent.objects.bulk_create(
        OutboxEvent(handler=name, kind=kind, job_id=job_id, payload=payload) for name in HANDLERS
    )


def _waiting(job: Job, blocked: str) -> policy.Waiting:
    spec = JobSpec.from_json(job.spec)
    return policy.Waiting(
        id=str(job.id),
        share=job.share_path,
        owner=job.owner_key,
        owner_running_max=job.owner_running_max,
        express=job.priority_class == "express",
        gpus=spec.gpus,
        wall_seconds_max=spec.limits.wall_seconds_max,
        queued_at=job.created_at.timestamp(),
        held=job.held,
        blocked=blocked,
    )


def _free_slots() -> list[policy.Slot]:
    taken = set(Lease.objects.filter(released_at=None).values_list("device__uuid", "slot"))
    devices = (
        Device.objects.filter(gone=False, drained=False, node__drained=False)
        .select_related("node")
        .order_by("node", "index")
    )
    return [
        policy.Slot(device.uuid, slot, device.node.name, device.kind)
        for device in devices
        for slot in range(device.slots)
        if (device.uuid, slot) not in taken
    ]


def _usages(now: dt.datetime) -> list[policy.Usage]:
    """Charges from the rows themselves: the limit while it runs, the real time once it ended."""
    normal = Q(job__priority_class="normal", created_at__gt=now - USAGE_LOOKED_AT)
    express = Q(job__priority_class="express", created_at__gt=now - EXPRESS_USAGE_LOOKED_AT)
    rows = Attempt.objects.filter(normal | express).values_list(
        "job__share_path", "job__spec__gpus", "job__spec__limits__wall_seconds_max", "created_at", "ended_at", "outcome",
        "job__priority_class",
    )  # fmt: skip
    return [
        policy.Usage(
            share,
            max(1, gpus or 0) * ((ended - created).total_seconds() if ended else float(wall)),
            created.timestamp(),
            priority == "express",
        )
        for share, gpus, wall, created, ended, outcome, priority in rows
        if outcome not in states.OURS
    ]


def schedule(gate: Gate | None = None) -> list[Attempt]:
    """Plan once: make attempts with their leases for what starts, write down why the rest waits.

    What ``gate`` blocks leases nothing, and ends where it says so.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PLAN_LOCK])
        now = database_now()
        ready = Q(not_before=None) | Q(not_before__lte=now)
        jobs = list(
            Job.objects.filter(ready, state=JobState.QUEUED).order_by("priority_class", "created_at")[:QUEUE_MAX]
        )
        if not jobs:
            return []
        running = Counter(
            Job.objects.filter(state__in=[JobState.STARTING, JobState.RUNNING], owner_running_max__gt=0).values_list(
                "owner_key", flat=True
            )
        )
        blocked = gate({job.spec["environment"] for job in jobs}) if gate else {}
        jobs = [job for job in jobs if not _refuse(job, blocked.get(job.spec["environment"]), now)]
        reasons = {name: why.reason for name, why in blocked.items()}
        waiting = {str(job.id): _waiting(job, reasons.get(job.spec["environment"], "")) for job in jobs}
        plan = policy.plan(list(waiting.values()), _free_slots(), _usages(now), running, now.timestamp())
        by_id = {str(job.id): job for job in jobs}
        attempts = [one for start in plan.starts if (one := _begin(by_id[start.job], start, now)) is not None]
        _explain(plan, by_id, waiting, now)
        return attempts


def _refuse(job: Job, blocked: Blocked | None, now: dt.datetime) -> bool:
    """End a job that could never start, at no cost and without a try."""
    if blocked is None or not blocked.ends:
        return False
    ended = Job.objects.filter(id=job.id, state=JobState.QUEUED).update(
        state=JobState.ENDED, outcome=states.REFUSED, detail={"error": blocked.reason}, ended_at=now, reason=""
    )
    if ended:
        _emit("job_ended", job.id)
    return True


def _begin(job: Job, start: policy.Start, now: dt.datetime) -> Attempt | None:
    won = Job.objects.filter(id=job.id, state=JobState.QUEUED).update(
        state=JobState.STARTING, tries=F("tries") + 1, reason="", position=None, expected_start_at=None
    )
    if not won:
        return None
    devices = {device.uuid: device for device in Device.objects.filter(uuid__in=[slot.device for slot in start.slots])}
    node_id = next(iter(devices.values())).node_id
    attempt = Attempt.objects.create(job=job, number=job.tries + 1, node_id=node_id, created_at=now)
    Lease.objects.bulk_create(
        Lease(attempt=attempt, device=devices[slot.device], slot=slot.slot) for slot in start.slots
    )
    _emit("job_starting", job.id, attempt=attempt.number)
    notify.signal(notify.ATTEMPTS, str(attempt.id))
    return attempt


def _explain(plan: policy.Plan, jobs: dict[str, Job], waiting: dict[str, policy.Waiting], now: dt.datetime) -> None:
    live = (
        Attempt.objects.exclude(state="ended")
        .filter(leases__device__kind__in=["cpu", "gpu"])
        .values_list("created_at", "job__spec__limits__wall_seconds_max")
    )
    busy = [created.timestamp() + wall for created, wall in live]
    slots = sum(
        Device.objects.exclude(kind="express").filter(gone=False, drained=False).values_list("slots", flat=True)
    )
    expected = policy.expected_starts([waiting[key] for key in plan.order], busy, slots, now.timestamp())
    changed, told = [], []
    for position, key in enumerate(plan.order, start=1):
        job = jobs[key]
        at = dt.datetime.fromtimestamp(expected[key], dt.UTC) if key in expected else None
        reason = plan.reasons[key]
        if job.reason != reason:
            told.append(job.id)
        if (job.position, job.reason) != (position, reason) or job.expected_start_at != at:
            job.position, job.reason, job.expected_start_at = position, reason, at
            changed.append(job)
    Job.objects.bulk_update(changed, ["position", "reason", "expected_start_at"], batch_size=500)
    for handler in REASON_HANDLERS.values() if told else ():
        try:
            with transaction.atomic():
                handler(told)
        except Exception:  # viewers that hear nothing must not stop the plan
            log.exception("action=reasons_failed")


def choose_image(attempt: Attempt, image: str) -> str:
    """Write down the image that the attempt starts with; when it is asked again, the one it started with."""
    chosen: str = attempt.detail.setdefault("image", image)
    Attempt.objects.filter(id=attempt.id, fence=attempt.fence, state="starting").update(detail=attempt.detail)
    return chosen


def mark_running(attempt: Attempt) -> bool:
    """The container runs. False when another worker won."""
    with transaction.atomic():
        won = Attempt.objects.filter(id=attempt.id, fence=attempt.fence, state="starting").update(
            state="running", started_at=database_now()
        )
        if won and Job.objects.filter(id=attempt.job_id, state=JobState.STARTING).update(state=JobState.RUNNING):
            _emit("job_started", attempt.job_id, attempt=attempt.number)
        return bool(won)


def finish(attempt: Attempt, ending: states.Ending, detail: dict[str, Any]) -> bool:
    """The container is confirmed gone and its files are blobs: free the slots, end or requeue the job.

    False when another worker won: then nothing was written.
    """
    with transaction.atomic():
        now = database_now()
        job = Job.objects.select_for_update().get(id=attempt.job_id)
        detail = {**detail, "exit_code": ending.exit_code, "warning": ending.warning}
        won = (
            Attempt.objects.filter(id=attempt.id, fence=attempt.fence)
            .exclude(state="ended")
            .update(state="ended", outcome=ending.outcome, ended_at=now, detail=detail)
        )
        if not won:
            return False
        Lease.objects.filter(attempt=attempt, released_at=None).update(released_at=now)
        stopped = job.stop_requested_at is not None
        if states.retries(ending.outcome, job.tries, job.tries_max) and not stopped:
            Job.objects.filter(id=job.id).update(
                state=JobState.QUEUED, not_before=now + dt.timedelta(seconds=2**job.tries - 1)
            )
            _emit("job_retrying", job.id, attempt=attempt.number, outcome=ending.outcome)
        else:
            Job.objects.filter(id=job.id).update(
                state=JobState.ENDED, outcome=ending.outcome, detail=detail, ended_at=now
            )
            _emit("job_ended", job.id)
        notify.signal(notify.JOBS, str(job.id))
        notify.signal(notify.ATTEMPTS, str(attempt.id))
        return True


def deliver_one() -> bool:
    """Hand one open event to its handler; whether there was one. A handler that raises is tried later, alone."""
    now = database_now()
    with transaction.atomic():
        event = (
            OutboxEvent.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("job")
            .filter(Q(next_try_at=None) | Q(next_try_at__lte=now), handled_at=None, handler__in=list(HANDLERS))
            .order_by("id")
            .first()
        )
        if event is None:
            return False
        try:
            with transaction.atomic():
                HANDLERS[event.handler](event)
                event.handled_at = now
        except Exception as error:  # one bad row must not stop the service
            log.exception("action=outbox_failed event=%s", event.id)
            event.tries += 1
            event.error = repr(error)[:2000]
            event.next_try_at = now + dt.timedelta(seconds=min(300, 2**event.tries))
        event.save(update_fields=["handled_at", "tries", "error", "next_try_at"])
        return True
