"""A channel layer on Postgres: one LISTEN connection a process, NOTIFY to send.

After a lost connection nothing is known of what was missed, so each local channel in a group is told to ``resync``.
What belongs to an event loop (queues, the two connections) is kept by loop: a server has one, tests have many.
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
PAYLOAD_BYTES_MAX = 7_500  # Postgres refuses 8,000
QUEUE_MAX = 200
RECONNECT_SECONDS_MAX = 5.0
APPLICATION = "seodang-live"  # what pg_stat_activity calls these connections
HEARTBEAT_SECONDS = 30.0  # a connection that died without a word is found by a query
RESYNC = {"type": "resync"}
Connection = psycopg.AsyncConnection[Any]


async def connect() -> Connection:
    """A connection apart from Django's pool, which would take it back between two messages."""
    return await psycopg.AsyncConnection.connect(
        **parameters(), autocommit=True, connect_timeout=10, application_name=APPLICATION
    )


def payload_of(group: str, message: dict[str, Any]) -> str:
    """What is sent for ``message``: itself, or word to ask for a snapshot where it is too long."""
    payload = json.dumps({"g": group, "m": message}, separators=(",", ":"))  # ASCII: a character is a byte
    return payload if len(payload) <= PAYLOAD_BYTES_MAX else payload_of(group, RESYNC)


class Hub:
    """The channels, groups and connections of one event loop."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self.groups: dict[str, set[str]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._sender: Connection | None = None
        self._sending = asyncio.Lock()

    def queue(self, channel: str) -> asyncio.Queue[dict[str, Any]]:
        return self.queues.setdefault(channel, asyncio.Queue(QUEUE_MAX))

    def put(self, channel: str, message: dict[str, Any]) -> None:
        queue = self.queue(channel)
        if queue.full():  # a slow reader misses the lot and asks for a snapshot
            while not queue.empty():
                queue.get_nowait()
            message = RESYNC
        queue.put_nowait(message)

    def leave(self, group: str, channel: str) -> None:
        members = self.groups.get(group, set())
        members.discard(channel)
        if not members:
            self.groups.pop(group, None)

    def forget(self, channel: str) -> None:
        self.queues.pop(channel, None)
        for group in [name for name, members in self.groups.items() if channel in members]:
            self.leave(group, channel)

    async def listening(self) -> None:
        """Return once messages arrive: who joins a group after this misses nothing."""
        if self._listener is None or self._listener.done():
            self._ready.clear()
            self._listener = asyncio.create_task(self._listen())
        await self._ready.wait()

    async def notify(self, payload: str) -> None:
        async with self._sending:
            for last in (False, True):
                try:
                    if self._sender is None or self._sender.closed:
                        self._sender = await connect()
                    await self._sender.execute("SELECT pg_notify(%s, %s)", [LIVE, payload])
                    return
                except psycopg.OperationalError:  # the server went away since the last message
                    if self._sender is not None:
                        await self._sender.close()
                    if last:
                        raise

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None
        if self._sender:
            await self._sender.close()
            self._sender = None

    async def _listen(self) -> None:
        wait = 0.1
        while True:
            try:
                async with await connect() as connection:
                    await connection.execute(f"LISTEN {LIVE}")
                    if self._ready.is_set():
                        self._resync()
                    self._ready.set()
                    wait = 0.1
                    while True:
                        async for note in connection.notifies(timeout=HEARTBEAT_SECONDS):
                            self._dispatch(note.payload)
                        await connection.execute("SELECT 1")
            except (psycopg.Error, OSError) as error:
                log.warning("action=live_listen_lost error=%s", error)
            await asyncio.sleep(wait)
            wait = min(RECONNECT_SECONDS_MAX, wait * 2)

    def _resync(self) -> None:
        for channel in {one for members in self.groups.values() for one in members}:
            self.put(channel, RESYNC)

    def _dispatch(self, payload: str) -> None:
        try:
            content = json.loads(payload)
            group, message = content["g"], content["m"]
        except (ValueError, KeyError, TypeError):
            log.warning("action=live_payload_unread bytes=%s", len(payload))
            return
        for channel in tuple(self.groups.get(group, ())):
            self.put(channel, message)


class PostgresLayer(BaseChannelLayer):  # type: ignore[misc]
    """Groups only live in the process that joined them; a message to a group goes to every process.

    Receivers in one process share the message object: treat it as read-only.
    """

    extensions = ["groups"]

    def __init__(self, **_: Any) -> None:
        super().__init__(expiry=60, capacity=QUEUE_MAX)
        self._hubs: dict[asyncio.AbstractEventLoop, Hub] = {}

    def _hub(self) -> Hub:
        loop = asyncio.get_running_loop()
        if loop not in self._hubs:
            self._hubs = {known: hub for known, hub in self._hubs.items() if not known.is_closed()}
            self._hubs[loop] = Hub()
        return self._hubs[loop]

    async def new_channel(self, prefix: str = "specific") -> str:
        name = f"{prefix}.{uuid.uuid4().hex}"
        self._hub().queue(name)
        return name

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """To a channel of this process; to one that is gone, nothing."""
        hub = self._hub()
        if channel in hub.queues:
            hub.put(channel, message)

    async def receive(self, channel: str) -> dict[str, Any]:
        hub = self._hub()
        try:
            return await hub.queue(channel).get()
        except asyncio.CancelledError:
            hub.forget(channel)  # its consumer ended, even where it crashed before it could leave its groups
            raise

    async def group_add(self, group: str, channel: str) -> None:
        hub = self._hub()
        hub.queue(channel)
        hub.groups[group].add(channel)
        await hub.listening()

    async def group_discard(self, group: str, channel: str) -> None:
        self._hub().leave(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._hub().notify(payload_of(group, message))

    async def close(self) -> None:
        """Close this loop's connections."""
        hub = self._hubs.pop(asyncio.get_running_loop(), None)
        if hub:
            await hub.close()
