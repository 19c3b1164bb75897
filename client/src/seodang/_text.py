"""Runs, scores, sizes and times in words; what others wrote is made safe for a terminal first."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Colours (SGR) stay; any other escape sequence could rewrite what the reader already saw, so its ESC is dropped.
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

TERMINAL = frozenset(
    ("succeeded", "failed", "out_of_memory", "timed_out", "output_limit", "stopped", "lost", "refused")
)
WAITING = frozenset(("preflight", "queued", "starting"))
SUBMISSION_TERMINAL = frozenset(("scored", "failed"))


def safe(text: Any) -> str:
    pieces = _COLOUR.split(str(text))
    return "".join(one if index % 2 else _CONTROL.sub("", one) for index, one in enumerate(pieces))


def size(count: float) -> str:
    """Decimal units, as file managers show them: 38 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB") or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("GB returns")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ordinal(number: int) -> str:
    last = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"


def clock(stamp: str | None) -> str:
    """A time of today as 14:12, another day's with its date; in this machine's zone."""
    if not stamp:
        return ""
    try:
        moment = datetime.fromisoformat(stamp).astimezone()
    except ValueError:
        return safe(stamp)
    today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if today else "%m-%d %H:%M")


def state_line(run: dict[str, Any]) -> str:
    """What a run does now, in one line."""
    if run["state"] == "queued" and run.get("position"):
        about = f", about {clock(run['expected_start'])}" if run.get("expected_start") else ""
        reason = f": {run['reason']}" if run.get("reason") else ""
        return safe(f"Queued {ordinal(run['position'])}{about}{reason}")
    if run["state"] == "preflight":
        return "Checking it: files, syntax, imports"
    return safe(run.get("sentence") or run["state"].replace("_", " ").capitalize())


def score_line(submission: dict[str, Any]) -> str:
    if submission["state"] == "scored":
        scores = submission.get("scores") or {}
        ordered = sorted(scores.items(), key=lambda one: one[1] != submission.get("score"))  # what ranks comes first
        values = ", ".join(f"{name} {number(value)}" for name, value in ordered)
        rank = f"  rank {submission['rank']}" if submission.get("rank") else ""
        kind = "Trial score" if submission.get("trial") else "Score"
        return safe(f"{kind}: {values or number(submission.get('score'))}{rank}")
    return safe(submission.get("sentence") or submission["state"].capitalize())


def number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else ("–" if value is None else str(value))


def best_score(run: dict[str, Any]) -> str:
    """The newest official score in a run's submissions."""
    scored = [one for one in run.get("submissions") or [] if one["state"] == "scored" and not one.get("trial")]
    return number(scored[-1]["score"]) if scored else ""


def table(
    headings: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = (), *, empty: str = "None."
) -> None:
    """Print rows in columns; cells are plain text, never markup. ``empty`` is said where there are no rows."""
    rows = list(rows)
    if not rows:
        print(empty)
        return
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        shown.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading == "SESSION")
    for row in rows:
        shown.add_row(*(Text(safe(cell)) for cell in row))
    # A pipe has no width; 80 columns would cut what the next program reads.
    console = Console(file=sys.stdout, highlight=False)
    (console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=240)).print(shown)
