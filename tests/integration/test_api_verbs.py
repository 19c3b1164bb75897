"""What NSML's verbs ask of the API: limits named at once, forks from a checkpoint, removal, data with its licence."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from courses.assignments.models import Assignment
from courses.audit.models import Entry
from courses.submissions import jobs, resources
from courses.submissions.models import Checkpoint, Run
from hub.tracking.models import MetricPoint, TrackedRun
from runner.models import Attempt, Device, Job, Lease, Node
from tests.integration.test_api import client_of
from tests.world import EXAMPLES, World, push_example, zip_of

pytestmark = pytest.mark.django_db
CODE = {"train.py": "print('hi')\n", "predict.py": "print('hi')\n"}


@pytest.fixture
def digits(world: World, tmp_path: Path) -> Assignment:
    return push_example(world, "digits", tmp_path)


def push(client: Client, **fields: object) -> Any:
    code = SimpleUploadedFile("code.zip", zip_of(CODE))
    return client.post("/api/v1/courses/ml/assignments/digits/runs", {"code": code, **fields})


def ended(client: Client, *checkpoints: str, **fields: object) -> Run:
    run = Run.objects.get(pk=push(client, **fields).json()["id"])
    run.state, run.ended_at = "succeeded", timezone.now()
    run.save()
    for name in checkpoints:
        Checkpoint.objects.create(run=run, name=name, sha256="a" * 64, size=1)
    return run


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gpus": 2}, "You asked for 2 GPU(s); this assignment gives 0."),
        ({"cpus": 64}, "You asked for 64 CPU(s); this assignment gives 1."),
        ({"memory": "24G"}, "You asked for 24G of memory; this assignment gives 1G."),
        ({"shm_size": "2G"}, "You asked for 2G of shared memory; this assignment gives 1G."),
        ({"memory": "512M", "shm_size": "1G"}, "You asked for 1G of shared memory; this assignment gives 512M."),
        ({"memory": "1K"}, "too little to start; ask for 64M"),
        ({"memory": "lots"}, "'lots' is no size"),
    ],
)
def test_more_than_the_assignment_gives_is_refused_with_the_limit(
    world: World, digits: Assignment, fields: dict[str, Any], words: str
) -> None:
    answer = push(client_of(world.student), **fields)
    assert answer.status_code == 409, answer.content
    assert words in answer.json()["error"]["message"]
    assert not Run.objects.exists()


def test_less_than_the_assignment_gives_is_what_the_run_gets(world: World, digits: Assignment) -> None:
    answer = push(client_of(world.student), gpus=0, cpus=0.5, memory="512M", shm_size="128m").json()
    assert answer["resources"] == {"gpus": 0, "cpus": 0.5, "memory_bytes": 512 << 20, "shm_bytes": 128 << 20}
    spec = jobs.train(Run.objects.get())
    assert (spec.limits.cpus, spec.limits.memory_bytes, spec.limits.shm_bytes) == (0.5, 512 << 20, 128 << 20)
    config = digits.current.config
    assert resources.at_most(config, {"memory_bytes": 1 << 40}) == {"memory_bytes": config.memory_bytes}


def test_a_fork_goes_on_from_the_parents_checkpoint(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    parent = ended(client, "one", "two", memory="512M")
    made = client.post(f"/api/v1/runs/{parent.pk}/fork", {"checkpoint": "one", "args": "--lr 1"}).json()
    assert (made["parent"], made["checkpoint"], made["args"]) == (str(parent.pk), "one", "--lr 1")
    spec = jobs.train(Run.objects.get(pk=made["id"]))
    assert [one.target for one in spec.inputs][-1] == "/checkpoint"
    assert spec.env["SEODANG_CHECKPOINT"] == spec.env["NSML_CHECKPOINT"] == "/checkpoint/one"
    assert spec.env["NSML_PARENT"] == parent.session and spec.limits.memory_bytes == 512 << 20
    unknown = client.post(f"/api/v1/runs/{parent.pk}/fork", {"checkpoint": "none"})
    assert unknown.status_code == 404 and unknown.json()["error"]["code"] == "no_checkpoint"
    assert client_of(world.outsider).post(f"/api/v1/runs/{parent.pk}/fork", {}).status_code == 404
    assert client_of(world.ta).post(f"/api/v1/runs/{parent.pk}/fork", {}).status_code == 403


def test_resume_takes_the_newest_checkpoint_of_what_ended(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    running = push(client).json()["id"]
    assert client.post(f"/api/v1/runs/{running}/resume").json()["error"]["code"] == "still_running"
    empty = ended(client)
    assert client.post(f"/api/v1/runs/{empty.pk}/resume").json()["error"]["code"] == "no_checkpoint"
    parent = ended(client, "one", "two")
    made = client.post(f"/api/v1/runs/{parent.pk}/resume")
    assert made.status_code == 201
    assert (made.json()["checkpoint"], made.json()["parent"]) == ("two", str(parent.pk))


def test_removal_hides_what_ended_and_leaves_its_record(world: World, digits: Assignment) -> None:
    client, mate = client_of(world.student), client_of(world.teammate)
    run = ended(client)
    assert client_of(world.ta).delete(f"/api/v1/runs/{run.pk}").status_code == 403
    assert client_of(world.outsider).delete(f"/api/v1/runs/{run.pk}").status_code == 404
    for _ in range(2):
        assert mate.delete(f"/api/v1/runs/{run.pk}").status_code == 204
    assert client.get("/api/v1/courses/ml/runs").json() == []
    assert client.get(f"/api/v1/runs/{run.pk}").json()["removed"] is True
    assert [one["id"] for one in client_of(world.ta).get("/api/v1/courses/ml/runs?all=1").json()] == [str(run.pk)]
    assert Entry.objects.filter(action="run.hide").count() == 1


def test_a_running_run_is_removed_by_force_only(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    run = push(client).json()["id"]
    assert client.delete(f"/api/v1/runs/{run}").status_code == 409
    assert client.delete(f"/api/v1/runs/{run}?force=1").status_code == 204
    assert Job.objects.get().outcome == "stopped"


def test_a_student_starts_with_the_baseline_and_the_sample_and_no_test(world: World, digits: Assignment) -> None:
    answer = b"".join(client_of(world.student).get("/api/v1/courses/ml/assignments/digits/start"))
    with tarfile.open(fileobj=io.BytesIO(answer)) as tar:
        names = tar.getnames()
        contents = b"".join(part.read() for name in names if (part := tar.extractfile(name)))
    assert {"README.md", "baseline/train.py", "baseline/predict.py"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"README.md", "baseline", "data"}
    assert {"/".join(name.split("/")[:3]) for name in names if name.startswith("data")} == {
        "data/sample/inputs", "data/sample/labels",
    }  # fmt: skip
    hidden = (EXAMPLES / "digits" / "data" / "labels" / "labels.csv").read_bytes()
    assert hidden not in contents and hidden.splitlines()[-1] + b"\n" not in contents


def test_training_data_is_given_with_its_licence_and_nothing_else(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    rows = client.get("/api/v1/courses/ml/datasets").json()
    assert [(row["name"], row["license"]) for row in rows] == [("digits", digits.current.config.license)]
    assert client.get("/api/v1/courses/ml/datasets?search=nothing-has-this").json() == []
    answer = client.get("/api/v1/courses/ml/assignments/digits/data")
    with tarfile.open(fileobj=io.BytesIO(b"".join(answer))) as tar:
        assert tar.getnames() == ["LICENSE.txt", "train.csv"]
    for split in ("test", "labels", "sample"):
        assert client.get(f"/api/v1/courses/ml/datasets/digits/{split}").status_code == 404
    assert client_of(world.outsider).get("/api/v1/courses/ml/assignments/digits/data").status_code == 404
    Assignment.objects.update(opens_at=timezone.now() + dt.timedelta(days=1))
    assert client.get("/api/v1/courses/ml/datasets").json() == []
    assert client.get("/api/v1/courses/ml/assignments/digits/data").status_code == 409
    assert client_of(world.ta).get("/api/v1/courses/ml/assignments/digits/data").status_code == 200


def test_devices_name_only_the_runs_that_one_may_see(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    run = Run.objects.get(pk=push(client).json()["id"])
    run.job = run.preflight_job  # stands in for the training job: the lease is what counts
    run.save()
    node = Node.objects.create(name="srv1")
    gpu = Device.objects.create(uuid="GPU-1", node=node, kind="gpu", name="H100", index=0, slots=1)
    attempt = Attempt.objects.create(job_id=run.job, number=1, node=node, state="running")
    Lease.objects.create(attempt=attempt, device=gpu, slot=0)
    other = world.course.memberships.create(user=world.outsider, role="student").user
    for person, names in [(world.student, [run.session]), (world.ta, [run.session]), (other, [])]:
        rows = client_of(person).get("/api/v1/courses/ml/devices").json()
        assert [(row["node"], row["busy"], row["runs"]) for row in rows] == [("srv1", 1, names)]


def test_credit_counts_what_the_team_used(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    run = Run.objects.get(pk=push(client).json()["id"])
    node, now = Node.objects.create(name="srv1"), timezone.now()
    key = f"{run.team_id}:{run.assignment_id}"
    for outcome, gpus in [("succeeded", 2), ("lost", 2)]:
        job = Job.objects.create(kind="run", spec={"gpus": gpus}, owner_key=key, share_path="ml/1")
        Attempt.objects.create(job=job, number=1, node=node, state="ended", outcome=outcome, ended_at=now)
    Attempt.objects.update(created_at=now - dt.timedelta(minutes=3))
    row = client_of(world.teammate).get("/api/v1/courses/ml/credit").json()[0]
    assert (row["assignment"], row["team"], row["minutes"], row["gpu_minutes"]) == ("digits", "maple", 3.0, 6.0)


def test_events_are_counted_by_key(world: World, digits: Assignment) -> None:
    client = client_of(world.student)
    run = Run.objects.get(pk=push(client).json()["id"])
    TrackedRun.objects.create(run_uuid=run.pk.hex, started_ms=0)
    for step, key in enumerate(["loss", "loss", "acc"]):
        MetricPoint.objects.create(run_id=run.pk.hex, key=key, value=1.0, step=step, timestamp_ms=step)
    assert client.get(f"/api/v1/runs/{run.pk}/events").json() == {"count": 3, "keys": {"acc": 1, "loss": 2}}
    assert client_of(world.outsider).get(f"/api/v1/runs/{run.pk}/events").status_code == 404
