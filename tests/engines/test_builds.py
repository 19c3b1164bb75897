"""Environments are built in the background, on a real engine: jobs wait with a reason, and lease nothing meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from django.conf import settings
from django.utils import timezone

from runner import builds, images, queue
from runner.builds import Builder
from runner.models import Attempt, EnvironmentBuild, Job, Lease
from runner.sentences import read
from tests.stack import make_worker, turn

from .jobs import small, turn_until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of environments with one, ``tiny``, that nobody has built; its images go away with it."""
    client = docker.DockerClient(base_url=settings.DOCKER_HOST, version="1.41")
    images.ensure_base(client, lambda line: None)
    folder = tmp_path / "environments"
    write(folder, f"# {uuid.uuid4()}")
    monkeypatch.setattr(images, "ROOT", folder)
    yield folder
    for one in client.images.list("seodang/env-tiny"):
        if set(one.tags) & set(EnvironmentBuild.objects.values_list("tag", flat=True)):
            client.images.remove(one.id, force=True)


def write(folder: Path, requirements: str) -> None:
    (folder / "tiny").mkdir(parents=True, exist_ok=True)
    (folder / "tiny/base").write_text(images.BASE_TAG)
    (folder / "tiny/requirements.txt").write_text(requirements)


def enqueue(environment: str = "tiny", script: str = "print('ran')", *, express: bool = False) -> Job:
    spec = replace(small(script), environment=environment)
    return queue.enqueue(spec, owner_key="maple", share_path="ml/maple", express=express)


def test_a_job_waits_with_the_builds_progress_and_runs_when_it_is_ready(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, builder = make_worker_of(root, monkeypatch), Builder()
    job = enqueue()
    assert queue.schedule(builder.gate) == []
    assert builder.wanted.is_set()
    job.refresh_from_db()
    assert read(job.reason) == "Its environment tiny is about to be built."
    builds.mark_ready("other")
    seen: list[str] = []
    started: list[Attempt] = []
    add = builds._Notes.add

    def told(notes: Any, line: str) -> None:
        add(notes, line)
        if not started:
            enqueue("other", express=True)
        started.extend(queue.schedule(builder.gate))
        job.refresh_from_db()
        seen.append(read(job.reason))

    monkeypatch.setattr(builds._Notes, "add", told)
    assert builder.once() and not builder.once()
    assert [one.job.spec["environment"] for one in started] == ["other"], "who needs it waits, the others do not"
    assert any(one.startswith("Its environment tiny is being built: step 3 of 5, RUN") for one in seen), seen
    assert all(one.endswith(" s so far).") for one in seen)
    assert not Attempt.objects.filter(job=job).exists() and Lease.objects.count() == 1
    row = EnvironmentBuild.objects.get(environment="tiny")
    assert (row.state, row.step, row.steps, row.tag) == ("ready", 5, 5, images.tag("tiny"))
    assert "Step 1/5" in row.log and row.started_at and row.ended_at
    assert [(one.name, one.state) for one in builds.environments()] == [("other", "ready"), ("tiny", "ready")]
    queue.request_stop(started[0].job_id)
    queue.schedule(builder.gate)
    ended = turn_until(worker, job, "ended")
    assert (ended.outcome, ended.detail["image"]) == ("succeeded", row.tag)


def make_worker_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``other`` is an environment that is built already."""
    (root / "other").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(images, "ROOT", Path(settings.ROOT) / "environments")
        return make_worker()


def test_a_build_that_fails_ends_who_needs_it_at_once_and_at_no_cost(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_worker_of(root, monkeypatch)
    write(root, "!!! no requirement")
    builder, job = Builder(), enqueue()
    queue.schedule(builder.gate)
    assert builder.once()
    row = EnvironmentBuild.objects.get()
    assert row.state == "failed" and row.error.startswith("ERROR: Invalid requirement"), (row.error, row.log)
    late = enqueue()
    assert queue.schedule(builder.gate) == []
    for one in (job, late):
        one.refresh_from_db()
        assert (one.state, one.outcome, one.tries) == ("ended", "refused", 0)
        said = read(one.detail["error"])
        assert said.startswith("Its environment tiny could not be built: ERROR: Invalid requirement")
        assert said.endswith("Not your fault; it cost you nothing. Tell your instructor.")
    assert not Attempt.objects.exists() and not builder.once()
    assert [one.state for one in builds.environments() if one.name == "tiny"] == ["failed"]

    EnvironmentBuild.objects.update(try_again_at=timezone.now())  # the backoff is over
    again = enqueue()
    queue.schedule(builder.gate)
    again.refresh_from_db()
    assert again.state == "queued" and builder.once(), "a job that wants it has it tried again"
    row.refresh_from_db()
    assert (row.state, row.failures) == ("failed", 2)

    write(root, f"# mended {uuid.uuid4()}")
    queue.schedule(builder.gate)
    again.refresh_from_db()
    assert read(again.reason) == "Its environment tiny is about to be built.", "another folder, another image"
    assert builder.once()
    assert len(queue.schedule(builder.gate)) == 1


def test_a_build_that_a_killed_runner_left_is_begun_again(root: Path) -> None:
    tag = images.tag("tiny")
    EnvironmentBuild.objects.create(tag=tag, environment="tiny", state="building", started_at=timezone.now())
    assert Builder().once()
    assert EnvironmentBuild.objects.get().state == "ready"
    assert images.is_there(tag)


def test_an_environment_whose_folder_changed_before_its_build_is_not_built(root: Path) -> None:
    builder = Builder()
    builder.gate({"tiny"})
    write(root, f"# changed {uuid.uuid4()}")
    assert builder.once()
    assert not EnvironmentBuild.objects.exists()


def test_without_a_folder_it_fails_in_words(root: Path) -> None:
    builder = Builder()
    builder.gate({"nowhere"})
    assert builder.once()
    assert builder.gate({"nowhere"})["nowhere"].ends
    assert "There is no environment 'nowhere'." in read(builder.gate({"nowhere"})["nowhere"].reason)


def test_an_engine_that_is_away_decides_nothing(root: Path, tmp_path: Path) -> None:
    builder = Builder(f"unix://{tmp_path}/nobody.sock")
    builder.gate({"tiny"})
    with pytest.raises(images.EngineAway):
        builder.once()
    assert EnvironmentBuild.objects.get().state == "building"
    builds.mark_ready("tiny")
    with pytest.raises(images.EngineAway):
        builder.verify()
    assert EnvironmentBuild.objects.get().state == "ready"


def test_an_image_that_somebody_removed_is_built_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, builder = make_worker_of(root, monkeypatch), Builder()
    builds.mark_ready("tiny")
    job = enqueue()
    assert len(queue.schedule(builder.gate)) == 1
    turn(worker)
    job.refresh_from_db()
    assert (job.state, job.tries) == ("queued", 1), "the start found no image: ours, and tried again"
    assert not EnvironmentBuild.objects.exists()
    builds.mark_ready("tiny")
    builder.verify()
    assert not EnvironmentBuild.objects.exists()
    assert builder.gate({"tiny"})["tiny"].reason and builder.once()
    assert turn_until(worker, job, "ended").outcome == "succeeded"
