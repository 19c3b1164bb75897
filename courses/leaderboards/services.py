"""Standings follow score events, under the board row's lock, which also gives the sequence number."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from courses.assignments.bundle import Metric
from courses.assignments.models import Assignment
from courses.leaderboards.models import Board, Standing
from courses.leaderboards.ranking import Place, Scored, Summary, order, rank, summary
from courses.submissions.models import ScoreEvent
from courses.teams.models import Team
from runner import notify

FIELDS = ("best", "score", "scores", "count", "rank", "tied", "scored_at", "history")


def places(assignment: Assignment) -> list[Place]:
    """The truth: ranked from all score events."""
    metric = assignment.current.config.primary
    return rank(_scored(assignment), metric.goal, metric.precision)


def _scored(assignment: Assignment, **chosen: Any) -> Iterable[Scored]:
    events = ScoreEvent.objects.filter(assignment=assignment, **chosen).order_by("id")
    return (
        Scored(event.team_id, str(event.submission_id), event.primary, event.at.timestamp(), event.scores)
        for event in events
    )


@transaction.atomic
def refresh(assignment: Assignment, team: int | None = None) -> Board:
    """Make the standings equal to the score events; tell viewers when something moved.

    With ``team``, whose score is new, the others' are taken as they stand: a class of 300 teams reads one team's
    events and not 30,000. Where the rule changed since, all are read.
    """
    Board.objects.get_or_create(assignment=assignment)
    board = Board.objects.select_for_update().get(assignment=assignment)
    metric = assignment.current.config.primary
    rule = f"{metric.name}:{metric.goal}:{metric.precision}"
    before = {standing.team_id: standing for standing in board.standings.all()}
    anew = team is None or board.rule != rule
    found = places(assignment) if team is None or anew else _moved(assignment, metric, team, before)
    if _write(board, found, before) or board.rule != rule:
        board.rule = rule
        _count_up(board)
    return board


def _count_up(board: Board) -> None:
    """The board differs from what viewers have. Under its row's lock."""
    board.seq += 1
    board.save(update_fields=["seq", "rule"])
    notify.send(f"board.{board.pk}", {"type": "board.changed", "seq": board.seq})


@transaction.atomic
def announce(team: Team) -> None:
    """The team is called otherwise on the boards that it stands on."""
    for board in Board.objects.select_for_update().filter(standings__team=team).order_by("pk"):
        _count_up(board)


def _moved(assignment: Assignment, metric: Metric, team: int, before: dict[int, Standing]) -> list[Place]:
    own = summary(list(_scored(assignment, team=team)), metric.goal, metric.precision)
    others = [_summary_of(standing) for key, standing in before.items() if key != team]
    return order([own, *others], metric.goal, metric.precision)


def _summary_of(standing: Standing) -> Summary:
    best = Scored(
        standing.team_id, str(standing.best_id), standing.score, standing.scored_at.timestamp(), standing.scores
    )
    return Summary(best, standing.count, tuple((at, score) for at, score in standing.history))


def _write(board: Board, found: list[Place], before: dict[int, Standing]) -> bool:
    """Whether a row changed."""
    now = timezone.now()
    gone = set(before) - {place.team for place in found}
    changed, made = [], []
    for place in found:
        old = before.get(place.team)
        fields = standing_fields(place)
        if old is None:
            made.append(Standing(board=board, team_id=place.team, moved_at=now, **fields))
        elif any(getattr(old, key) != value for key, value in fields.items()):
            if old.rank != place.rank:
                old.previous_rank, old.moved_at = old.rank, now
            for key, value in fields.items():
                setattr(old, key, value)
            changed.append(old)
    Standing.objects.bulk_create(made)
    Standing.objects.bulk_update(changed, [*FIELDS, "previous_rank", "moved_at"], batch_size=500)
    Standing.objects.filter(board=board, team_id__in=gone).delete()
    return bool(made or changed or gone)


def standing_fields(place: Place) -> dict[str, Any]:
    """A place as a standing's columns."""
    return {
        "best_id": uuid.UUID(place.best.submission),
        "score": place.score,
        "scores": dict(place.best.scores),
        "count": place.count,
        "rank": place.rank,
        "tied": place.tied,
        "scored_at": dt.datetime.fromtimestamp(place.best.at, dt.UTC),
        "history": [list(point) for point in place.history],
    }


def differences(assignment: Assignment) -> list[str]:
    """How the standings differ from a rebuild; none, if all is well."""
    board = Board.objects.filter(assignment=assignment).first()
    standings = {standing.team_id: standing for standing in board.standings.all()} if board else {}
    found = []
    for place in places(assignment):
        standing = standings.pop(place.team, None)
        if standing is None:
            found.append(f"{assignment.slug}: team {place.team} has no standing")
            continue
        found += [
            f"{assignment.slug}: team {place.team} {key} is {getattr(standing, key)!r}, should be {value!r}"
            for key, value in standing_fields(place).items()
            if getattr(standing, key) != value
        ]
    return found + [f"{assignment.slug}: team {team} has a standing and no score" for team in standings]
