"""Long polls, in front of Django: a client that waits costs a coroutine, and neither a thread nor a connection.

``wait=1`` on a run, its log or a submission is answered at once when there is something new, else when the run's group
hears of it. Django answers each look as a request of its own, so who may see what is asked every time.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from channels.layers import get_channel_layer

from courses.submissions.models import ACTIVE_RUN_STATES, SubmissionState

WAIT_SECONDS_MAX = 25.0
QUEUED_SECONDS_MAX = 5.0  # a place in the queue moves without an event of the run's own
WAITERS_MAX = 2_000  # a process; who comes after them is answered at once
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_PATH = re.compile(rf"/api/v1/(?:runs/(?P<run>{_UUID})(?P<log>/log)?|submissions/{_UUID})")
_FIGURES = frozenset(("run.points", "run.usage"))  # are in no answer that is waited for
_ENDED = frozenset((SubmissionState.SCORED.value, SubmissionState.FAILED.value))
_ACTIVE = frozenset(state.value for state in ACTIVE_RUN_STATES)


@dataclass(frozen=True)
class Question:
    kind: str  # run, log, submission
    run: str  # "" for a submission, until its first answer names it
    state: str  # what the client knows already; "" where it did not say

    @classmethod
    def of(cls, scope: dict[str, Any]) -> Question | None:
        """None where the request is not one that waits."""
        found = _PATH.fullmatch(scope["path"]) if scope["method"] == "GET" else None
        if found is None:
            return None
        wanted = parse_qs(scope["query_string"].decode("latin-1"))
        if wanted.get("wait") != ["1"]:
            return None
        kind = "log" if found["log"] else "run" if found["run"] else "submission"
        return cls(kind, found["run"] or "", wanted.get("state", [""])[0])


@dataclass(frozen=True)
class Answer:
    """One whole response of Django's."""

    status: int
    headers: list[Any]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """{} where it is an error, which is always worth sending."""
        value = json.loads(self.body) if self.status == 200 else {}
        return value if isinstance(value, dict) else {}


def has_news(question: Question, answer: Answer) -> bool:
    """Whether the client, knowing what it said it knows, should have this now."""
    content = answer.content
    if not content:
        return True
    if question.kind == "log":
        return bool(content["text"] or content["done"] or content["gap"])
    if question.state and content["state"] != question.state:
        return True
    return content["state"] in _ENDED if question.kind == "submission" else content["state"] not in _ACTIVE


class LongPolls:
    """The ASGI application around Django's."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.waiting = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        question = Question.of(scope)
        if question is None or self.waiting >= WAITERS_MAX:
            await self.app(scope, receive, send)
            return
        self.waiting += 1
        gone = asyncio.create_task(_disconnected(receive))
        try:
            answer = await self._wait(scope, question, gone)
        finally:
            self.waiting -= 1
            gone.cancel()
        if answer is not None:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def _wait(self, scope: dict[str, Any], question: Question, gone: asyncio.Task[None]) -> Answer | None:
        """The answer, at the latest when the time is over; None when the client left."""
        end = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
        answer = await self._ask(scope)
        if has_news(question, answer):
            return answer
        layer: Any = get_channel_layer()
        group, channel = f"run.{question.run or answer.content['run']}", await layer.new_channel()
        try:
            await layer.group_add(group, channel)
            first, answer = answer, await self._ask(scope)  # what came before we listened
            if answer.content.get("state") == "queued":
                end += QUEUED_SECONDS_MAX - WAIT_SECONDS_MAX
            while not has_news(question, answer) and (question.kind == "log" or answer.body == first.body):
                message = await _next(layer, channel, gone, end)
                if message is None:
                    break
                if message["type"] in _FIGURES or (message["type"] == "run.log" and question.kind != "log"):
                    continue
                answer = await self._ask(scope)
                if question.kind == "log" and message["type"] != "run.log":
                    break  # the run moved: its log may be another's, or over
            return None if gone.done() else answer
        finally:
            await layer.group_discard(group, channel)
            await _forget(layer, channel)

    async def _ask(self, scope: dict[str, Any]) -> Answer:
        """Have Django answer now; its thread and connection are free again afterwards."""
        sent: list[dict[str, Any]] = []
        unread = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if unread:
                return unread.pop()
            await asyncio.Event().wait()
            raise AssertionError("cancelled before")

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], list(sent[0].get("headers", [])), body)


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _next(layer: Any, channel: str, gone: asyncio.Task[None], end: float) -> dict[str, Any] | None:
    """The next message; None when the time is over or the client left."""
    heard = asyncio.create_task(layer.receive(channel))
    left = end - asyncio.get_running_loop().time()
    await asyncio.wait([heard, gone], timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
    if heard.done() and not gone.done():
        message: dict[str, Any] = heard.result()
        return message
    heard.cancel()
    await asyncio.gather(heard, return_exceptions=True)
    return None


async def _forget(layer: Any, channel: str) -> None:
    """Layers drop a channel when a receive of it is cancelled, and only then."""
    cancelled = False
    while not cancelled:  # what still waits in the queue is read first
        last = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        cancelled = last.cancel() or last.exception() is not None  # one layer knows no such channel any more
        await asyncio.gather(last, return_exceptions=True)
