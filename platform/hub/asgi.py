"""HTTP and WebSockets. Cookies are believed from our own origin only; tokens come by a path of their own."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
http = get_asgi_application()

from hub.web import consumers  # noqa: E402  the apps must be loaded first

with_cookie = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(consumers.routes("ws/"))))
with_token = consumers.TokenMiddleware(URLRouter(consumers.routes("ws/api/")))
application = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([re_path(r"^ws/api/", with_token), path("ws/<path:rest>", with_cookie)])}
)
