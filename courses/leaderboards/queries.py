"""Reads of a board, in a constant number of queries."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from courses.assignments.bundle import Metric
from courses.assignments.models import Assignment
from courses.leaderboards.models import Board, Standing


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
    seq: int
    metric: Metric
    pass_score: float | None
    rows: list[BoardRow]


def board(assignment: Assignment) -> BoardView:
    """The board as it stands. ``seq`` grows with each change."""
    config = assignment.current.config
    # The number first: a change that commits in between makes the rows newer than it says, and is announced again.
    found = Board.objects.filter(assignment=assignment).first()
    standings: Any = (
        Standing.objects.filter(board=found).select_related(
            "team", "best__run__team", "best__run__assignment", "best__checkpoint"
        )
        if found
        else []
    )
    rows = [
        BoardRow(
            rank=one.rank, tied=one.tied, team=one.team.name, team_id=one.team_id, score=one.score, scores=one.scores,
            count=one.count, scored_at=one.scored_at, previous_rank=one.previous_rank, moved_at=one.moved_at,
            history=one.history, run=one.best.run.session, checkpoint=one.best.checkpoint.name,
        )
        for one in standings
    ]  # fmt: skip
    return BoardView(found.seq if found else 0, config.primary, config.pass_score, rows)
