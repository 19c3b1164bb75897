"""What a student tried who wanted more than their share. Each is a hole that was found open once."""

from __future__ import annotations

import errno
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from courses.roster.services import create_token
from courses.sentences import read
from courses.submissions import admission, handlers
from courses.submissions.models import Submission, SubmissionState
from courses.teams import services as teams
from courses.teams.queries import team_of
from runner import archives, attempts, blobs, queue
from runner.models import Device, Job, Node
from runner.spec import JobSpec, Limits
from tests.class_at_work import ClassAtWork, make_class
from tests.unchanged import nothing_changes
from tests.world import World, zip_of

pytestmark = pytest.mark.django_db
MEMO = "/api/v1/runs/{run}/memo"


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> ClassAtWork:
    return make_class(world, tmp_path)


def client_of(user: object) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(user, 'test')}"}, raise_request_exception=True)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_by_a_method_that_cannot_be_measured(tmp_path: Path, method: int) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", method) as archive:
        archive.writestr("train.py", b"\0" * 1000)
    with pytest.raises(archives.ArchiveError, match="is packed by a method that is not taken"):
        archives.unzip(bomb, tmp_path / "out")


def test_a_zips_error_names_no_path_of_the_server(tmp_path: Path) -> None:
    both = tmp_path / "both.zip"
    with zipfile.ZipFile(both, "w") as archive:
        archive.writestr("a", "a file")
        archive.writestr("a/b.py", "and a folder of its name")
    with pytest.raises(archives.ArchiveError) as refused:
        archives.unzip(both, tmp_path / "out")
    assert str(tmp_path) not in str(refused.value)


def test_thousands_of_folders_take_no_descriptors(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / "many" / f"d{number:03}").mkdir(parents=True)
    (tmp_path / "many" / "d299" / "weights").write_text("w")
    directory = os.open(tmp_path, os.O_RDONLY)
    opened: list[int] = []
    real = os.open

    def counted(*args: Any, **options: Any) -> int:
        opened.append(len(os.listdir("/proc/self/fd")))
        return real(*args, **options)

    before = len(os.listdir("/proc/self/fd"))
    try:
        os.open = counted  # type: ignore[assignment]
        packed = archives.pack_open(directory, archives.Bounds(files=1_000), io.BytesIO(), only="many")
        with pytest.raises(archives.ArchiveError, match="more folders"):
            archives.pack_open(directory, archives.Bounds(files=100), io.BytesIO(), only="many")
    finally:
        os.open = real
        os.close(directory)
    assert packed == [("many/d299/weights", 1)]
    assert max(opened) - before < 10


def test_a_process_without_descriptors_blames_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").write_text("w")
    directory = os.open(tmp_path, os.O_RDONLY)

    def none_left(*_: Any, **__: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    try:
        with monkeypatch.context() as patched, pytest.raises(OSError, match="Too many open files"):
            patched.setattr(os, "open", none_left)
            archives.pack_open(directory, archives.Bounds(), io.BytesIO())
    finally:
        os.close(directory)


def test_files_with_holes_take_no_more_than_the_limit_of_all(tmp_path: Path) -> None:
    """A sparse file takes no room in /out, and all of its length where it is kept."""
    for place, names in (("checkpoints", ("one", "two", "three")), ("", ("x.bin", "y.bin", "z.bin"))):
        for age, name in enumerate(names):
            path = tmp_path / "out" / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as sink:
                sink.truncate(3 << 20)
            os.utime(path, (age, age))
    spec = JobSpec(
        kind="run", command=("true",), environment="base", collect_checkpoints=True, collect_outputs=True,
        limits=Limits(output_bytes_max=10 << 20),
    )  # fmt: skip
    found: dict[str, Any] = {"checkpoints": [], "outputs": [], "problems": []}
    directory = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        room = spec.limits.output_bytes_max
        room -= attempts._collect_checkpoints(directory, room, found)
        attempts._collect_outputs(directory, room, found)
    finally:
        os.close(directory)
    assert [one["name"] for one in found["checkpoints"]] == ["one", "two", "three"]
    assert found["outputs"] == [] and len(found["problems"]) == 3, "there was room for 1 MiB more"
    with tarfile.open(fileobj=blobs.open_blob(found["checkpoints"][0]["sha256"])) as tar:
        assert tar.getnames() == ["one"]


def test_a_checkpoint_with_a_name_that_no_row_takes_is_said_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for letter in "12":
        (tmp_path / "checkpoints" / ("a" * 200 + letter)).write_text("w")
    found: dict[str, Any] = {"checkpoints": [], "problems": []}
    directory = os.open(tmp_path, os.O_RDONLY)
    attempts._collect_checkpoints(directory, 1 << 20, found)
    os.close(directory)
    assert found["checkpoints"] == [] and len(found["problems"]) == 2


def test_a_new_team_begins_with_what_its_members_used(at_work: ClassAtWork) -> None:
    world = at_work.world
    used = admission.submissions_today(world.team, at_work.assignment)
    assert used == 2
    teams.leave(world.student, world.team)
    alone = teams.team_for(world.student, world.course, at_work.assignment.slug)
    assert alone != world.team and team_of(world.student, world.course, at_work.assignment.slug) == alone
    assert admission.submissions_today(alone, at_work.assignment) == used


def test_predictions_at_fault_count_and_are_told(at_work: ClassAtWork) -> None:
    submission = Submission.objects.create(
        run=at_work.run, checkpoint=at_work.run.checkpoints.first(), owner=at_work.world.student,
        state=SubmissionState.SCORING,
    )  # fmt: skip
    stored = {"head": blobs.put_bytes(b"scoring\nline 3: 'x' is no class\n\n"), "tail": blobs.put_bytes(b"")}
    for code, counts, words in (
        (65, True, "The predictions cannot be scored (your code): line 3: 'x' is no class"),
        (2, False, "The scorer failed: your instructor's fault"),
    ):
        Submission.objects.filter(pk=submission.pk).update(state=SubmissionState.SCORING, counts=True)
        submission.refresh_from_db()
        job = Job(kind="score", outcome="failed", detail={"exit_code": code, "log": stored})
        handlers._scored(job, submission)
        submission.refresh_from_db()
        assert (submission.state, submission.counts) == (SubmissionState.FAILED, counts)
        assert read(submission.sentence).startswith(words)


@pytest.mark.parametrize("body", ["[" * 100_000, '{"memo": "\\ud800"}', '{"memo": ' + "[" * 100_000])
def test_json_that_cannot_be_read_is_a_400(at_work: ClassAtWork, body: str) -> None:
    client = client_of(at_work.world.student)
    with nothing_changes():
        for where in (MEMO.format(run=at_work.run.pk), "/api/v1/login"):
            assert client.post(where, body, content_type="application/json").status_code == 400


def test_words_that_are_too_long_for_their_column(at_work: ClassAtWork) -> None:
    page = Client()
    page.force_login(at_work.world.student, "django.contrib.auth.backends.ModelBackend")
    upload = SimpleUploadedFile("code.zip", zip_of({"train.py": "", "predict.py": ""}))
    with nothing_changes():
        assert page.post("/c/ml/a/digits/", {"code": upload, "args": "x" * 1500}).status_code == 400
        assert page.post(f"/runs/{at_work.run.pk}/fork/", {"args": "x" * 3000}).status_code == 400
    assert page.post("/settings/tokens/", {"name": "x" * 5000}).status_code in {200, 302}


def test_a_notebook_with_half_a_letter(at_work: ClassAtWork) -> None:
    cell = '{"cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}'
    upload = SimpleUploadedFile("notes.ipynb", cell.encode())
    client = client_of(at_work.world.student)
    with nothing_changes():
        answer = client.post("/api/v1/courses/ml/assignments/digits/runs", {"code": upload})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "notebook")


def test_one_prediction_of_a_team_at_once(at_work: ClassAtWork) -> None:
    client = client_of(at_work.world.student)
    for _ in range(3):
        assert client.post(f"/api/v1/runs/{at_work.run.pk}/submissions", {"trial": "true"}).status_code == 201
    limits = set(Job.objects.filter(kind="predict", state="queued").values_list("owner_key", "owner_running_max"))
    assert limits == {(f"{at_work.world.team.pk}:{at_work.assignment.pk}:predict", 1)}
    node = Node.objects.create(name="n")
    Device.objects.create(node=node, uuid="express", kind="express", name="CPU", slots=2)
    Device.objects.create(node=node, uuid="cpu", kind="cpu", name="CPU", slots=4)
    Job.objects.exclude(kind="predict", state="queued").delete()
    for _ in range(2):
        queue.schedule()
    assert sorted(Job.objects.values_list("state", flat=True)) == ["queued", "queued", "starting"]


def test_checks_are_looked_at_though_a_crowd_waits_before_them(
    at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "QUEUE_MAX", 2)
    Device.objects.create(node=Node.objects.create(name="n"), uuid="e", kind="express", name="CPU", slots=1)
    Job.objects.all().delete()
    spec = JobSpec(kind="run", command=("true",), environment="base")
    for _ in range(3):
        queue.enqueue(spec, owner_key="a", share_path="ml/a")
    last = queue.enqueue(spec, owner_key="b", share_path="ml/b", express=True)
    assert [attempt.job_id for attempt in queue.schedule()] == [last.id]
