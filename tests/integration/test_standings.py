"""Standings that follow score by score equal the rebuild from all scores, whatever comes in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.assignments.models import Assignment
from courses.leaderboards.models import Board, Standing
from courses.leaderboards.queries import board
from courses.leaderboards.services import differences, refresh
from courses.roster.models import User
from courses.submissions.models import Checkpoint, Run, ScoreEvent, Submission
from courses.teams.models import Team
from courses.teams.services import rename
from tests.world import World, push_example

pytestmark = pytest.mark.django_db
SCORES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.10001, 0.5, 0.9, -0.0])), max_size=20)


def score(assignment: Assignment, team: Team, owner: User, value: float, number: int) -> ScoreEvent:
    run = Run.objects.create(
        assignment=assignment, version=assignment.current, team=team, owner=owner, number=number, entry="t.py",
        code_sha256="0" * 64, code_files=1, code_bytes=1,
    )  # fmt: skip
    checkpoint = Checkpoint.objects.create(run=run, name="best", sha256="0" * 64, size=1)
    submission = Submission.objects.create(run=run, checkpoint=checkpoint, owner=owner)
    return ScoreEvent.objects.create(
        submission=submission, assignment=assignment, team=team, scores={"macro_f1": value}, primary=value
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCORES)
def test_score_by_score_equals_the_rebuild(world: World, tmp_path: Path, scored: list[tuple[int, float]]) -> None:
    assignment = Assignment.objects.filter(slug="digits").first() or push_example(world, "digits", tmp_path)
    ScoreEvent.objects.all().delete()
    Board.objects.all().delete()
    teams = [Team.objects.get_or_create(course=world.course, name=f"t{n}", scope="x")[0] for n in range(6)]
    base = Run.objects.count()
    for number, (team, value) in enumerate(scored):
        refresh(assignment, score(assignment, teams[team], world.student, value, base + number + 1).team_id)
        assert differences(assignment) == []
    call_command("rebuild_standings", "--check")


def test_a_new_rule_reads_all_scores_again(world: World, tmp_path: Path) -> None:
    assignment = push_example(world, "digits", tmp_path)
    refresh(assignment, score(assignment, world.team, world.student, 0.5, 1).team_id)
    refresh(assignment, score(assignment, world.team, world.student, 0.9, 2).team_id)
    Board.objects.update(rule="macro_f1:min:4")
    Standing.objects.update(score=0.5)
    refresh(assignment, score(assignment, world.team, world.student, 0.1, 3).team_id)
    assert Standing.objects.get().score == 0.9


def test_a_score_reads_its_own_teams_events_only(world: World, tmp_path: Path) -> None:
    assignment = push_example(world, "digits", tmp_path)
    others = [Team.objects.create(course=world.course, name=f"t{n}", scope="x") for n in range(5)]
    for number, team in enumerate(others):
        refresh(assignment, score(assignment, team, world.student, number / 10, number + 1).team_id)
    event = score(assignment, world.team, world.student, 0.9, 99)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        refresh(assignment, event.team_id)
    read = [one["sql"] for one in seen if "submissions_scoreevent" in one["sql"]]
    assert len(read) == 1
    assert f'"team_id" = {world.team.pk}' in read[0]


def test_a_renamed_team_is_renamed_on_its_boards(world: World, tmp_path: Path) -> None:
    assignment = push_example(world, "digits", tmp_path)
    refresh(assignment, score(assignment, world.team, world.student, 0.5, 1).team_id)
    before = board(assignment)
    rename(world.student, world.team, "acer")
    after = board(assignment)
    assert ([row.team for row in before.rows], [row.team for row in after.rows]) == (["maple"], ["acer"])
    assert after.seq == before.seq + 1
