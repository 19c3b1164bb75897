"""Which rows of a long board a reader sees at first, and what stands for the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from courses.leaderboards.queries import BoardRow

LONG = 30  # a board of so many teams or fewer is shown whole
TOP = 10  # rows
NEAR = 3  # rows on each side of the own team and of the pass line
FAR = 10  # the same, for who asks for that place alone
GAP_MIN = 3  # fewer rows are shown: a line that stands for them would save nothing
OVERVIEW, US, PASS, ALL = "overview", "us", "pass", "all"


@dataclass(frozen=True)
class Gap:
    """Ranks that are folded."""

    first: int
    last: int
    count: int


@dataclass(frozen=True)
class Stretch:
    """Rows that follow each other, as places in the board; behind them a gap, the pass line, both, or nothing."""

    start: int
    end: int
    gap: Gap | None = None
    line: bool = False


def choices(rows: int, own: int | None, passing: int | None) -> list[str]:
    """What may be asked for; nothing where the board is short. ``own`` and ``passing`` are places."""
    if rows <= LONG:
        return []
    return [OVERVIEW, *([US] if own is not None else []), *([PASS] if passing is not None else []), ALL]


def stretches(rows: Sequence[BoardRow], own: int | None, passing: int | None, show: str) -> list[Stretch]:
    """The board in pieces: each of its rows is in a stretch or behind a gap, once."""
    if show == ALL or show not in choices(len(rows), own, passing):
        kept = set(range(len(rows)))
    else:
        width = NEAR if show == OVERVIEW else FAR
        kept = set(range(TOP)) if show == OVERVIEW else set()
        if own is not None and show != PASS:
            kept |= set(range(own - width, own + width + 1))
        if passing is not None and show != US:
            kept |= set(range(passing - width, passing + width))
    line = passing if passing is not None and 0 < passing < len(rows) else None
    found: list[Stretch] = []
    at = 0
    for start, end in [*_hidden(len(rows), kept, line), (len(rows), len(rows))]:
        if line is not None and at < line < start:
            found.append(Stretch(at, line, line=True))
            at = line
        gap = Gap(rows[start].rank, rows[end - 1].rank, end - start) if end > start else None
        if start > at or gap:
            found.append(Stretch(at, start, gap, line=(end if gap else start) == line))
        at = end
    return found


def _hidden(count: int, kept: set[int], line: int | None) -> list[tuple[int, int]]:
    """Runs of at least ``GAP_MIN`` places that are not kept, as (first, behind the last); the line parts two."""
    found: list[tuple[int, int]] = []
    start = None
    for place in range(count + 1):
        out = place < count and place not in kept
        if out and start is None:
            start = place
        elif not out and start is not None:
            if place - start >= GAP_MIN:
                parted = line is not None and start < line < place
                found += [(start, line), (line, place)] if parted and line is not None else [(start, place)]
            start = None
    return found
