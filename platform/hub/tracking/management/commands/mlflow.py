"""MLflow's own server, and the door before it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from hub.tracking.door import HOST, Door
from hub.tracking.mlflow_database import is_ready, store_uri

TICK_SECONDS = 1.0
STOP_SECONDS = 10


async def serve(socket: Path) -> None:
    """Until SIGTERM or SIGINT. A server that ends ends this process, so that its supervisor starts both again."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(Door(socket).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings.MLFLOW_PORT).start()
    try:
        while not stopping.is_set() and not await asyncio.to_thread(is_ready):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), TICK_SECONDS)
        if not stopping.is_set():
            await _run_server(socket, stopping)
    finally:
        await runner.cleanup()


async def _run_server(socket: Path, stopping: asyncio.Event) -> None:
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": store_uri(),  # not an argument: those are for all to see
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 40 s and 1.6 GB, for nothing that a class uses
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mlflow", "server", "--workers", "1", "--enable-workspaces", "--allowed-hosts", HOST,
        "--no-serve-artifacts", "--default-artifact-root", (Path(settings.VAR) / "artifacts").as_uri(),
        "--uvicorn-opts", f"--uds {socket} --log-level warning",
        env=environment,
    )  # fmt: skip
    waiting = {asyncio.create_task(process.wait()), asyncio.create_task(stopping.wait())}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


class Command(BaseCommand):
    help = "Serve MLflow's UI to staff, read-only, one course at a time."

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.SOCKETS)
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        private = folder / "mlflow"
        private.mkdir(exist_ok=True, mode=0o700)
        socket = private / "m.sock"
        socket.unlink(missing_ok=True)
        connection.close()
        asyncio.run(serve(socket))
