"""A WebSocket client of the ASGI application itself. (channels.testing would need daphne, which nothing else does.)"""

from __future__ import annotations

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator


class Socket(ApplicationCommunicator):  # type: ignore[misc]
    """``headers`` as ASGI has them; nothing is sent before ``connect``."""

    def __init__(self, application: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        super().__init__(application, self.scope)

    async def connect(self) -> bool:
        """Whether it was accepted."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout=10)
        return bool(answer["type"] == "websocket.accept")

    async def read(self) -> dict[str, Any]:
        """The next message. Fails on a close."""
        answer = await self.receive_output(timeout=10)
        assert answer["type"] == "websocket.send", answer
        return dict(json.loads(answer["text"]))

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(10)
