"""Sentences that a row keeps and that are read in another language than they were written in.

A row keeps the English template and its values, as JSON; whoever shows it translates the template. Pure: what
translates is an argument. ``makemessages`` finds the templates by the name ``tell``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Part = str | list[Any]  # a plain text, or [template, values]


class Written(str):
    """A sentence as a row keeps it. As a value of another sentence it is translated too; a plain ``str`` is not,
    so that what a student wrote is never taken for a template."""


class Said(Exception):
    """An error whose message is a sentence for the person who will read it."""

    @property
    def written(self) -> Written:
        """For a row, or for another sentence."""
        said = self.args[0]
        return said if isinstance(said, Written) else join(str(said))

    def __str__(self) -> str:
        return read(self.written)


def tell(template: str, **values: object) -> Written:
    """``tell("Ended with code {code}.", code=3)``. A literal brace in the template is doubled."""
    kept = {key: json.loads(value) if isinstance(value, Written) else _plain(value) for key, value in values.items()}
    return Written(json.dumps([[template, kept]], ensure_ascii=False))


def join(*parts: str) -> Written:
    """Sentences one after the other; empty ones are left out."""
    kept: list[Part] = []
    for part in filter(None, parts):
        kept += json.loads(part) if isinstance(part, Written) else [part]
    return Written(json.dumps(kept, ensure_ascii=False))


def kept(text: str) -> str:
    """A sentence of our own that came back from a row or through JSON."""
    return Written(text) if read(text) != text else text


def read(stored: str, translate: Callable[[str], str] = str) -> str:
    """The sentence in words. What was not made by ``tell`` comes back as it is."""
    if not stored.startswith("["):
        return stored
    try:
        parts = json.loads(stored)
    except ValueError:
        return stored
    return _say(parts, translate) if _is_sentence(parts) else stored


def _plain(value: object) -> str | int | float:
    return value if isinstance(value, int | float) else str(value)


def _is_sentence(parts: object) -> bool:
    return isinstance(parts, list) and all(
        isinstance(part, str)
        or (isinstance(part, list) and len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], dict))
        for part in parts
    )


def _say(parts: list[Any], translate: Callable[[str], str]) -> str:
    said = []
    for part in parts:
        if isinstance(part, str):
            said.append(part)
            continue
        template, kept = part
        values = {key: _say(value, translate) if isinstance(value, list) else value for key, value in kept.items()}
        try:
            said.append(translate(template).format(**values))
        except (KeyError, IndexError, ValueError, AttributeError):  # a translation with another placeholder
            said.append(template.format(**values))
    return " ".join(said)
