"""What runs print is told as it is printed, and told once."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from runner import attempts, notify
from runner.logs import LogWatch
from runner.models import Attempt, Job


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    sent: list[Any] = []
    monkeypatch.setattr(notify, "send", lambda group, message: sent.append((group, message.get("total"))))
    return sent


@pytest.fixture
def attempt(tmp_path: Path, settings: Any) -> Attempt:
    settings.ATTEMPTS = tmp_path
    made = Attempt(id=uuid.uuid4(), job=Job(spec={"env": {"SEODANG_RUN": "r"}}))
    attempts.folders(made).io.mkdir(parents=True)
    return made


def printed(attempt: Attempt, content: object) -> None:
    """As the launcher does it."""
    fresh = attempts.folders(attempt).io / "log.json.new"
    fresh.write_text(json.dumps(content))
    fresh.replace(fresh.with_name("log.json"))


def test_each_growth_is_told_once(attempt: Attempt, told: list[Any]) -> None:
    watch = LogWatch()
    watch.watch(attempt)
    assert watch.once() == 0, "nothing is printed yet"
    printed(attempt, {"total": 5})
    assert (watch.once(), watch.once()) == (1, 0)
    printed(attempt, {"total": 5})
    assert watch.once() == 0, "it was written again, and says the same"
    printed(attempt, {"total": 9})
    assert watch.once() == 1
    assert told == [("run.r", 5), ("run.r", 9)]
    watch.forget(attempt)
    printed(attempt, {"total": 12})
    assert watch.once() == 0


@pytest.mark.parametrize("content", [[], {"total": "many"}, {"total": None}, 7])
def test_what_a_student_may_write_there_is_not_believed(attempt: Attempt, told: list[Any], content: object) -> None:
    watch = LogWatch()
    watch.watch(attempt)
    printed(attempt, content)
    assert watch.once() == 0 and told == []


def test_a_link_in_its_place_is_not_followed(attempt: Attempt, told: list[Any], tmp_path: Path) -> None:
    watch = LogWatch()
    watch.watch(attempt)
    (tmp_path / "other.json").write_text('{"total": 3}')
    os.symlink(tmp_path / "other.json", attempts.folders(attempt).io / "log.json")
    assert watch.once() == 0 and told == []
