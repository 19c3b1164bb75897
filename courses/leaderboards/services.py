"""Standings follow score events, under the board row's lock, which also gives the sequence number."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from courses.assignments.models import Assignment
from courses.leaderboards.models import Board, Standing
from courses.leaderboards.ranking import Place, Scored, rank
from courses.submissions.models import ScoreEvent
from runner import notify


def places(assignment: Assignment) -> list[Place]:
    """The truth: ranked from all score events."""
    metric = assignment.current.config.primary
    events = ScoreEvent.objects.filter(assignment=assignment).order_by("id")
    scored = [
        Scored(event.team_id, str(event.submission_id), event.primary, event.at.timestamp(), event.scores)
        for event in events
    ]
    return rank(scored, metric.goal, metric.precision)


@transaction.atomic
def refresh(assignment: Assignment) -> Board:
    """Make the standings equal to the score events; tell viewers when something moved."""
    Board.objects.get_or_create(assignment=assignment)
    board = Board.objects.select_for_update().get(assignment=assignment)
    before = {standing.team_id: standing for standing in board.standings.all()}
    now = timezone.now()
    changed, made = [], []
    for place in places(assignment):
        old = before.pop(place.team, None)
        fields = standing_fields(place)
        if old is None:
            made.append(Standing(board=board, team_id=place.team, moved_at=now, **fields))
            continue
        if any(getattr(old, key) != value for key, value in fields.items()):
            if old.rank != place.rank:
                old.previous_rank, old.moved_at = old.rank, now
            for key, value in fields.items():
                setattr(old, key, value)
            changed.append(old)
    Standing.objects.bulk_create(made)
    Standing.objects.bulk_update(changed, [*FIELDS, "previous_rank", "moved_at"], batch_size=500)
    gone = list(before)
    Standing.objects.filter(board=board, team_id__in=gone).delete()
    if made or changed or gone:
        board.seq += 1
        board.save(update_fields=["seq"])
        notify.send(f"board.{assignment.pk}", {"type": "board.changed", "seq": board.seq})
    return board


FIELDS = ("best", "score", "scores", "count", "rank", "tied", "scored_at", "history")


def standing_fields(place: Place) -> dict[str, Any]:
    """A place as a standing's columns."""
    import datetime as dt
    import uuid

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
