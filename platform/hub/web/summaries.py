"""What a page's first line and margins say, worked out from what queries gave. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from courses.leaderboards.queries import BoardRow, BoardView

JUST_MOVED = 5
LIVE_SHOWN = 2
STRIP_BINS = 80
IDLE_PERCENT, IDLE_SECONDS = 5.0, 300.0  # a GPU that does less for longer sits idle
SPARK_WIDE, SPARK_HIGH = 88.0, 20.0  # of a sparkline's drawing
DOT_PIXELS, DOTS_HIGH, AXIS_Y = 5.0, 10, 58.0


def just_moved(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Teams that rose or came in, newest first. Who was only overtaken did not move."""
    rose = [row for row in rows if row.moved_at and (row.previous_rank is None or row.rank < row.previous_rank)]
    return sorted(rose, key=lambda row: row.moved_at or row.scored_at, reverse=True)[:JUST_MOVED]


def passing(view: BoardView) -> int | None:
    """How many rows pass, from the top; None when the assignment names no pass score."""
    if view.pass_score is None:
        return None
    sign = 1 if view.metric.goal == "max" else -1
    return sum(sign * row.score >= sign * view.pass_score for row in view.rows)


def due_next(open_now: Sequence[Any]) -> list[Any]:
    """All assignments that share the nearest deadline."""
    first = min((one.due_at for one in open_now), default=None)
    return [one for one in open_now if one.due_at == first]


def to_work_on(open_now: Sequence[Any], pushed: Sequence[int], scored: Sequence[int]) -> Any:
    """The open assignment that was pushed last, else the nearest one without a score, else the nearest."""
    by_key = {one.pk: one for one in open_now}
    if recent := next((by_key[key] for key in pushed if key in by_key), None):
        return recent
    return min(open_now, key=lambda one: (one.due_at, one.pk in scored, one.slug), default=None)


def live_metrics(latest: Mapping[str, tuple[float, int]]) -> list[tuple[str, float]]:
    """A running run's newest numbers that tell most: those of held-out data first."""
    held_out = ("val", "dev", "test", "eval")
    names = sorted(latest, key=lambda name: (not name.startswith(held_out), name))
    return [(name, latest[name][0]) for name in names[:LIVE_SHOWN]]


def newest(latest: Mapping[str, tuple[float, int]]) -> list[tuple[str, float, int]]:
    """(key, value, step) of each metric, by name."""
    return [(name, *latest[name]) for name in sorted(latest)]


def meter(label: str, text: str, share: float, *, warns: bool = False) -> dict[str, Any]:
    """A share of a limit, in percent, never drawn past its end. ``warns`` where reaching the limit ends the run."""
    level = "over" if warns and share >= 100 else "warn" if warns and share >= 90 else "busy"
    return {"label": label, "text": text, "share": round(min(100.0, max(0.0, share)), 1), "level": level}


def share_path(shares: Sequence[float]) -> str:
    """A line of shares of a limit, in percent, over the drawing of a sparkline: its foot is 0 and its head the limit."""
    wide = max(1, len(shares) - 1)
    points = [
        f"{SPARK_WIDE * place / wide:.1f},{SPARK_HIGH * (1 - min(100.0, max(0.0, share)) / 100):.1f}"
        for place, share in enumerate(shares)
    ]
    return "M" + " ".join(points if len(points) > 1 else [*points, f"{SPARK_WIDE:.1f},{points[0].split(',')[1]}"])


def checkpoints(kept: Sequence[Any], sent: Sequence[Any], metric: str) -> list[dict[str, Any]]:
    """Each checkpoint with its official score and whether one is on its way; the one called best comes first."""
    found = []
    for one in sorted(kept, key=lambda one: one.name != "best"):
        official = [of for of in sent if of.checkpoint_id == one.pk and not of.trial]
        scored = next((of.scores[metric] for of in official if metric in of.scores), None)
        waits = any(of.state in {"predicting", "scoring"} for of in official)
        found.append({"checkpoint": one, "score": scored, "waits": waits})
    return found


def step(latest: Mapping[str, tuple[float, int]]) -> int | None:
    """The furthest step that any metric names."""
    return max((at for _value, at in latest.values()), default=None)


def ends(started_at: dt.datetime | None, minutes_max: float) -> dt.datetime | None:
    """When its time limit ends a run at the latest."""
    return started_at + dt.timedelta(minutes=minutes_max) if started_at else None


def idle_seconds(samples: Sequence[Sequence[Any]]) -> float:
    """For how long, up to the newest sample, a GPU has done next to nothing."""
    began = None
    for at, _cores, _memory, gpu, *_rest in reversed([one for one in samples if len(one) > 3]):
        if gpu is None or gpu >= IDLE_PERCENT:
            break
        began = at
    return 0.0 if began is None else float(samples[-1][0] - began)


def elapsed_share(started_at: dt.datetime | None, minutes_max: float, now: dt.datetime) -> float:
    """Percent of its time limit that a run has used, 0 to 100."""
    if started_at is None or minutes_max <= 0:
        return 0.0
    return round(min(100.0, max(0.0, (now - started_at).total_seconds() / (minutes_max * 60) * 100)), 1)


@dataclass(frozen=True)
class Dot:
    x: float  # percent
    y: float  # pixels
    own: bool


@dataclass(frozen=True)
class Strip:
    """All teams on one line, the better the further right."""

    dots: list[Dot]
    circles: str  # of all dots but one's own, as SVG
    low: float
    high: float
    own: Dot | None
    pass_x: float | None  # percent; None when the pass score is off the line


def strip(view: BoardView, own: BoardRow | None) -> Strip | None:
    """None with fewer than three teams, which need no drawing."""
    if len(view.rows) < 3:
        return None
    sign = 1 if view.metric.goal == "max" else -1
    scores = [row.score for row in view.rows]
    worst, best = sorted((min(scores), max(scores)), key=lambda score: sign * score)
    wide = (best - worst) or 1.0

    def x(score: float) -> float:
        return round(2 + 96 * (score - worst) / wide, 1)

    heights: dict[int, int] = {}
    dots = []
    for row in view.rows:
        place = int(x(row.score) / 100 * STRIP_BINS)
        high = min(heights.get(place, 0), DOTS_HIGH)
        heights[place] = high + 1
        dots.append(Dot(x(row.score), AXIS_Y - DOT_PIXELS * high, own is not None and row.team_id == own.team_id))
    pass_x = x(view.pass_score) if view.pass_score is not None else None
    if pass_x is not None and not 0 <= pass_x <= 100:
        pass_x = None
    circles = "".join(f'<circle cx="{dot.x:g}%" cy="{dot.y:g}" r="2.5"/>' for dot in dots if not dot.own)
    return Strip(dots, circles, worst, best, next((dot for dot in dots if dot.own), None), pass_x)
