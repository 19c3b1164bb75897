"""A run's history to scale, and its log in one piece."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from courses.submissions import queries
from courses.submissions.models import Run

LASTING = frozenset(("queued", "starting", "running", "lost", "preempted"))  # states that take time
NARROWEST = 1.0  # percent: a moment too short to see is drawn this wide
GAP = 0.5  # percent between two segments
SLICES_MAX = 4  # a log is a head and a tail

Row = dict[str, Any]  # state, label, at, note; as queries.timeline has it, newest first


@dataclass(frozen=True)
class Segment:
    state: str
    label: str
    seconds: float
    x: float  # percent
    width: float  # percent


def timed(rows: Sequence[Row], end: dt.datetime | None) -> list[Row]:
    """The rows with how many seconds each lasted: to the next one, the newest to ``end``. None for a mere moment."""
    found = []
    later = end
    for index, row in enumerate(rows):
        earlier = rows[index + 1]["at"] if index + 1 < len(rows) else None
        seconds = None
        if row["state"] in LASTING and later is not None:
            seconds = max(0.0, (later - row["at"]).total_seconds())
        elif index == len(rows) - 2 and earlier is not None:  # the check, which follows what was received
            seconds = max(0.0, (row["at"] - earlier).total_seconds())
        found.append({**row, "seconds": seconds, "now": index == 0 and row["state"] in LASTING})
        later = row["at"]
    return found


def track(rows: Sequence[Row]) -> list[Segment]:
    """What lasted, oldest first, as shares of the whole. Empty while nothing has lasted."""
    lasted = [row for row in reversed(rows) if row["state"] in LASTING and row["seconds"] is not None]
    whole = sum(row["seconds"] for row in lasted)
    if not whole:
        return []
    widths = [max(NARROWEST, 100 * row["seconds"] / whole) for row in lasted]
    scale = (100 - GAP * (len(widths) - 1)) / sum(widths)
    found, x = [], 0.0
    for row, width in zip(lasted, widths):
        found.append(Segment(row["state"], row["label"], row["seconds"], round(x, 2), round(width * scale, 2)))
        x += width * scale + GAP
    return found


def whole(rows: Sequence[Row]) -> float | None:
    """Seconds from the push to now, or to the end."""
    if not rows:
        return None
    newest = rows[0]
    lasted = float((newest["at"] - rows[-1]["at"]).total_seconds())
    return lasted + (newest["seconds"] or 0.0 if newest["now"] else 0.0)


def log_text(run: Run) -> str:
    """All that is stored of the log; what was left out in the middle is said where it was."""
    parts, offset = [], 0
    for _slice in range(SLICES_MAX):
        part = queries.log(run, offset)
        if part.gap:
            parts.append("\n[… " + _("%d bytes left out") % (part.gap[1] - part.gap[0]) + " …]\n")
        parts.append(part.text)
        if part.done or part.offset <= offset:
            break
        offset = part.offset
    return "".join(parts)
