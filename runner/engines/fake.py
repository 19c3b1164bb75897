"""An engine in memory, behind the same contract: for tests of other rooms and for load that no machine here could run.

It starts no process. What becomes of a container is decided by ``fate``, from its spec.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from runner.engines.base import CannotStart, EngineUnavailable
from runner.spec import ContainerSpec, Observation, Reading

KILLED = 137  # the exit code of what was stopped before it ended by itself
POLL_SECONDS = 0.2  # how long ``events`` waits before it looks whether the engine went away


@dataclass(frozen=True)
class Fate:
    """What a container does."""

    seconds: float = 0.0  # until it ends by itself
    exit_code: int = 0
    refused: str = ""  # why it cannot start
    reading: tuple[float, int] = (1.0, 64 << 20)  # cores and bytes that it uses while it runs


@dataclass
class _Container:
    spec: ContainerSpec
    fate: Fate
    started: float  # by the monotonic clock
    stopped: float | None = None
    told: threading.Event = field(default_factory=threading.Event)


class FakeEngine:
    """``away`` set: it does not answer, as a daemon that restarts; the containers go on meanwhile."""

    def __init__(self, fate: Callable[[ContainerSpec], Fate] = lambda spec: Fate()) -> None:
        self.away = threading.Event()
        self._fate = fate
        self._containers: dict[str, _Container] = {}
        self._listeners: list[tuple[Mapping[str, str], queue.Queue[str]]] = []
        self._lock = threading.RLock()

    def start(self, spec: ContainerSpec) -> None:
        self._answer()
        fate = self._fate(spec)
        if fate.refused:
            raise CannotStart(fate.refused)
        with self._lock:
            if spec.name in self._containers:
                return
            made = self._containers[spec.name] = _Container(spec, fate, time.monotonic())
        timer = threading.Timer(fate.seconds, self._tell, (made,))
        timer.daemon = True
        timer.start()

    def poll(self, name: str) -> Observation:
        self._answer()
        with self._lock:
            found = self._containers.get(name)
            return self._seen(found) if found else Observation(name, "absent")

    def usage(self, name: str) -> Reading | None:
        self._answer()
        with self._lock:
            found = self._containers.get(name)
            if found is None or self._exit_code(found) is not None:
                return None
            cores, memory_bytes = found.fate.reading
            return Reading(time.time(), cores * (time.monotonic() - found.started), memory_bytes)

    def list(self, labels: Mapping[str, str]) -> list[Observation]:
        self._answer()
        with self._lock:
            return [self._seen(one) for one in self._containers.values() if _carries(one.spec, labels)]

    def stop(self, name: str, grace_seconds: int) -> None:
        self._answer()
        with self._lock:
            found = self._containers.get(name)
            if found is None or self._exit_code(found) is not None:
                return
            found.stopped = time.monotonic()
        self._tell(found)

    def remove(self, name: str) -> None:
        self._answer()
        with self._lock:
            found = self._containers.pop(name, None)
        if found:
            self._tell(found)

    def runtimes(self) -> frozenset[str]:
        self._answer()
        return frozenset({"runsc"})

    def events(self, labels: Mapping[str, str]) -> Iterator[str]:
        self._answer()
        heard: queue.Queue[str] = queue.Queue()
        with self._lock:
            self._listeners.append((labels, heard))
        return self._hear(heard)

    def _hear(self, heard: queue.Queue[str]) -> Iterator[str]:
        while not self.away.is_set():
            try:
                yield heard.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue

    def _tell(self, ended: _Container) -> None:
        """Once for each container, however it ended."""
        with self._lock:
            if ended.told.is_set():
                return
            ended.told.set()
            for labels, heard in self._listeners:
                if _carries(ended.spec, labels):
                    heard.put(ended.spec.name)

    def _answer(self) -> None:
        if self.away.is_set():
            raise EngineUnavailable("The fake engine is away.")

    def _exit_code(self, one: _Container) -> int | None:
        """None while it runs."""
        if one.stopped is not None:
            return KILLED
        return one.fate.exit_code if time.monotonic() - one.started >= one.fate.seconds else None

    def _seen(self, one: _Container) -> Observation:
        code = self._exit_code(one)
        return Observation(one.spec.name, "running" if code is None else "exited", one.spec.labels, code)


def _carries(spec: ContainerSpec, labels: Mapping[str, str]) -> bool:
    return all(spec.labels.get(key) == value for key, value in labels.items())
