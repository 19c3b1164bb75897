"""What a run sends, made into rows or refused. Pure; the bounds are MLflow's own, so that the mirror never chokes."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

METRICS_MAX = 1_000  # a batch
TEXTS_MAX = 100  # params or tags a batch, as in MLflow
KEY_CHARS_MAX = 250
PARAM_CHARS_MAX = 6_000
TAG_CHARS_MAX = 8_000
DOCUMENT_CHARS_MAX = 64_000  # one dataset or one logged model, as JSON
INTEGER_MAX = (1 << 63) - 1
FLOAT_MAX = 1.7976931348623157e308
NAME = re.compile(r"[/\w.\- :]+")
RESERVED_TAG = "seodang."  # the mirror finds its run by such a tag
SUMMARY_TAG = "seodang.summary"  # which metrics a run's line in ``ps`` shows; the SDK writes it
OFFICIAL = "official/"  # sealed scores, in MLflow's store; only the platform writes them


class Refusal(Exception):
    """An answer in MLflow's own form. The message is for the student whose script gets it."""

    def __init__(self, message: str, code: str = "INVALID_PARAMETER_VALUE", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Point(NamedTuple):
    key: str
    value: float  # 0 where is_nan
    is_nan: bool
    timestamp_ms: int
    step: int


class Text(NamedTuple):
    key: str
    value: str


def body(raw: bytes) -> dict[str, Any]:
    """A call's JSON. NaN and Infinity come bare, as Python's client writes them."""
    try:
        found = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Refusal("The body is not JSON.", "BAD_REQUEST") from None
    if not isinstance(found, dict):
        raise Refusal("The body is not a JSON object.", "BAD_REQUEST")
    return found


def records(source: dict[str, Any], key: str, most: int) -> list[dict[str, Any]]:
    """The list of objects under ``key``."""
    value = source.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refusal(f"{key} is not a list of objects.")
    if len(value) > most:
        raise Refusal(f"One call may have at most {most} {key}, this has {len(value)}.")
    return value


def name(raw: Any, what: str = "key") -> str:
    """A metric's, param's or tag's key, by MLflow's rules."""
    if not isinstance(raw, str) or not raw:
        raise Refusal(f"A {what} is missing.")
    return _checked(raw, what)


@lru_cache(4096)
def _checked(raw: str, what: str) -> str:
    """A batch has a thousand values of few names."""
    if len(raw) > KEY_CHARS_MAX:
        raise Refusal(f"The {what} {raw[:40]!r}… has {len(raw)} characters; the limit is {KEY_CHARS_MAX}.")
    if not NAME.fullmatch(raw):
        raise Refusal(f"The {what} {raw!r} may have letters, digits, and _ - . : / and spaces only.")
    if posixpath.normpath(raw) != raw or raw == "." or raw.startswith(("..", "/")):
        raise Refusal(f"The {what} {raw!r} is not a plain path: write {posixpath.normpath(raw).lstrip('./')!r}.")
    return raw


def point(raw: dict[str, Any], now_ms: int) -> Point:
    """With MLflow's own treatment of what is no number: NaN is stored as 0 with a flag, the infinities as the
    largest floats."""
    key = name(raw.get("key"), "metric")
    if key.startswith(OFFICIAL):
        raise Refusal(f"Metrics that begin with {OFFICIAL!r} are sealed scores: choose another name than {key!r}.")
    try:
        value = float(raw["value"])
        stamp, step = _integer(raw.get("timestamp"), now_ms), _integer(raw.get("step"), 0)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Refusal(f"The metric {key!r} needs a number as value, timestamp and step.") from None
    if not 0 <= stamp <= INTEGER_MAX or abs(step) > INTEGER_MAX:
        raise Refusal(f"The metric {key!r} has a timestamp or a step that is out of range.")
    if math.isnan(value):
        return Point(key, 0.0, True, stamp, step)
    return Point(key, max(-FLOAT_MAX, min(FLOAT_MAX, value)), False, stamp, step)


def _integer(raw: Any, default: int) -> int:
    return default if raw is None else int(raw)


def points(raw: Sequence[dict[str, Any]], now_ms: int) -> list[Point]:
    return [point(one, now_ms) for one in raw]


def params(raw: Sequence[dict[str, Any]]) -> list[Text]:
    found: dict[str, str] = {}
    for one in raw:
        key, value = name(one.get("key"), "param"), plain(one.get("value"), PARAM_CHARS_MAX)
        if found.setdefault(key, value) != value:
            raise Refusal(f"The param {key!r} comes twice in one call, with different values.")
    return [Text(key, value) for key, value in found.items()]


def tags(raw: Sequence[dict[str, Any]]) -> list[Text]:
    """The last of two with the same key counts."""
    return [Text(*one) for one in {tag_key(one): plain(one.get("value"), TAG_CHARS_MAX) for one in raw}.items()]


def tag_key(raw: dict[str, Any]) -> str:
    key = name(raw.get("key"), "tag")
    if key.startswith(RESERVED_TAG) and key != SUMMARY_TAG:
        raise Refusal(f"Tags that begin with {RESERVED_TAG!r} are the platform's: choose another name than {key!r}.")
    return key


def plain(raw: Any, chars_max: int) -> str:
    """Text that Postgres takes: no NUL, no half of a surrogate pair; too long is cut, as MLflow does."""
    text = "" if raw is None else str(raw)
    return text[:chars_max].replace("\0", "").encode("utf-8", "replace").decode()


def document(raw: dict[str, Any], what: str) -> str:
    """A bounded JSON text."""
    text = json.dumps(raw)
    if len(text) > DOCUMENT_CHARS_MAX:
        raise Refusal(f"A {what} may have {DOCUMENT_CHARS_MAX} characters as JSON, this has {len(text)}.")
    return text
