"""Pages open for whom they are, and for nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.leaderboards.models import Board, Standing
from courses.roster.models import User
from courses.roster.services import add_member
from courses.submissions import jobs, queries
from courses.submissions.models import Checkpoint, Run, Submission
from courses.teams.models import Team
from courses.teams.services import create
from runner import blobs
from runner.models import Attempt, Device, Job, Lease, Node
from tests.world import World, push_example, zip_of

pytestmark = pytest.mark.django_db
CODE = {"train.py": "print('<script>alert(1)</script>')\n", "predict.py": "pass\n"}
PEOPLE = ("teacher", "ta", "student", "teammate", "outsider")
EVERYONE = {"teacher": 200, "ta": 200, "student": 200, "teammate": 200, "outsider": 404}
STAFF = {"teacher": 200, "ta": 200, "student": 403, "teammate": 403, "outsider": 404}


def browser(person: object) -> Client:
    client = Client()
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")  # type: ignore[arg-type]
    return client


@pytest.fixture
def run(world: World, tmp_path: Path) -> Run:
    push_example(world, "digits", tmp_path)
    upload = SimpleUploadedFile("code.zip", zip_of(CODE))
    answer = browser(world.student).post("/c/ml/a/digits/", {"code": upload, "memo": "first", "submit": "on"})
    made = Run.objects.get()
    assert answer.headers["Location"] == f"/runs/{made.pk}/"
    assert made.wants_submit
    return made


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/c/ml/", EVERYONE),
        ("/c/ml/runs/", EVERYONE),
        ("/c/ml/team/", EVERYONE),
        ("/c/ml/a/digits/", EVERYONE),
        ("/c/ml/a/digits/board/", EVERYONE),
        ("/c/ml/a/digits/board/?fragment=1", EVERYONE),
        ("/runs/{run}/", EVERYONE),
        ("/runs/{run}/?fragment=1", EVERYONE),
        ("/runs/{run}/diff/{run}/", EVERYONE),
        ("/c/ml/gpus/", STAFF),
        ("/c/ml/people/", STAFF),
        ("/settings/tokens/", dict.fromkeys(PEOPLE, 200)),
    ],
)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_who_opens_which_page(world: World, run: Run, path: str, statuses: dict[str, int], language: str) -> None:
    where = path.format(run=run.pk)
    assert Client().get(where).status_code == 302
    for person, status in statuses.items():
        answer = browser(getattr(world, person)).get(where, headers={"Accept-Language": language})
        assert answer.status_code == status, (person, where)
        assert "<script>alert" not in answer.content.decode()


def test_a_page_sends_its_policy(world: World) -> None:
    answer = browser(world.student).get("/c/ml/")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_stop_needs_a_member_or_staff(world: World, run: Run) -> None:
    assert browser(world.outsider).post(f"/runs/{run.pk}/stop/").status_code == 404
    assert browser(world.teammate).post(f"/runs/{run.pk}/stop/").status_code == 302


def test_a_roster_is_checked_before_it_changes_anything(world: World) -> None:
    client = browser(world.teacher)
    bad = "username,name,email,role\nkim,Minji Kim,not-an-address,\nlee,Junho Lee,lee@example.org,wizard\n"
    page = client.post("/c/ml/people/", {"roster": bad, "do": "import"}).content.decode()
    assert "line 2" in page
    assert "line 3" in page
    assert world.course.memberships.count() == 4
    good = "username,name,email,role\nkim,Minji Kim,kim@example.org,\n"
    client.post("/c/ml/people/", {"roster": good, "do": "check"})
    assert world.course.memberships.count() == 4
    client.post("/c/ml/people/", {"roster": good, "do": "import"})
    assert world.course.memberships.filter(user__username="kim", role="student").exists()


def use(run: Run, *samples: list[float | None]) -> None:
    """The run goes, and was measured."""
    spec = jobs.train(run).to_json()
    job = Job.objects.create(kind="run", spec=spec, owner_key="o", share_path="s", state="running", tries=1)
    node = Node.objects.create(name="srv1")
    attempt = Attempt.objects.create(
        job=job, number=1, node=node, state="running", usage=list(samples), started_at=timezone.now()
    )
    device = Device.objects.create(node=node, uuid="cpu", kind="cpu", name="CPU 0")
    Lease.objects.create(attempt=attempt, device=device, slot=0)
    Run.objects.filter(pk=run.pk).update(job=job.id, state="running", started_at=timezone.now())


def test_a_run_shows_what_it_uses_and_warns_of_memory(world: World, run: Run) -> None:
    page = browser(world.student).get(f"/runs/{run.pk}/").content.decode()
    assert 'id="use"' in page and "data-meter" not in page
    limit = run.version.config.memory_bytes
    use(run, [1.0, 0.5, limit // 2, None, None], [2.0, 0.9, int(limit * 0.95), None, None])
    page = browser(world.student).get(f"/runs/{run.pk}/").content.decode()
    assert "srv1, CPU 0" in page
    assert "0.9 of" in page
    assert 'data-level="warn"' in page
    assert 'data-meter="gpu"' not in page
    assert '<p class="small warn mt-3" id="full" role="status">' in page


def test_a_run_says_what_changed_in_the_code_since_the_one_before(world: World, run: Run) -> None:
    more = {**CODE, "train.py": "import sys\nprint('better')\n"}
    browser(world.student).post("/c/ml/a/digits/", {"code": SimpleUploadedFile("code.zip", zip_of(more))})
    newer = Run.objects.get(number=2)
    page = browser(world.student).get(f"/runs/{newer.pk}/").content.decode()
    assert '<span class="diff-up">+2</span>' in page
    assert '<span class="diff-down">-1</span>' in page
    assert f"/runs/{newer.pk}/diff/{run.pk}/" in page
    assert "from run 1" in page


def test_the_whole_log_comes_as_text_with_its_gap_said(world: World, run: Run) -> None:
    head, tail = blobs.put_bytes(b"one\n"), blobs.put_bytes("끝\n".encode())
    stored = {"head": head, "tail": tail, "tail_start": 100, "total": 104}
    job = Job.objects.create(
        kind="run", spec=jobs.train(run).to_json(), owner_key="o", share_path="s", state="ended", detail={"log": stored}
    )
    Run.objects.filter(pk=run.pk).update(job=job.id, state="succeeded")
    answer = browser(world.student).get(f"/runs/{run.pk}/log.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode() == "one\n\n[… 96 bytes left out …]\n끝\n"


@pytest.mark.parametrize("state", ["preflight", "queued"])
def test_a_run_that_waits_says_why(world: World, run: Run, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = queries.run_view(run) | {"state": state, "reason": "The environment is being built, step 3 of 9."}
    monkeypatch.setattr(queries, "run_view", lambda _run: told)
    Run.objects.filter(pk=run.pk).update(state=state)
    for where in (f"/runs/{run.pk}/", "/c/ml/"):
        assert "step 3 of 9" in browser(world.student).get(where).content.decode()


def broken(run: Run) -> None:
    """The run was lost, and its scoring failed by the scorer's fault."""
    Run.objects.filter(pk=run.pk).update(state="lost", ended_at=timezone.now(), sentence="srv2 stopped answering.")
    kept = Checkpoint.objects.create(run=run, name="best", sha256="0" * 64, size=1)
    Submission.objects.create(
        run=run, checkpoint=kept, owner=run.owner, state="failed", counts=False, ended_at=timezone.now(),
        sentence="The scorer failed.",
    )  # fmt: skip


def test_the_staffs_home_says_who_never_pushed_and_what_broke(world: World, run: Run) -> None:
    quiet = User.objects.create_user("quiet", first_name="Lee", last_name="Quiet")
    add_member(world.teacher, world.course, quiet, "student")
    broken(run)
    page = " ".join(browser(world.teacher).get("/c/ml/").content.decode().split())
    assert "2 of 3 students pushed digits" in page
    assert "Lee Quiet" in page
    assert "2 things broke" in page
    assert "srv2 stopped answering." in page and "The scorer failed." in page
    assert page.count(f"/runs/{run.pk}/") >= 2
    students = browser(world.student).get("/c/ml/").content.decode()
    assert "Lee Quiet" not in students and 'id="broke"' not in students


def test_the_gpus_page_says_who_uses_what_and_stops_it(world: World, run: Run) -> None:
    limit = run.version.config.memory_bytes
    use(run, [1.0, 0.5, limit // 2, None, None])
    ta = browser(world.ta)
    page = " ".join(ta.get("/c/ml/gpus/").content.decode().split())
    assert run.session in page
    assert '<div class="device-fig">50%<small>' in page
    assert "min</time> left" in page
    assert f'action="/runs/{run.pk}/stop/"' in page
    answer = ta.post(f"/runs/{run.pk}/stop/", {"from": "gpus"})
    assert answer.headers["Location"] == "/c/ml/gpus/"
    assert f'action="/runs/{run.pk}/stop/"' not in ta.get("/c/ml/gpus/").content.decode()


def test_a_gpu_that_does_nothing_for_long_sits_idle(world: World, run: Run) -> None:
    use(run, *([at, 0.1, 1, 0.0, 1] for at in (0.0, 400.0, 900.0)))
    Device.objects.update(kind="gpu", name="GPU 0", memory_bytes=100)
    page = " ".join(browser(world.ta).get("/c/ml/gpus/").content.decode().split())
    assert 'data-use="idle"' in page
    assert "idle 15 min" in page
    assert "1 sits idle" in page


@pytest.mark.parametrize("path", ["/c/ml/", "/c/ml/gpus/"])
def test_a_page_of_the_staff_asks_a_constant_number_of_queries(
    world: World, run: Run, path: str, django_assert_max_num_queries: Any
) -> None:
    client = browser(world.teacher)
    node = Node.objects.create(name="srv1")
    Device.objects.create(node=node, uuid="first", kind="gpu", name="GPU", index=99)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    for number in range(12):
        user = User.objects.create_user(f"s{number}")
        add_member(world.teacher, world.course, user, "student")
        create(user, world.course, f"t{number}", "")
        Device.objects.create(node=node, uuid=f"d{number}", kind="gpu", name=f"GPU {number}", index=number)
    with django_assert_max_num_queries(len(few)):
        client.get(path)


def scored(run: Run, teams: int) -> None:
    """So many other teams on the board, the first with the best score; the pass score of digits is 0.9."""
    Board.objects.get_or_create(assignment=run.assignment)
    kept = Checkpoint.objects.create(run=run, name="best", sha256="0" * 64, size=1)
    best = Submission.objects.create(
        run=run, checkpoint=kept, owner=run.owner, state="scored", scores={"macro_f1": 0.9}
    )
    Team.objects.bulk_create(Team(course=run.assignment.course, name=f"t{number}") for number in range(teams))
    now = timezone.now()
    Standing.objects.bulk_create(
        Standing(
            board_id=run.assignment_id, team=team, best=best, score=0.99 - 0.002 * place, count=1, rank=place + 1,
            scored_at=now, history=[[now.timestamp(), 0.5]],
        )
        for place, team in enumerate(Team.objects.filter(name__startswith="t").order_by("pk"))
    )  # fmt: skip
    Board.objects.filter(assignment=run.assignment).update(seq=1)


def test_a_long_board_folds_for_students_and_not_for_staff(world: World, run: Run) -> None:
    scored(run, 97)
    Standing.objects.filter(rank=3).update(team=world.team)
    board = "/c/ml/a/digits/board/"
    few = browser(world.student).get(board).content.decode()
    assert few.count('<tr id="team-') < 30
    assert few.count('<tr class="gap">') == 2
    assert "show 87 teams" not in few and "?show=all" in few
    assert "Pass <b>0.9000</b>: 46 teams are above" in " ".join(few.split())
    everything = browser(world.student).get(f"{board}?show=all").content.decode()
    assert everything.count('<tr id="team-') == 97
    around = browser(world.student).get(f"{board}?show=pass&fragment=1").content.decode()
    assert around.count('<tr id="team-') == 20
    assert browser(world.ta).get(board).content.decode().count('<tr id="team-') == 97
