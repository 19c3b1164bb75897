"""Who stands where. Pure: scores in, ranks out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

HISTORY_MAX = 50  # improvements kept for the sparkline


@dataclass(frozen=True)
class Scored:
    """One official score."""

    team: int
    submission: str
    score: float
    at: float  # unix seconds
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    team: int
    rank: int
    tied: bool
    score: float
    count: int
    best: Scored
    history: tuple[tuple[float, float], ...]  # each improvement: (unix seconds, best so far)


def better(left: float, right: float, goal: str) -> bool:
    return left > right if goal == "max" else left < right


def shown(score: float, precision: int) -> float:
    """What the board shows is what ranks: teams that read the same share a place."""
    return round(score, precision) + 0.0  # + 0.0 turns -0.0 into 0.0


@dataclass(frozen=True)
class Summary:
    """One team's scores, as its place needs them."""

    best: Scored
    count: int
    history: tuple[tuple[float, float], ...]


def summary(own: Sequence[Scored], goal: str, precision: int) -> Summary:
    """``own``: a team's scores in the order in which they came, at least one."""
    best = own[0]
    history = [(best.at, best.score)]
    for event in own[1:]:
        # Only a score that reads better replaces the first that reached it: a tie keeps its earlier time.
        if better(shown(event.score, precision), shown(best.score, precision), goal):
            best = event
            history.append((event.at, event.score))
    return Summary(best, len(own), tuple(history[-HISTORY_MAX:]))


def order(summaries: Iterable[Summary], goal: str, precision: int) -> list[Place]:
    """Places by each team's best score; equal shown scores share the higher rank (1, 2, 2, 4)."""
    sign = -1.0 if goal == "max" else 1.0
    found = sorted(summaries, key=lambda one: (sign * shown(one.best.score, precision), one.best.at, one.best.team))
    scores = [shown(one.best.score, precision) for one in found]
    first = {score: index + 1 for index, score in reversed(list(enumerate(scores)))}
    return [
        Place(one.best.team, first[score], _tied(scores, index), one.best.score, one.count, one.best, one.history)
        for index, (one, score) in enumerate(zip(found, scores, strict=True))
    ]


def rank(events: Iterable[Scored], goal: str, precision: int) -> list[Place]:
    """All places, from all scores in the order in which they came."""
    by_team: dict[int, list[Scored]] = {}
    for event in events:
        by_team.setdefault(event.team, []).append(event)
    return order([summary(own, goal, precision) for own in by_team.values()], goal, precision)


def _tied(scores: Sequence[float], index: int) -> bool:
    return scores[index] in (
        scores[index - 1] if index else None,
        scores[index + 1] if index + 1 < len(scores) else None,
    )
