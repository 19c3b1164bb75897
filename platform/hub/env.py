"""Strict readers of environment variables: they fail loudly and name the variable."""

from __future__ import annotations

import os
from pathlib import Path


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
