"""The real gateway in a thread, and the launcher's part: a relay from a TCP port to an attempt's socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from courses.assignments.models import Assignment
from courses.submissions.models import Run
from hub.tracking.sockets import Gateway, make_pool, watch
from runner.models import Attempt, Job, Node
from tests.world import World


@dataclass
class Tracked:
    """A run with a live attempt, as the runner would have made it."""

    run: Run
    attempt: Attempt

    @property
    def id(self) -> str:
        return self.run.id.hex


def make_tracked(world: World, assignment: Assignment, number: int = 1) -> Tracked:
    run = Run.objects.create(
        assignment=assignment, version=assignment.current, team=world.team, owner=world.student, number=number,
        state="running", entry="train.py", code_sha256="0" * 64, code_files=1, code_bytes=1,
    )  # fmt: skip
    env = {
        "MLFLOW_RUN_ID": run.id.hex, "MLFLOW_EXPERIMENT_ID": str(assignment.pk), "SEODANG_RUN": str(run.id),
        "SEODANG_BOARD": f"{assignment.pk}:{world.team.pk}:{number}:{run.session}",
        "SEODANG_EXPERIMENT": f"{world.course.slug}/{assignment.slug}",
    }  # fmt: skip
    node, _ = Node.objects.get_or_create(name="here")
    job = Job.objects.create(
        kind="run", spec={"env": env, "tracking": True}, owner_key="o", share_path="s", state="running"
    )
    attempt = Attempt.objects.create(id=uuid.uuid4(), job=job, number=1, node=node, state="running")
    return Tracked(run, attempt)


class Running:
    """The gateway and the relays, in a thread with a loop of their own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.gateway: Gateway | None = None
        self._relays: list[asyncio.Server] = []
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._serve()), daemon=True)

    async def _serve(self) -> None:
        async with make_pool() as pool:
            self.gateway = Gateway(pool)
            tasks = [asyncio.create_task(watch(self.gateway)), asyncio.create_task(self.gateway.events.flush_forever())]
            await self._stop.wait()
            for relay in self._relays:
                relay.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.gateway.close()

    def start(self) -> Running:
        self._thread.start()
        until(lambda: self.gateway is not None)
        return self

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def socket(self, tracked: Tracked) -> Path:
        assert self.gateway is not None
        return self.gateway.path(str(tracked.attempt.id))

    def relay(self, tracked: Tracked) -> str:
        """The address that a script in the container would use."""
        path = self.socket(tracked)
        until(path.exists)
        return asyncio.run_coroutine_threadsafe(self._relay(str(path)), self.loop).result(10)

    async def _relay(self, path: str) -> str:
        async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                inner, outer = await asyncio.open_unix_connection(path)
                await asyncio.gather(_pump(reader, outer), _pump(inner, writer))

        server = await asyncio.start_server(join, "127.0.0.1", 0)
        self._relays.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await source.read(1 << 16):
            sink.write(block)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()


@contextlib.contextmanager
def running() -> Iterator[Running]:
    made = Running().start()
    try:
        yield made
    finally:
        made.stop()


def until(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
