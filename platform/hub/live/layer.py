"""A channel layer on Postgres: one LISTEN connection a process, NOTIFY to send.

After a lost connection nothing is known of what was missed, so each local channel is told to ``resync``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections import defaultdict
from typing import Any

import psycopg
from channels.layers import BaseChannelLayer

from runner.loop import parameters
from runner.notify import LIVE

log = logging.getLogger("seodang.live")
PAYLOAD_BYTES_MAX = 7_500
QUEUE_MAX = 200
RECONNECT_SECONDS_MAX = 5.0
RESYNC = {"type": "resync"}


class PostgresLayer(BaseChannelLayer):  # type: ignore[misc]
    """Groups only live in the process that joined them; a message to a group goes to every process."""

    extensions = ["groups"]

    def __init__(self, **_: Any) -> None:
        super().__init__(expiry=60, capacity=QUEUE_MAX)
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._groups: dict[str, set[str]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._sender: psycopg.AsyncConnection[Any] | None = None
        self._sending = asyncio.Lock()

    async def new_channel(self, prefix: str = "specific") -> str:
        name = f"{prefix}.{uuid.uuid4().hex}"
        self._queues[name] = asyncio.Queue(QUEUE_MAX)
        return name

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        if channel in self._queues:
            self._put(channel, message)

    async def receive(self, channel: str) -> dict[str, Any]:
        queue = self._queues.setdefault(channel, asyncio.Queue(QUEUE_MAX))
        try:
            return await queue.get()
        except asyncio.CancelledError:
            if not any(channel in members for members in self._groups.values()):
                self._queues.pop(channel, None)
            raise

    async def group_add(self, group: str, channel: str) -> None:
        self._queues.setdefault(channel, asyncio.Queue(QUEUE_MAX))
        self._groups[group].add(channel)
        await self._ensure_listening()

    async def group_discard(self, group: str, channel: str) -> None:
        self._groups[group].discard(channel)
        if not self._groups[group]:
            del self._groups[group]

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        payload = json.dumps({"g": group, "m": message})
        if len(payload.encode()) > PAYLOAD_BYTES_MAX:
            payload = json.dumps({"g": group, "m": RESYNC})
        async with self._sending:
            if self._sender is None or self._sender.closed:
                self._sender = await psycopg.AsyncConnection.connect(**parameters(), autocommit=True)  # type: ignore[arg-type]
            await self._sender.execute("SELECT pg_notify(%s, %s)", [LIVE, payload])

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None
        if self._sender:
            await self._sender.close()
            self._sender = None

    def _put(self, channel: str, message: dict[str, Any]) -> None:
        queue = self._queues[channel]
        if queue.full():  # a slow reader misses the lot and asks for a snapshot
            while not queue.empty():
                queue.get_nowait()
            message = RESYNC
        queue.put_nowait(message)

    async def _ensure_listening(self) -> None:
        loop = asyncio.get_running_loop()
        if self._listener is None or self._listener.done() or self._loop is not loop:
            self._loop, self._ready = loop, asyncio.Event()
            self._listener = loop.create_task(self._listen())
        await self._ready.wait()

    async def _listen(self) -> None:
        wait = 0.1
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as connection:  # type: ignore[arg-type]
                    await connection.execute(f"LISTEN {LIVE}")
                    if self._ready.is_set():
                        self._resync()
                    self._ready.set()
                    wait = 0.1
                    async for note in connection.notifies():
                        self._dispatch(note.payload)
            except psycopg.Error as error:
                log.warning("action=live_listen_lost error=%s", error)
            await asyncio.sleep(wait)
            wait = min(RECONNECT_SECONDS_MAX, wait * 2)

    def _resync(self) -> None:
        for channel in {one for members in self._groups.values() for one in members}:
            self._put(channel, RESYNC)

    def _dispatch(self, payload: str) -> None:
        try:
            content = json.loads(payload)
        except ValueError:
            return
        for channel in self._groups.get(content["g"], ()):
            self._put(channel, content["m"])
