"""What a run's page works out: the track to scale, checkpoints in order, the line of what was used."""

from __future__ import annotations

import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from hub.web import history, summaries
from hub.web.templatetags.seodang import lasted

NOON = dt.datetime(2026, 4, 13, 12, 0, tzinfo=dt.UTC)


def rows(*told: tuple[str, float]) -> list[dict[str, Any]]:
    """Newest first, from (state, seconds after noon), oldest first."""
    made = [{"state": state, "label": state, "at": NOON + dt.timedelta(seconds=at), "note": ""} for state, at in told]
    return made[::-1]


LOST = rows(("succeeded", 0), ("succeeded", 9), ("queued", 9), ("running", 109), ("lost", 209), ("running", 229))


def test_each_row_lasts_until_the_next_and_the_newest_until_now() -> None:
    found = history.timed(LOST, NOON + dt.timedelta(seconds=409))
    assert [(row["state"], row["seconds"]) for row in found] == [
        ("running", 180.0), ("lost", 20.0), ("running", 100.0), ("queued", 100.0), ("succeeded", 9.0),
        ("succeeded", None),
    ]  # fmt: skip
    assert [row["now"] for row in found] == [True, False, False, False, False, False]
    assert history.whole(found) == 409.0


def test_what_ended_lasts_no_longer() -> None:
    found = history.timed(rows(("succeeded", 0), ("running", 10), ("failed", 40)), NOON + dt.timedelta(seconds=40))
    assert [row["seconds"] for row in found] == [None, 30.0, None]
    assert history.whole(found) == 40.0


def test_the_track_is_to_scale_and_fills_its_width() -> None:
    track = history.track(history.timed(LOST, NOON + dt.timedelta(seconds=409)))
    assert [one.state for one in track] == ["queued", "running", "lost", "running"]
    assert track[3].width / track[1].width == pytest.approx(1.8, rel=0.01)
    assert track[-1].x + track[-1].width == pytest.approx(100, abs=0.1)
    assert all(one.x + one.width < after.x + 0.01 for one, after in itertools.pairwise(track))


def test_a_moment_is_still_seen_on_the_track() -> None:
    track = history.track(history.timed(rows(("starting", 0), ("running", 1)), NOON + dt.timedelta(hours=9)))
    assert track[0].width >= 0.9


def test_nothing_lasted_yet() -> None:
    assert history.track(history.timed(rows(("succeeded", 0)), NOON)) == []
    assert history.whole([]) is None


@pytest.mark.parametrize(
    ("shares", "path"),
    [
        ([0.0, 50.0, 100.0], "M0.0,20.0 44.0,10.0 88.0,0.0"),
        ([25.0], "M0.0,15.0 88.0,15.0"),
        ([-5.0, 250.0], "M0.0,20.0 88.0,0.0"),
    ],
)
def test_the_line_of_what_was_used(shares: list[float], path: str) -> None:
    assert summaries.share_path(shares) == path


def test_best_comes_first_with_its_newest_official_score() -> None:
    kept = [SimpleNamespace(pk=1, name="e9"), SimpleNamespace(pk=2, name="best")]
    sent = [
        SimpleNamespace(checkpoint_id=2, trial=True, state="scored", scores={"f1": 0.99}),
        SimpleNamespace(checkpoint_id=1, trial=False, state="predicting", scores={}),
        SimpleNamespace(checkpoint_id=2, trial=False, state="scored", scores={"f1": 0.9}),
    ]
    found = summaries.checkpoints(kept, sent, "f1")
    assert [(one["checkpoint"].name, one["score"], one["waits"]) for one in found] == [
        ("best", 0.9, False), ("e9", None, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3960, "1 h 6 min"), (7200, "2 h"), (90_000, "1 d 1 h")],
)
def test_how_long_it_took(seconds: float | None, words: str) -> None:
    assert lasted(seconds) == words
