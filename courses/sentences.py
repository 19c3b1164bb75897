"""Sentences of rows in the reader's language. See ``runner.sentences`` for how they are kept."""

from __future__ import annotations

from django.utils.translation import gettext

from runner import sentences
from runner.sentences import join, tell

__all__ = ["join", "read", "tell"]


def read(stored: str) -> str:
    """The stored sentence in the active language; a plain text as it is."""
    return sentences.read(stored, gettext)
