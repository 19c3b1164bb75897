"""Reads of a board, in a constant number of queries."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

from courses.assignments.bundle import Metric
from courses.assignments.models import Assignment
from courses.leaderboards.models import Board, Standing

KEPT_MAX = 64  # boards, each of some hundred rows


@dataclass(frozen=True)
class BoardRow:
    rank: int
    tied: bool
    team: str
    team_id: int
    score: float
    scores: dict[str, float]
    count: int
    scored_at: dt.datetime
    previous_rank: int | None
    moved_at: dt.datetime | None
    history: list[list[float]]
    run: str  # the session of the best submission
    checkpoint: str


@dataclass(frozen=True)
class BoardView:
    assignment: int
    version: int
    seq: int
    metric: Metric
    pass_score: float | None
    rows: tuple[BoardRow, ...]


def board(assignment: Assignment) -> BoardView:
    """The board as it stands. ``seq`` grows with each change."""
    config = assignment.current.config
    # The number first: a change that commits in between makes the rows newer than it says, and is announced again.
    seq = Board.objects.filter(assignment=assignment).values_list("seq", flat=True).first() or 0
    version = assignment.current.pk
    rows = _rows(assignment.pk, version, seq)
    return BoardView(assignment.pk, version, seq, config.primary, config.pass_score, rows)


COLUMNS = (
    "rank", "tied", "team__name", "team_id", "score", "scores", "count", "scored_at", "previous_rank", "moved_at",
    "history", "best__run__team__name", "best__run__assignment__slug", "best__run__number", "best__checkpoint__name",
)  # fmt: skip


@lru_cache(KEPT_MAX)
def _rows(assignment: int, version: int, seq: int) -> tuple[BoardRow, ...]:
    """Kept by the sequence number, which no two states of a board share: a whole class asks at each score."""
    found = Standing.objects.filter(board=assignment).values_list(*COLUMNS)
    return tuple(
        BoardRow(*[*fields, f"{team}/{slug}/{number}", checkpoint]) for *fields, team, slug, number, checkpoint in found
    )
