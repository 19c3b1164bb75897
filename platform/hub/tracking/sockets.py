"""The gateway: one Unix socket an attempt, behind which stands as much of MLflow's API as a run may use.

The socket is the credential: what comes in on it is of that attempt's run, whatever it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web
from django.conf import settings
from psycopg_pool import AsyncConnectionPool

from hub.live.layer import connect
from hub.tracking.calls import BODY_BYTES_MAX, Calls, now_ms
from hub.tracking.events import Events, Subject
from hub.tracking.store import RunStore
from runner import notify
from runner.loop import parameters
from runner.spec import CONTAINER_UID

log = logging.getLogger("seodang.tracking")
RECONCILE_SECONDS = 2.0
SHUTDOWN_SECONDS = 2.0
POOL_MAX = 12
WANTED = """
SELECT a.id, j.spec->'env' FROM runner_attempt a JOIN runner_job j ON j.id = a.job_id
WHERE a.state <> 'ended' AND (j.spec->>'tracking')::boolean
"""


class Gateway:
    """The open sockets of this machine's live attempts."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.pool = pool
        self.runners: dict[str, web.AppRunner] = {}
        self.events = Events()

    async def reconcile(self) -> None:
        """Open a socket for each live attempt that tracks, close those of attempts that ended."""
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(WANTED)).fetchall()
        wanted = {str(key): env for key, env in rows}
        await asyncio.gather(*(self._close(key) for key in set(self.runners) - set(wanted)))
        for key in set(wanted) - set(self.runners):
            try:
                await self._open(key, wanted[key])
            except (KeyError, ValueError, TypeError, OSError) as error:  # one bad attempt must not stop the others
                log.error("action=socket_failed attempt=%s error=%r", key, error)

    async def close(self) -> None:
        """All of them. The next gateway opens them again in the same folders, which containers hold mounted."""
        await asyncio.gather(*(self._close(key) for key in list(self.runners)))

    def path(self, attempt: str) -> Path:
        return Path(settings.SOCKETS) / attempt.replace("-", "")[:12] / "t.sock"

    async def _open(self, attempt: str, env: dict[str, str]) -> None:
        subject = Subject.from_env(env)
        store = RunStore(self.pool, subject.run_uuid)
        team = subject.session.split("/")[0]
        started = await store.open(subject.experiment_id, subject.experiment, subject.session, team, now_ms())
        calls = Calls(store, self.events, subject, started, Path(settings.VAR) / "artifacts")
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", calls.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await self._listen(runner, self.path(attempt))
        except OSError:
            await runner.cleanup()
            raise
        self.runners[attempt] = runner

    async def _listen(self, runner: web.AppRunner, path: Path) -> None:
        """The worker makes the folder too; whoever is first."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        path.unlink(missing_ok=True)
        await web.UnixSite(runner, str(path)).start()
        if os.geteuid() == 0:
            os.chown(path, CONTAINER_UID, CONTAINER_UID)
            path.chmod(0o600)
        else:
            path.chmod(0o666)

    async def _close(self, attempt: str) -> None:
        await self.runners.pop(attempt).cleanup()
        path = self.path(attempt)
        path.unlink(missing_ok=True)


async def watch(gateway: Gateway) -> None:
    """Reconcile when an attempt changes, and every two seconds."""
    while True:
        try:
            async with await connect() as listener:
                await listener.execute(f"LISTEN {notify.ATTEMPTS}")
                while True:
                    await gateway.reconcile()
                    async for _ in listener.notifies(timeout=RECONCILE_SECONDS, stop_after=1):
                        pass
        except (psycopg.Error, OSError) as error:  # PoolTimeout is one of psycopg's
            log.warning("action=watch_lost error=%s", error)
            await asyncio.sleep(0.5)


def make_pool() -> AsyncConnectionPool[Any]:
    """Not open yet. Each statement commits by itself, in one round trip."""
    wanted = {**parameters(), "autocommit": True}
    return AsyncConnectionPool(kwargs=wanted, min_size=2, max_size=POOL_MAX, timeout=10, open=False)


async def serve() -> None:
    """Until SIGTERM or SIGINT. A loop that fails ends the process, so that its supervisor starts it again."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with make_pool() as pool:
        gateway = Gateway(pool)
        loops = [asyncio.create_task(gateway.events.flush_forever()), asyncio.create_task(watch(gateway))]
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([*loops, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        failed = [task for task in loops if task.done()]
        for task in loops:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await gateway.close()
        for task in failed:
            task.result()
