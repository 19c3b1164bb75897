"""Open sockets: a board, a run. Who may see it is asked at the start and again while the socket is open."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError
from django.urls import path

from courses.errors import CourseError
from courses.leaderboards.queries import seq_for
from courses.roster.queries import membership_in, require, user_for_token
from courses.submissions import queries

log = logging.getLogger("seodang.live")
RECHECK_SECONDS = (
    30  # a change of the roster, of a token or of a session is told at once; this is for one that was missed
)
RECHECK_BOARD_SECONDS = 120
GONE = 4404


class TokenMiddleware:
    """``Authorization: Bearer``, for clients that are no browser and send no Origin."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else ""
        return await self.app({**scope, "token": given}, receive, send)


def user_now(scope: Any) -> Any:
    """Whom the socket's token or session speaks for now: nobody, once it was revoked, expired or logged out."""
    if "token" in scope:
        return (scope["token"] and user_for_token(scope["token"])) or AnonymousUser()
    engine: Any = import_module(settings.SESSION_ENGINE)
    session = engine.SessionStore(scope["session"].session_key)
    return get_user(SimpleNamespace(session=session))  # type: ignore[arg-type]


class Encoded:
    """The last message as text: all viewers in a process are handed the same object, one after the other."""

    def __init__(self) -> None:
        self._last: tuple[Any, str] = (None, "")

    def text(self, message: dict[str, Any]) -> str:
        if self._last[0] is not message:
            self._last = (message, json.dumps(message))
        return self._last[1]


encoded = Encoded()


class Watcher(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """What the two have in common."""

    rooms: tuple[str, ...] = ()
    user: Any = AnonymousUser()
    check_at = 0.0

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels' own, which also looks after the database's connections, by a thread, before each message: with
        200 viewers that is most of the time. Here ``database_sync_to_async`` does it where the database is asked."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"no handler for {message['type']}")
        await handler(message)

    def look(self) -> dict[str, Any]:
        """What the viewer is told first, and after each gap. Raises CourseError when it is not for them."""
        raise NotImplementedError

    async def connect(self) -> None:
        await self._join(self.group_name())  # before the snapshot, so that nothing is missed
        if (snapshot := await self._look()) is None:
            await self.close(GONE)
            return
        # One look says who it is and what they see: a class that comes back at once asks for 200 of them. A token that
        # is revoked between that look and this line is found by the next look.
        await self._join(f"user.{self.user.pk}")
        await self.accept()
        await self.send_json(snapshot)

    async def _join(self, room: str) -> None:
        self.rooms = (*self.rooms, room)
        await self.channel_layer.group_add(room, self.channel_name)

    def group_name(self) -> str:
        raise NotImplementedError

    async def _look(self) -> dict[str, Any] | None:
        try:
            snapshot: dict[str, Any] = await database_sync_to_async(self._look_as_now)()
        except CourseError:
            return None
        # Not all at once: viewers that came together would be asked about together, each 30 s.
        self.check_at = time.monotonic() + RECHECK_SECONDS * random.uniform(0.5, 1.0)
        return snapshot

    def _look_as_now(self) -> dict[str, Any]:
        self.user = user_now(self.scope)
        return self.look()

    async def disconnect(self, code: int) -> None:
        for room in self.rooms:
            await self.channel_layer.group_discard(room, self.channel_name)

    async def forward(self, message: dict[str, Any]) -> None:
        if time.monotonic() >= self.check_at and await self._look() is None:
            await self.close(GONE)
            return
        await self.send(text_data=encoded.text(message))

    async def recheck(self, message: dict[str, Any]) -> None:
        """Something changed about who they are: told at once, and not at the next event."""
        if await self._look() is None:
            await self.close(GONE)

    async def resync(self, message: dict[str, Any]) -> None:
        snapshot = await self._look()
        if snapshot is None:
            await self.close(GONE)
        else:
            await self.send_json(snapshot)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """A viewer that asks for a snapshot, in whatever words, gets one."""
        await self.resync({})


class BoardConsumer(Watcher):
    """Watched by a whole class, so whether each still may see it is asked by the clock and not at a message: the first
    one after a quiet time would wait for 200 questions."""

    checking: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await super().connect()
        self.checking = asyncio.create_task(self._keep_checking())

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_BOARD_SECONDS * random.uniform(0.5, 1.0))
            try:
                if await self._look() is None:
                    await self.close(GONE)
            except OperationalError as error:  # the database is away: nobody knows, and the next time tells
                log.warning("action=recheck_failed error=%s", error)

    async def disconnect(self, code: int) -> None:
        if self.checking is not None:
            self.checking.cancel()
        await super().disconnect(code)

    async def forward_now(self, message: dict[str, Any]) -> None:
        await self.send(text_data=encoded.text(message))

    board_changed = forward_now
    board_live = forward_now

    @property
    def key(self) -> int:
        return int(self.scope["url_route"]["kwargs"]["assignment"])

    def group_name(self) -> str:
        return f"board.{self.key}"

    def look(self) -> dict[str, Any]:
        return {"type": "snapshot", "seq": seq_for(self.user, self.key)}


class RunConsumer(Watcher):
    run_changed = Watcher.forward
    run_points = Watcher.forward
    run_log = Watcher.forward
    run_usage = Watcher.forward

    def group_name(self) -> str:
        return f"run.{self.scope['url_route']['kwargs']['run']}"

    def look(self) -> dict[str, Any]:
        run = queries.run(self.user, self.scope["url_route"]["kwargs"]["run"])
        return {"type": "snapshot", "state": run.state}


class CourseConsumer(Watcher):
    """Says that the course's runs or its queue moved, and not how."""

    queue_changed = Watcher.forward

    def group_name(self) -> str:
        return f"course.{self.scope['url_route']['kwargs']['course']}"

    def look(self) -> dict[str, Any]:
        place = membership_in(self.user, self.scope["url_route"]["kwargs"]["course"])
        require(place, "see_all_runs")
        return {"type": "snapshot"}


def routes(prefix: str) -> list[Any]:
    return [
        path(f"{prefix}board/<int:assignment>/", BoardConsumer.as_asgi()),
        path(f"{prefix}run/<uuid:run>/", RunConsumer.as_asgi()),
        path(f"{prefix}course/<int:course>/", CourseConsumer.as_asgi()),
    ]
