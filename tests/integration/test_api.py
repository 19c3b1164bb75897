"""The API as a client sees it, and as those see it who must see nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from courses.roster.services import create_token
from courses.submissions.models import Run
from runner.models import Job
from tests.world import World, push_example, zip_of

pytestmark = pytest.mark.django_db
CODE = {"train.py": "print('hi')\n", "predict.py": "print('hi')\n"}


def client_of(user: object) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(user, 'test')}"})


def push(client: Client, **fields: object) -> object:
    code = SimpleUploadedFile("code.zip", zip_of(CODE))
    return client.post("/api/v1/courses/ml/assignments/digits/runs", {"code": code, **fields})


def test_a_push_is_kept_and_queued_once(world: World, tmp_path: Path) -> None:
    push_example(world, "digits", tmp_path)
    client = client_of(world.student)
    first = push(client, idempotency_key="once")
    again = push(client, idempotency_key="once")
    assert first.status_code == 201
    assert first.json()["session"] == "maple/digits/1"
    assert again.json()["id"] == first.json()["id"]
    assert Run.objects.count() == Job.objects.count() == 1


def test_who_sees_a_run(world: World, tmp_path: Path) -> None:
    push_example(world, "digits", tmp_path)
    run = push(client_of(world.student)).json()["id"]
    routes = ["", "/log", "/code", "/outputs", "/checkpoints", "/metrics"]
    for route in routes:
        for person, status in [("teammate", 200), ("ta", 200), ("teacher", 200), ("outsider", 404)]:
            answer = client_of(getattr(world, person)).get(f"/api/v1/runs/{run}{route}")
            assert answer.status_code == status, (person, route)
    assert Client().get(f"/api/v1/runs/{run}").status_code == 401
    outsider = client_of(world.outsider)
    assert outsider.get("/api/v1/courses/ml/runs").status_code == 404
    assert outsider.post(f"/api/v1/runs/{run}/stop").status_code == 404


def test_a_run_stopped_twice_is_stopped_once(world: World, tmp_path: Path) -> None:
    push_example(world, "digits", tmp_path)
    client = client_of(world.student)
    run = push(client).json()["id"]
    assert client.post(f"/api/v1/runs/{run}/stop").status_code == 200
    assert client.post(f"/api/v1/runs/{run}/stop").status_code == 200
    job = Job.objects.get()
    assert (job.state, job.outcome, job.events.count()) == ("ended", "stopped", 1)


@pytest.mark.parametrize(
    ("files", "fields", "code"),
    [
        ({"other.py": ""}, {}, "no_entry"),
        (CODE, {"entry": "python3 'train.py"}, "entry"),
        ({"../up.py": "", **CODE}, {}, "archive"),
        ({"/abs.py": "", **CODE}, {}, "archive"),
    ],
)
def test_bad_pushes_change_nothing(
    world: World, tmp_path: Path, files: dict[str, str], fields: dict[str, str], code: str
) -> None:
    push_example(world, "digits", tmp_path)
    upload = SimpleUploadedFile("code.zip", zip_of(files))
    answer = client_of(world.student).post("/api/v1/courses/ml/assignments/digits/runs", {"code": upload, **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert not Run.objects.exists()
    assert not Job.objects.exists()


def test_more_gpus_than_any_node_has_is_refused_at_once(world: World, tmp_path: Path) -> None:
    push_example(world, "cuda-warmup", tmp_path)
    upload = SimpleUploadedFile("code.zip", zip_of(CODE))
    answer = client_of(world.student).post("/api/v1/courses/ml/assignments/cuda-warmup/runs", {"code": upload})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "no_such_gpus"


def test_students_push_no_assignments(world: World) -> None:
    answer = client_of(world.student).put("/api/v1/courses/ml/assignments", {})
    assert answer.status_code == 403


def test_the_schema_has_every_route(world: World) -> None:
    answer = client_of(world.student).get("/api/v1/schema/")
    assert answer.status_code == 200
    assert b"/api/v1/runs/{run}/log" in answer.content
