"""The samples of what a run used: how a reading becomes one, how they are kept few, what they say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.gpus import Load
from runner.sentences import Written, tell
from runner.spec import Reading

SAMPLE_SECONDS = 5.0
SAMPLES_MAX = 360  # half an hour as it was sampled; a day in steps of five minutes
WARN_PERCENT = 95

Sample = list[float | int | None]  # unix seconds, cores, memory bytes, GPU percent, GPU memory bytes


def sample(now: Reading, before: Reading, loads: Sequence[Load | None] = ()) -> Sample:
    """What was used from ``before`` to ``now``. Of several GPUs: their mean load, and their memory together."""
    seconds = now.at - before.at
    cores = max(0.0, now.cpu_seconds - before.cpu_seconds) / seconds if seconds > 0 else 0.0
    known = [load for load in loads if load is not None]
    percent = round(sum(load.percent for load in known) / len(known)) if known else None
    gpu_memory = sum(load.memory_bytes for load in known) if known else None
    return [round(now.at, 1), round(cores, 2), now.memory_bytes, percent, gpu_memory]


def add(samples: Sequence[Sample], new: Sample) -> list[Sample]:
    """The samples with one more, at most SAMPLES_MAX of them, evenly spread over the whole time.

    When they become too many, two neighbours become one: the mean of loads, weighted by time, and the most of memory,
    so that a peak is never lost. A sample's time is the end of what it stands for.
    """
    grown = [*samples, new]
    step = SAMPLE_SECONDS
    while (_at(grown[-1]) - _at(grown[0])) / step > SAMPLES_MAX - 1:
        step *= 2
    grown = _fold(grown, step)
    while len(grown) > SAMPLES_MAX:  # they came more often than planned
        step *= 2
        grown = _fold(grown, step)
    return grown


def _fold(samples: Sequence[Sample], step: float) -> list[Sample]:
    kept = list(samples[:2])
    for one in samples[2:]:
        start = _at(kept[-2])
        if _at(one) - start < 1.5 * step:  # half a step of slack: samples come a little late
            kept[-1] = _merged(kept[-1], one, start)
        else:
            kept.append(one)
    return kept


def _merged(first: Sample, second: Sample, start: float) -> Sample:
    weights = (max(0.0, _at(first) - start), max(0.0, _at(second) - _at(first)))

    def mean(index: int) -> float | None:
        parts = [(one[index], weight) for one, weight in zip((first, second), weights)]
        known = [(value, weight) for value, weight in parts if value is not None]
        total = sum(weight for _, weight in known)
        if not total:
            return known[-1][0] if known else None
        return round(sum(value * weight for value, weight in known) / total, 2)

    def most(index: int) -> float | None:
        return max((value for value in (first[index], second[index]) if value is not None), default=None)

    return [second[0], mean(1), most(2), mean(3), most(4)]


def _at(one: Sample) -> float:
    return float(one[0] or 0)


def peak_memory(samples: Sequence[Sample]) -> int:
    """The most bytes that were seen in use; 0 where nothing was sampled."""
    return int(max((one[2] or 0 for one in samples), default=0))


def memory_warning(peak_bytes: int, limit_bytes: int) -> Written | str:
    """What to tell one that hardly had room."""
    if 100 * peak_bytes <= WARN_PERCENT * limit_bytes:
        return ""
    return tell(
        "Memory peaked at {percent} percent of its limit; with a little more it would have been stopped. "
        "Use smaller batches or fewer workers.",
        percent=min(100, round(100 * peak_bytes / limit_bytes)),
    )
