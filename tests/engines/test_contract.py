"""What a caller of any engine can observe: before a start, during it, after the end, and twice."""

from __future__ import annotations

import os
import shlex
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from runner import images
from runner.engines.base import CannotStart, Engine, EngineUnavailable
from runner.engines.docker import DockerEngine
from runner.engines.fake import FakeEngine, Fate
from runner.spec import ContainerSpec, Limits, Observation

SECONDS_MAX = 30
LONG = 600.0


@dataclass
class Made:
    """An engine, and containers of this test's own."""

    engine: Engine
    image: str
    label: str = field(default_factory=lambda: uuid.uuid4().hex)
    names: list[str] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        return {"seodang.test": self.label}

    def spec(self, seconds: float = 0.0, exit_code: int = 0, **changes: object) -> ContainerSpec:
        """One that ends after the seconds; a fake reads the same command."""
        name = f"contract-{uuid.uuid4().hex}"
        self.names.append(name)
        fields: dict[str, object] = {
            "name": name, "image": self.image, "command": ("sh", "-c", f"sleep {seconds}; exit {exit_code}"),
            "env": {"SAID": "yes"}, "labels": self.labels, "mounts": (), "limits": Limits(memory_bytes=64 << 20),
        }  # fmt: skip
        return ContainerSpec(**{**fields, **changes})  # type: ignore[arg-type]

    def until(self, name: str, state: str) -> Observation:
        end = time.monotonic() + SECONDS_MAX
        while (seen := self.engine.poll(name)).state != state:
            assert time.monotonic() < end, seen
            time.sleep(0.02)
        return seen


def fate(spec: ContainerSpec) -> Fate:
    """The shell's, without one."""
    if spec.image == "seodang/none:none":
        return Fate(refused="The image is not on this node.")
    _sleep, seconds, _exit, code = shlex.split(spec.command[-1].replace(";", ""))
    return Fate(float(seconds), int(code))


def docker_engine() -> Made:
    return Made(DockerEngine(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")),
                images.ensure_image("base", lambda line: None))  # fmt: skip


def fake_engine() -> Made:
    return Made(FakeEngine(fate), "any")


@pytest.fixture(params=[pytest.param(docker_engine, marks=pytest.mark.docker), fake_engine], ids=["docker", "fake"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    make: Callable[[], Made] = request.param
    found = make()
    yield found
    for name in found.names:
        found.engine.remove(name)


def test_it_names_what_it_can_run_containers_under(made: Made) -> None:
    assert all(isinstance(one, str) and one for one in made.engine.runtimes())


def test_what_never_was(made: Made) -> None:
    name = f"contract-{uuid.uuid4().hex}"
    for _ in range(2):
        assert made.engine.poll(name) == Observation(name, "absent")
        assert made.engine.usage(name) is None
        made.engine.stop(name, 1)
        made.engine.remove(name)
    assert made.engine.list(made.labels) == []


def test_a_life(made: Made) -> None:
    spec = made.spec(seconds=0.5, exit_code=3)
    made.engine.start(spec)
    seen = made.engine.poll(spec.name)
    assert (seen.name, seen.state, seen.exit_code) == (spec.name, "running", None)
    assert seen.labels.items() >= spec.labels.items()
    ended = made.until(spec.name, "exited")
    assert (ended.exit_code, ended.oom_killed) == (3, False)
    assert made.engine.usage(spec.name) is None
    made.engine.stop(spec.name, 1)
    assert made.engine.poll(spec.name) == ended, "stopping what ended changes nothing"
    for _ in range(2):
        made.engine.remove(spec.name)
        assert made.engine.poll(spec.name).state == "absent"


def test_a_start_that_is_repeated_makes_one(made: Made) -> None:
    spec = made.spec(seconds=LONG)
    for _ in range(3):
        made.engine.start(spec)
    assert [one.name for one in made.engine.list(made.labels)] == [spec.name]
    assert made.engine.poll(spec.name).state == "running"


def test_a_start_after_the_end_runs_nothing_again(made: Made) -> None:
    spec = made.spec(exit_code=4)
    made.engine.start(spec)
    made.until(spec.name, "exited")
    made.engine.start(spec)
    assert made.until(spec.name, "exited").exit_code == 4


def test_starts_at_once_make_one(made: Made) -> None:
    spec = made.spec(seconds=LONG)
    problems: list[Exception] = []

    def start() -> None:
        try:
            while True:
                try:
                    return made.engine.start(spec)
                except EngineUnavailable:  # another start is under way; who is told so asks again
                    continue
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [one.state for one in made.engine.list(made.labels)] == ["running"]


def test_stopping_what_runs(made: Made) -> None:
    spec = made.spec(seconds=LONG)
    made.engine.start(spec)
    began = time.monotonic()
    for _ in range(2):
        made.engine.stop(spec.name, 1)
    assert time.monotonic() - began < SECONDS_MAX
    assert made.until(spec.name, "exited").exit_code not in {0, None}


def test_removing_what_runs(made: Made) -> None:
    spec = made.spec(seconds=LONG)
    made.engine.start(spec)
    made.engine.remove(spec.name)
    assert made.engine.poll(spec.name).state == "absent"
    assert made.engine.list(made.labels) == []


def test_only_what_carries_the_labels_is_listed(made: Made) -> None:
    ours, other = made.spec(seconds=LONG), made.spec(seconds=LONG, labels={"seodang.test": "another instance's"})
    for spec in (ours, other):
        made.engine.start(spec)
    assert [one.name for one in made.engine.list(made.labels)] == [ours.name]


def test_an_end_is_told(made: Made) -> None:
    heard: list[str] = []
    one, other = made.spec(seconds=0.3), made.spec(seconds=0.1, labels={"seodang.test": "another instance's"})

    def listen(stream: Iterator[str]) -> None:
        heard.append(next(stream))

    thread = threading.Thread(target=listen, args=(made.engine.events(made.labels),), daemon=True)
    thread.start()
    for spec in (other, one):
        made.engine.start(spec)
    thread.join(SECONDS_MAX)
    assert heard == [one.name]
    assert made.engine.poll(one.name).state == "exited"


def test_what_it_uses_while_it_runs(made: Made) -> None:
    spec = made.spec(seconds=LONG)
    made.engine.start(spec)
    made.until(spec.name, "running")
    first, second = made.engine.usage(spec.name), made.engine.usage(spec.name)
    assert first and second and second.at >= first.at
    assert second.cpu_seconds >= first.cpu_seconds >= 0
    assert 0 <= second.memory_bytes <= 64 << 20


def test_what_cannot_start_leaves_nothing(made: Made) -> None:
    spec = made.spec(image="seodang/none:none")
    with pytest.raises(CannotStart, match="not on this node"):
        made.engine.start(spec)
    assert made.engine.poll(spec.name).state == "absent"


def test_an_engine_that_is_away_says_so() -> None:
    fake = fake_engine()
    assert isinstance(fake.engine, FakeEngine)
    spec = fake.spec(seconds=LONG)
    fake.engine.start(spec)
    fake.engine.away.set()
    for engine in (fake.engine, DockerEngine("unix:///nowhere/docker.sock")):
        for call in (
            lambda engine=engine: engine.poll(spec.name),
            lambda engine=engine: engine.usage(spec.name),
            lambda engine=engine: engine.stop(spec.name, 1),
            lambda engine=engine: engine.remove(spec.name),
            lambda engine=engine: engine.list({}),
            lambda engine=engine: engine.start(spec),
        ):
            with pytest.raises(EngineUnavailable):
                call()
    fake.engine.away.clear()
    assert fake.engine.poll(spec.name).state == "running", "it went on meanwhile"
