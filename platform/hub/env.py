"""Strict readers of environment variables: they fail loudly and name the variable."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SettingError(Exception):
    """A variable is missing or malformed; the message says which and what to write."""


def text(name: str, default: str | None = None) -> str:
    """The variable, or the content of the file that NAME_FILE names."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    value = os.environ.get(name, default)
    if value is None:
        raise SettingError(f"{name} is not set. Set it, or {name}_FILE to a file that holds it.")
    return value


def boolean(name: str, default: bool) -> bool:
    value = os.environ.get(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no"}:
        raise SettingError(f"{name}={value!r} is not a yes or no. Write 1 or 0.")
    return value in {"1", "true", "yes"}


def integer(name: str, default: int, *, least: int | None = None) -> int:
    value = os.environ.get(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise SettingError(f"{name}={value!r} is not a whole number.") from None
    if least is not None and number < least:
        raise SettingError(f"{name}={value!r} is too small. Write {least} or more.")
    return number


@dataclass(frozen=True)
class Mail:
    """A mail server."""

    host: str
    port: int
    user: str
    password: str
    ssl: bool  # from the first byte; else STARTTLS, on any port but 25


def mail(name: str) -> Mail | None:
    """``smtp://user:password@host:587`` or ``smtps://host:465``; None where it is not set."""
    value = text(name, "")
    if not value:
        return None
    parts = urllib.parse.urlsplit(value)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise SettingError(f"{name} is no mail server's address. Write smtp://user:password@host:587.")
    ssl = parts.scheme == "smtps"
    user, password = (urllib.parse.unquote(one or "") for one in (parts.username, parts.password))
    return Mail(parts.hostname, parts.port or (465 if ssl else 587), user, password, ssl)


def openid(name: str) -> dict[str, Any]:
    """allauth's settings of one OpenID Connect provider: NAME_ISSUER, NAME_CLIENT, NAME_SECRET, NAME_TITLE."""
    issuer = text(f"{name}_ISSUER", "")
    if not issuer:
        return {}
    app = {
        "provider_id": "school", "name": text(f"{name}_TITLE", "School account"), "client_id": text(f"{name}_CLIENT"),
        "secret": text(f"{name}_SECRET"), "settings": {"server_url": issuer},
    }  # fmt: skip
    return {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}
