"""The board page of a large class beside an empty page of the same app."""

from __future__ import annotations

import random
import statistics
import time
from datetime import timedelta
from typing import Any

import httpx

from bench.setup import Site

TEAMS = 300
SUBMISSIONS = 30_000
TIMES = 40


def measure(site: Site) -> list[dict[str, Any]]:
    small = _queries(site)
    fill(site)
    large = _queries(site)
    with httpx.Client(base_url=site.address, cookies={"sessionid": _session()}, timeout=60) as client:
        board, empty = [], []
        for _ in range(TIMES):
            empty.append(_milliseconds(client, "/settings/tokens/"))
            board.append(_milliseconds(client, "/c/ml/a/bench/board/"))
    left, right = statistics.median(board), statistics.median(empty)
    return [
        {
            "what": f"board page, {TEAMS} teams, {SUBMISSIONS:,} submissions",
            "ours": left, "compared_with": "an empty page of the same app", "theirs": right, "ratio": left / right,
            "aim": "<= 3", "unit": "ms", "queries": {"few teams": small, f"{TEAMS} teams": large},
        }
    ]  # fmt: skip


def _milliseconds(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def _client() -> Any:
    from django.test import Client

    from courses.roster.models import User

    client = Client()
    client.force_login(User.objects.get(username="student"), "django.contrib.auth.backends.ModelBackend")
    return client


def _session() -> str:
    return str(_client().cookies["sessionid"].value)


def _queries(site: Site) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = _client()
    with CaptureQueriesContext(connection) as seen:
        assert client.get("/c/ml/a/bench/board/").status_code == 200
    return len(seen)


def fill(site: Site) -> None:
    """Scores as rows, ranked by the same service that ranks real ones."""
    from django.utils import timezone

    from courses.leaderboards.services import refresh
    from courses.roster.models import User
    from courses.submissions.models import Checkpoint, Run, ScoreEvent, Submission
    from courses.teams.models import Team

    numbers = random.Random(0)
    owner = User.objects.get(username="student")
    assignment = site.assignment
    teams = Team.objects.bulk_create(
        [Team(course=assignment.course, name=f"class{number}", scope="fill") for number in range(TEAMS)]
    )
    runs = Run.objects.bulk_create(
        [
            Run(assignment=assignment, version=assignment.current, team=team, owner=owner, number=number + 1,
                state="succeeded", entry="train.py", code_sha256="0" * 64, code_files=1, code_bytes=1)
            for team in teams for number in range(10)
        ]
    )  # fmt: skip
    checkpoints = Checkpoint.objects.bulk_create(
        [Checkpoint(run=run, name="best", sha256="0" * 64, size=1) for run in runs]
    )
    each = SUBMISSIONS // len(checkpoints)
    submissions = Submission.objects.bulk_create(
        [
            Submission(run=one.run, checkpoint=one, owner=owner, state="scored")
            for one in checkpoints for _ in range(each)
        ],
        batch_size=5_000,
    )  # fmt: skip
    values = [round(numbers.uniform(0.5, 0.99), 6) for _ in submissions]
    ScoreEvent.objects.bulk_create(
        [
            ScoreEvent(submission=one, assignment=assignment, team=one.run.team, primary=value,
                       scores={"macro_f1": value, "accuracy": value})
            for one, value in zip(submissions, values, strict=True)
        ],
        batch_size=5_000,
    )  # fmt: skip
    start = timezone.now() - timedelta(days=60)
    for number, event in enumerate(events := list(ScoreEvent.objects.filter(assignment=assignment).order_by("id"))):
        event.at = start + timedelta(seconds=number * 60)
    ScoreEvent.objects.bulk_update(events, ["at"], batch_size=5_000)
    refresh(assignment)
