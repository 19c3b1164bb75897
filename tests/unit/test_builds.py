"""What builds say, made fit for a row and a sentence."""

from __future__ import annotations

import datetime as dt

import pytest

from runner import builds
from runner.models import EnvironmentBuild
from runner.policy import Slot, Waiting, expected_starts, plan
from runner.sentences import read

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "said, line",
    [
        ("Collecting torch\n", "Collecting torch"),
        ("\x1b[31mERROR: no\x1b[0m", "ERROR: no"),
        ("  10 MB\r  20 MB\r", "20 MB"),
        ("a\0b\x07c", "a b c"),
        ("", ""),
        ("\x1b[0m \n", ""),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_clean(said: str, line: str) -> None:
    assert builds.clean(said) == line


@pytest.mark.parametrize(
    "log, error",
    [
        ("Collecting x\nERROR: No matching distribution found for x\nRemoving\n", "ERROR: No matching distribution found for x"),
        ("Reading\nE: Unable to locate package nope\n", "E: Unable to locate package nope"),
        ("Step 1/5 : FROM x\n", "returned 1"),
    ],
)  # fmt: skip
def test_error_of(log: str, error: str) -> None:
    assert builds.error_of("returned 1", log) == error


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({}, "Its environment torch-cpu is about to be built."),
        ({"state": "building", "seconds": 3}, "Its environment torch-cpu is being built: starting (0 s so far)."),
        (
            {"state": "building", "seconds": 86, "line": "Collecting torch", "step": 2, "steps": 4},
            "Its environment torch-cpu is being built: step 2 of 4, Collecting torch (1 min 20 s so far).",
        ),
        (
            {"state": "building", "seconds": 12, "line": "Step 2/4 : COPY . /build", "step": 2, "steps": 4},
            "Its environment torch-cpu is being built: step 2 of 4, COPY . /build (10 s so far).",
        ),
        (
            {"state": "failed", "error": "ERROR: no such thing."},
            "Its environment torch-cpu could not be built: ERROR: no such thing. Not your fault; it cost you nothing. "
            "Tell your instructor.",
        ),
    ],
)
def test_the_reason(fields: dict[str, object], sentence: str) -> None:
    seconds = fields.pop("seconds", None)
    row = EnvironmentBuild(environment="torch-cpu", **fields)
    row.started_at = NOW - dt.timedelta(seconds=seconds) if isinstance(seconds, int) else None
    assert read(builds._why(row, NOW).reason) == sentence


def test_a_blocked_job_takes_no_slot_and_delays_nobody() -> None:
    def job(name: str, blocked: str = "") -> Waiting:
        return Waiting(name, "ml/maple", "maple", 0, False, 0, 600.0, 0.0, blocked=blocked)

    waiting = [job("a", "why"), job("b"), job("c")]
    found = plan(waiting, [Slot("cpu", 0, "local", "cpu")], [], {}, 0.0)
    assert [start.job for start in found.starts] == ["b"]
    assert found.reasons["a"] == "why" and set(found.order) == {"a", "c"}
    assert expected_starts([waiting[0], waiting[2]], [60.0], 1, 0.0) == {"c": 60.0}
