"""Which waiting job starts on which slot. Pure and deterministic: the clock is an argument.

Order: sealed evaluations and preflights first (express), then the share (course, then team) that has used least,
with usage decayed by a half-life and charged at entry, so that a burst cannot game it; then first come. Express jobs
are first come too, until a share's last minutes of them add up: a script that pushes in a loop goes behind the class.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.sentences import tell

HALF_LIFE_SECONDS = 6 * 3600.0
EXPRESS_HALF_LIFE_SECONDS = 600.0
EXPRESS_STEP_SECONDS = 60.0  # of express use that make no difference: some pushes in ten minutes are ordinary work


@dataclass(frozen=True)
class Waiting:
    id: str
    share: str  # "course/team"
    owner: str
    owner_running_max: int  # 0: no limit
    express: bool
    gpus: int
    wall_seconds_max: float
    queued_at: float  # unix seconds
    held: bool = False
    blocked: str = ""  # why it cannot start wherever there is room, as runner.sentences writes it


@dataclass(frozen=True)
class Slot:
    device: str
    slot: int
    node: str
    kind: str  # gpu, cpu, express (for preflights and sealed evaluations alone)


@dataclass(frozen=True)
class Usage:
    """A past or present job's charge: its slots times its limit (or real) seconds."""

    share: str
    slot_seconds: float
    at: float
    express: bool = False


@dataclass(frozen=True)
class Start:
    job: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class Plan:
    starts: tuple[Start, ...]
    order: tuple[str, ...]  # those that go on waiting, first to go first
    reasons: Mapping[str, str]  # job → why it waits, as runner.sentences writes it


def decayed(usages: Iterable[Usage], now: float, half_life: float = HALF_LIFE_SECONDS) -> dict[str, float]:
    """Slot-seconds of each share and of each prefix of it, decayed."""
    total: dict[str, float] = defaultdict(float)
    for usage in usages:
        charge = usage.slot_seconds * 0.5 ** (max(0.0, now - usage.at) / half_life)
        for share in _prefixes(usage.share):
            total[share] += charge
    return total


def _prefixes(share: str) -> tuple[str, ...]:
    parts = share.split("/")
    return tuple("/".join(parts[: n + 1]) for n in range(len(parts)))


def plan(
    queue: Sequence[Waiting], free: Sequence[Slot], usages: Sequence[Usage], running: Mapping[str, int], now: float
) -> Plan:
    """What to start now. ``running`` counts each owner's jobs that run. A job of n GPUs needs n slots of one node
    (distinct devices); one of none takes a CPU slot, or a GPU slot where there are no CPU slots."""
    usage = decayed((one for one in usages if not one.express), now)
    quick = decayed((one for one in usages if one.express), now, EXPRESS_HALF_LIFE_SECONDS)
    counts = dict(running)
    left = list(free)
    starts: list[Start] = []
    waiting: list[str] = []
    reasons: dict[str, str] = {}
    heap = [(_key(job, usage, quick), job) for job in queue]
    heapq.heapify(heap)
    while heap:
        key, job = heapq.heappop(heap)
        fresh = _key(job, usage, quick)
        if fresh != key:  # its share was charged since it was pushed
            heapq.heappush(heap, (fresh, job))
            continue
        if job.held:
            reasons[job.id] = tell("Held by a TA.")
        elif job.blocked:
            reasons[job.id] = job.blocked
        elif job.owner_running_max and counts.get(job.owner, 0) >= job.owner_running_max:
            reasons[job.id] = tell(
                "Your team runs {running} of {most} at once.", running=counts[job.owner], most=job.owner_running_max
            )
        elif slots := _fit(job, left):
            starts.append(Start(job.id, slots))
            left = [slot for slot in left if slot not in slots]
            counts[job.owner] = counts.get(job.owner, 0) + 1
            charged = quick if job.express else usage
            for share in _prefixes(job.share):
                charged[share] = charged.get(share, 0.0) + max(1, job.gpus) * job.wall_seconds_max
            continue
        else:
            busy, wide = tell("All slots are busy."), tell("Waits for {n} GPUs on one node.", n=job.gpus)
            reasons[job.id] = busy if job.gpus < 2 else wide
        waiting.append(job.id)
    return Plan(tuple(starts), tuple(waiting), reasons)


def _key(job: Waiting, usage: Mapping[str, float], quick: Mapping[str, float]) -> tuple[object, ...]:
    if job.express:
        return (False, quick.get(job.share, 0.0) // EXPRESS_STEP_SECONDS, job.queued_at, job.id)
    return (True, *(usage.get(share, 0.0) for share in _prefixes(job.share)), job.queued_at, job.id)


def _fit(job: Waiting, free: Sequence[Slot]) -> tuple[Slot, ...]:
    if job.gpus == 0:
        kinds = ("express", "cpu") if job.express else ("cpu",)
        choice = next((slot for kind in kinds for slot in free if slot.kind == kind), None)
        return (choice,) if choice else ()
    by_node: dict[str, dict[str, list[Slot]]] = defaultdict(lambda: defaultdict(list))
    for slot in free:
        if slot.kind == "gpu":
            by_node[slot.node][slot.device].append(slot)
    fitting = [devices for devices in by_node.values() if len(devices) >= job.gpus]
    if not fitting:
        return ()
    tightest = min(fitting, key=len)  # keep wide nodes whole
    emptiest = sorted(tightest.values(), key=len, reverse=True)  # of GPUs in slots, those with fewest other runs
    return tuple(slots[0] for slots in emptiest[: job.gpus])


def expected_starts(order: Sequence[Waiting], busy_until: Sequence[float], slots: int, now: float) -> dict[str, float]:
    """When each waiting job should start, if all take their predicted time: a replay over ``slots`` equal slots."""
    if slots <= 0:
        return {}
    ends = sorted(max(now, end) for end in busy_until)[:slots]
    ends += [now] * (slots - len(ends))
    heapq.heapify(ends)
    expected: dict[str, float] = {}
    for job in order:
        if job.held or job.blocked:
            continue
        at = heapq.heappop(ends)
        expected[job.id] = at
        heapq.heappush(ends, at + job.wall_seconds_max)
    return expected
