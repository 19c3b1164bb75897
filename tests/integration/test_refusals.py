"""What cannot run is refused at once, with the reason; what only has to wait says for what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from courses.assignments.models import Assignment
from courses.roster.services import create_token, set_open
from courses.submissions import admission, services
from courses.submissions.models import Run, Submission
from courses.teams.services import answer, invite
from runner import queue
from runner.models import Job
from tests.class_at_work import ClassAtWork, make_class
from tests.stack import make_worker
from tests.unchanged import nothing_changes
from tests.world import World, push_example, zip_of

pytestmark = pytest.mark.django_db
CODE = {"train.py": "", "predict.py": ""}


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> ClassAtWork:
    push_example(world, "cuda-warmup", tmp_path)
    return make_class(world, tmp_path)


def client_of(user: object) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(user, 'test')}"})


def push(client: Client, assignment: str = "digits", files: dict[str, str] = CODE, **fields: object) -> object:
    upload = SimpleUploadedFile("code.zip", zip_of(files))
    return client.post(f"/api/v1/courses/ml/assignments/{assignment}/runs", {"code": upload, **fields})


def move(assignment: Assignment, **days: float) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        **{name: timezone.now() + dt.timedelta(days=count) for name, count in days.items()}
    )


def limit(assignment: Assignment, **limits: int) -> None:
    version = assignment.current
    version.raw["limits"] = {**version.raw["limits"], **limits}
    version.save()


Before = Callable[[ClassAtWork], object]
REFUSALS: dict[str, tuple[Before, dict[str, object], int, str]] = {
    "no entry file": (lambda _: None, {"files": {"other.py": ""}}, 400, "train.py is not in the folder"),
    "another entry": (lambda _: None, {"entry": "python3 go.py"}, 400, "go.py is not in the folder"),
    "no file at all": (lambda _: None, {"files": {}}, 400, "no file"),
    "closed": (lambda it: set_open(it.world.teacher, it.world.course, False), {}, 409, "The course is closed"),
    "not open yet": (lambda it: move(it.assignment, opens_at=1, due_at=2), {}, 409, "The assignment opens"),
    "past due": (lambda it: move(it.assignment, opens_at=-2, due_at=-0.001), {}, 409, "The deadline was"),
    "no GPU": (lambda _: None, {"assignment": "cuda-warmup"}, 409, "asks for 1 GPU(s); the largest node has 0"),
    "used up": (lambda it: limit(it.assignment, submissions_per_day=2), {"submit": "true"}, 409, "used 2 of 2"),
    "no way to predict": (lambda _: None, {"submit": "true", "files": {"train.py": ""}}, 409, "never calls nsml.paused()"),
    "a team too large": (lambda it: limit(it.assignment, team_size=1), {}, 409, "has 2 members; this assignment allows 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_at_once_with_the_reason(at_work: ClassAtWork, name: str) -> None:
    before, given, status, words = REFUSALS[name]
    before(at_work)
    client = client_of(at_work.world.student)
    with nothing_changes():
        answer = push(client, **given)  # type: ignore[arg-type]
    error = answer.json()["error"]  # type: ignore[attr-defined]
    assert (answer.status_code, words in error["message"]) == (status, True), error  # type: ignore[attr-defined]


def test_too_large_is_refused(at_work: ClassAtWork, settings: object) -> None:
    settings.CODE_BYTES_MAX = 10  # type: ignore[attr-defined]
    client = client_of(at_work.world.student)
    with nothing_changes():
        answer = push(client)
    assert answer.json()["error"]["code"] == "too_large"  # type: ignore[attr-defined]


def test_the_days_submissions_bind_submits_and_not_pushes_or_trials(at_work: ClassAtWork) -> None:
    limit(at_work.assignment, submissions_per_day=2)
    client, where = client_of(at_work.world.teammate), f"/api/v1/runs/{at_work.run.pk}/submissions"
    assert push(client).status_code == 201  # type: ignore[attr-defined]
    with nothing_changes():
        refused = client.post(where, {"checkpoint": "best"})
    assert refused.json()["error"]["message"] == "Your team used 2 of 2 submissions today."
    assert "-t" in refused.json()["error"]["next"]
    assert client.post(where, {"checkpoint": "best", "trial": "true"}).status_code == 201
    Submission.objects.filter(trial=False).update(counts=False)  # the platform's fault, or the scorer's
    assert client.post(where, {"checkpoint": "best"}).status_code == 201


def test_a_script_that_pushes_in_a_loop_comes_to_an_end(at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    team, client = client_of(at_work.world.student), client_of(at_work.world.teammate)
    monkeypatch.setattr(admission, "ACTIVE_MAX", 3)  # of which the class has one
    active = [push(team).json()["id"] for _ in range(2)]  # type: ignore[attr-defined]
    with nothing_changes():
        for refused in (push(client), client.post(f"/api/v1/runs/{at_work.run.pk}/fork")):
            error = refused.json()["error"]  # type: ignore[attr-defined]
            assert error["message"] == "3 runs of your team wait or run already."
            assert "seodang stop" in error["next"]
    assert push(client_of(at_work.world.ta)).status_code == 201, "another team's queue is its own"  # type: ignore[attr-defined]
    Run.objects.filter(pk=active[0]).update(state="stopped")
    assert push(client).status_code == 201  # type: ignore[attr-defined]


def test_trials_at_once_are_bounded(at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "TRIALS_MAX", 1)
    client, where = client_of(at_work.world.student), f"/api/v1/runs/{at_work.run.pk}/submissions"
    assert client.post(where, {"trial": "true"}).status_code == 201
    with nothing_changes():
        assert client.post(where, {"trial": "true"}).json()["error"]["code"] == "too_many_trials"
    Submission.objects.filter(trial=True).update(state="scored")
    assert client.post(where, {"trial": "true"}).status_code == 201


def test_a_closed_course_shows_everything_and_starts_nothing(at_work: ClassAtWork) -> None:
    set_open(at_work.world.teacher, at_work.world.course, False)
    student, run = client_of(at_work.world.student), at_work.run.pk
    with nothing_changes():
        assert student.get(f"/api/v1/runs/{run}/log").status_code == 200
        for route in ("fork", "submissions"):
            refused = student.post(f"/api/v1/runs/{run}/{route}", {"checkpoint": "best"})
            assert refused.json()["error"]["code"] == "course_closed", route
    assert push(client_of(at_work.world.ta)).status_code == 201, "the staff may try things"  # type: ignore[attr-defined]
    set_open(at_work.world.teacher, at_work.world.course, True)
    assert push(student).status_code == 201  # type: ignore[attr-defined]


def test_a_run_pushed_in_time_is_submitted_after_the_deadline(at_work: ClassAtWork) -> None:
    move(at_work.assignment, opens_at=-2, due_at=-1)
    client = client_of(at_work.world.student)
    where = f"/api/v1/runs/{at_work.run.pk}/submissions"
    with nothing_changes():
        assert client.post(where, {"checkpoint": "best"}).json()["error"]["code"] == "past_due"
    Run.objects.filter(pk=at_work.run.pk).update(created_at=timezone.now() - dt.timedelta(days=1.5))
    assert client.post(where, {"checkpoint": "best"}).status_code == 201


def test_what_exceeds_the_runs_at_once_waits_and_says_so(at_work: ClassAtWork) -> None:
    limit(at_work.assignment, running_at_once=1)
    worker = make_worker()
    worker.register()
    client = client_of(at_work.world.student)
    runs = [push(client).json()["id"] for _ in range(2)]  # type: ignore[attr-defined]
    Job.objects.update(state="ended", outcome="succeeded")
    for key in runs:  # as when their preflights passed
        services.start_job(Run.objects.get(pk=key))
    queue.schedule()
    first, second = (client.get(f"/api/v1/runs/{key}").json() for key in runs)
    assert (first["position"], second["state"], second["position"]) == (None, "queued", 1)
    assert second["reason"] == "Your team runs 1 of 1 at once."
    assert second["expected_start"]


def test_a_full_team_takes_nobody_else(at_work: ClassAtWork) -> None:
    """Three are allowed; with a fourth the next push is refused, and nobody is thrown out."""
    world = at_work.world
    for name in ("rival", "observer"):
        person = at_work.people[name]
        answer(person, invite(world.student, world.team, name).id, True)
    client = client_of(world.student)
    with nothing_changes():
        refused = push(client)
    assert refused.json()["error"]["code"] == "team_too_large"  # type: ignore[attr-defined]
