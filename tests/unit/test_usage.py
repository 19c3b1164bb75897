"""Samples of what a run used: computed, kept few without losing the shape or the peak, and warned about."""

from __future__ import annotations

import itertools

import pytest

from runner import usage
from runner.gpus import Load
from runner.sentences import read
from runner.spec import Reading

DAY = 24 * 3600


@pytest.mark.parametrize(
    "seconds, cpu_seconds, loads, expected",
    [
        (5, 5.0, [], [105.0, 1.0, 300, None, None]),
        (5, 12.5, [Load(40, 7)], [105.0, 2.5, 300, 40, 7]),
        (5, 0.0, [Load(40, 7), Load(60, 8)], [105.0, 0.0, 300, 50, 15]),
        (5, 0.0, [Load(40, 7), None], [105.0, 0.0, 300, 40, 7]),
        (5, 0.0, [None], [105.0, 0.0, 300, None, None]),
        (0, 3.0, [], [100.0, 0.0, 300, None, None]),  # a clock that stood still
        (-2, 3.0, [], [98.0, 0.0, 300, None, None]),  # or jumped
    ],
)
def test_sample(seconds: float, cpu_seconds: float, loads: list[Load | None], expected: usage.Sample) -> None:
    before = Reading(100.0, 50.0, 100)
    assert usage.sample(Reading(100.0 + seconds, 50.0 + cpu_seconds, 300), before, loads) == expected


def grown(times: list[float], cores: float = 1.0) -> list[usage.Sample]:
    samples: list[usage.Sample] = []
    for at in times:
        samples = usage.add(samples, [at, cores, 100, None, None])
        assert len(samples) <= usage.SAMPLES_MAX
    return samples


def test_half_an_hour_is_kept_as_it_was_sampled() -> None:
    times = [5.3 * n for n in range(330)]
    assert [one[0] for one in grown(times)] == times


@pytest.mark.parametrize("every", [5.0, 5.9, 1.0])
def test_a_day_keeps_its_shape(every: float) -> None:
    samples: list[usage.Sample] = []
    for n in range(int(DAY / every)):
        at = n * every
        busy = 2.0 if 6 * 3600 < at <= 12 * 3600 else 0.5
        memory = 900 if n == 1234 else 100
        samples = usage.add(samples, [at, busy, memory, None, None])
    assert usage.SAMPLES_MAX / 4 < len(samples) <= usage.SAMPLES_MAX
    gaps = [float(second[0] or 0) - float(first[0] or 0) for first, second in itertools.pairwise(samples)]
    assert max(gaps[1:-1]) <= 2.1 * min(gaps[1:-1]), "evenly spread, the first hours too"
    assert samples[0][0] == 0 and float(samples[-1][0] or 0) > DAY - 2 * every
    used = sum(gap * float(one[1] or 0) for gap, one in zip(gaps, samples[1:]))
    assert used == pytest.approx(6 * 3600 * 2.0 + 18 * 3600 * 0.5, rel=0.01), "core-seconds are what they were"
    assert usage.peak_memory(samples) == 900


def test_neighbours_become_one_by_weight_and_without_inventing_a_gpu() -> None:
    first: list[usage.Sample] = [[0.0, 1.0, 10, None, None], [5.0, 1.0, 50, 10, 7]]
    assert usage._fold([*first, [20.0, 4.0, 20, 70, 3]], 20.0) == [first[0], [20.0, 3.25, 50, 55.0, 7]]
    assert usage._fold([*first, [20.0, 4.0, 20, None, None]], 20.0) == [first[0], [20.0, 3.25, 50, 10.0, 7]]


@pytest.mark.parametrize(
    "peak, warns", [(0, ""), (950, ""), (951, "95 percent"), (980, "98 percent"), (1003, "100 percent")]
)
def test_memory_warning(peak: int, warns: str) -> None:
    said = read(usage.memory_warning(peak, 1000))
    assert said.startswith(f"Memory peaked at {warns} of its limit;") if warns else said == ""
