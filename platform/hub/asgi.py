"""HTTP and WebSockets. Cookies are believed from our own origin only; tokens come by a path of their own."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
http = get_asgi_application()

from hub.api.waiting import LongPolls  # noqa: E402  the apps must be loaded first
from hub.bounds import BoundedBody  # noqa: E402
from hub.web import consumers  # noqa: E402

TOKEN_PREFIX = "ws/api/"
with_cookie = AllowedHostsOriginValidator(SessionMiddlewareStack(URLRouter(consumers.routes("ws/"))))
with_token = consumers.TokenMiddleware(URLRouter(consumers.routes(TOKEN_PREFIX)))


async def websocket(scope: dict[str, Any], receive: Any, send: Any) -> Any:
    """By prefix, and not by nested routers: those would hand only the rest of the path on."""
    app = with_token if scope["path"].startswith(f"/{TOKEN_PREFIX}") else with_cookie
    return await app(scope, receive, send)


application = ProtocolTypeRouter({"http": BoundedBody(LongPolls(http)), "websocket": websocket})
