"""No request body is taken in whole before its size was looked at: Django spools it to disk first."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.utils import translation
from django.utils.translation import gettext

FORM_BYTES = 1 << 20  # what a form adds to its file
BUNDLES = re.compile(r"^(/api/v1/courses/[^/]+/assignments|/c/[^/]+/assignments/)$")


class TooLarge(Exception):
    """The body went over its bound."""


def bytes_max(path: str) -> int:
    """The largest body that this address takes."""
    return FORM_BYTES + (settings.BUNDLE_BYTES_MAX if BUNDLES.match(path) else settings.CODE_BYTES_MAX)


class BoundedBody:
    """ASGI: answers 413 by the length that is declared, else by the bytes that come."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        most, taken, answered = bytes_max(scope["path"]), 0, False
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most:
            await refuse(scope, send, most)
            return

        async def counted() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise TooLarge
            return message

        async def noted(message: dict[str, Any]) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            if not answered:
                await refuse(scope, send, most)


async def refuse(scope: dict[str, Any], send: Any, most: int) -> None:
    """In the shape of the API's errors, and in the sender's language: no middleware has looked at it yet."""
    with translation.override(translation.get_language_from_request(ASGIRequest(scope, BytesIO()))):
        message = gettext("The upload is larger than the %s MiB that are taken.") % f"{most / (1 << 20):.4g}"
        words = {"code": "too_large", "message": message, "next": gettext("Name data and outputs in .nsmlignore.")}
    body = json.dumps({"error": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
