"""Reads of a board, in a constant number of queries."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Subquery

from courses.assignments.bundle import Metric
from courses.assignments.models import Assignment, AssignmentVersion
from courses.errors import NotFound
from courses.leaderboards.models import Board, Standing
from courses.roster.models import Membership
from courses.roster.queries import require

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


def seq_for(user: Any, assignment: int) -> int:
    """The board's number, for whoever may see it, in one query: all who watch ask at once after a restart.

    Raises NotFound, Forbidden.
    """
    versions = AssignmentVersion.objects.filter(assignment=assignment).order_by("-number")
    found = (
        Membership.objects.filter(user_id=user.pk, course__assignments=assignment)
        .annotate(visibility=Subquery(versions.values("raw__board__visibility")[:1]))
        .values_list("role", "visibility", "course__assignments__board__seq")
        .first()
    )
    if found is None:
        raise NotFound
    role, visibility, seq = found
    require(Membership(role=role), "see_all_runs" if visibility == "staff" else "see_board")
    return seq or 0


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
