"""What ``manage.py check`` says of the settings: what would break, each with the way to mend it."""

from __future__ import annotations

import urllib.parse
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SOCKET_BYTES_MAX = 107  # of a Unix socket's path, on Linux
SOCKET_NAME = "/012345678901/t.sock"  # what the gateway adds to SEODANG_SOCKETS


@register()
def addresses(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """How people reach the site."""
    found: list[CheckMessage] = []
    address = urllib.parse.urlsplit(settings.ADDRESS)
    host = address.hostname or ""
    if host not in {one.strip("[]") for one in settings.ALLOWED_HOSTS} and "*" not in settings.ALLOWED_HOSTS:
        hint = f"Add it: SEODANG_HOSTS={','.join([*settings.ALLOWED_HOSTS, host])}"
        found.append(
            Error(f"SEODANG_HOSTS lacks {host!r}, the host of SEODANG_ADDRESS_PUBLIC.", hint, id="seodang.E001")
        )
    if host not in LOOPBACK and address.scheme != "https":
        hint = "Put a proxy with TLS in front, and write SEODANG_ADDRESS_PUBLIC=https://…"
        found.append(Warning("Passwords and tokens travel unencrypted.", hint, id="seodang.W001"))
    if address.scheme == "https" and settings.ADDRESS not in settings.CSRF_TRUSTED_ORIGINS:
        hint = f"Set SEODANG_ORIGINS={settings.ADDRESS}"
        found.append(Warning("Forms sent through the proxy may be refused.", hint, id="seodang.W002"))
    if settings.DEBUG and host not in LOOPBACK:
        hint = "Leave SEODANG_DEBUG out."
        found.append(Error("Debug pages show settings and data to anybody.", hint, id="seodang.E002"))
    return found


@register()
def sockets(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """The tracking sockets' folder is short enough."""
    if len(f"{settings.SOCKETS}{SOCKET_NAME}".encode()) <= SOCKET_BYTES_MAX:
        return []
    hint = f"Name one of at most {SOCKET_BYTES_MAX - len(SOCKET_NAME)} bytes, such as /run/seodang."
    return [Error(f"SEODANG_SOCKETS={settings.SOCKETS} is too long for a Unix socket's path.", hint, id="seodang.E003")]
