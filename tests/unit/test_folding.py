"""A long board folds far from what the reader looks for, and loses no row."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web.folding import ALL, OVERVIEW, PASS, US, Gap, choices, stretches


def rows(count: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(rank=place + 1) for place in range(count)]


@pytest.mark.parametrize(
    ("count", "own", "passing", "show", "expected"),
    [
        (13, 2, 11, OVERVIEW, [(0, 11, None, True), (11, 13, None, False)]),  # short: whole
        (97, 1, 38, ALL, [(0, 38, None, True), (38, 97, None, False)]),
        (97, None, None, OVERVIEW, [(0, 10, Gap(11, 97, 87), False)]),
        (
            97, 1, 38, OVERVIEW,
            [(0, 10, Gap(11, 35, 25), False), (35, 38, None, True), (38, 41, Gap(42, 97, 56), False)],
        ),
        (
            97, 50, 38, US,
            [(0, 0, Gap(1, 38, 38), True), (38, 38, Gap(39, 40, 2), False), (40, 61, Gap(62, 97, 36), False)],
        ),
        (97, 50, 38, PASS, [(0, 0, Gap(1, 28, 28), False), (28, 38, None, True), (38, 48, Gap(49, 97, 49), False)]),
        (97, None, 38, US, [(0, 38, None, True), (38, 97, None, False)]),  # nobody to be around: whole
    ],
)  # fmt: skip
def test_what_is_shown(count: int, own: int | None, passing: int | None, show: str, expected: list[object]) -> None:
    found = stretches(rows(count), own, passing, show)  # type: ignore[arg-type]
    assert [(one.start, one.end, one.gap, one.line) for one in found] == expected


@given(st.integers(0, 120), st.integers(0, 119), st.integers(0, 120), st.sampled_from([OVERVIEW, US, PASS, ALL]))
def test_each_row_is_there_or_behind_a_gap_once(count: int, own: int, passing: int, show: str) -> None:
    mine = own if own < count else None
    line = passing if passing <= count else None
    found = stretches(rows(count), mine, line, show)  # type: ignore[arg-type]
    ranks = []
    for one in found:
        ranks += list(range(one.start + 1, one.end + 1))
        if one.gap:
            ranks += list(range(one.gap.first, one.gap.last + 1))
    assert ranks == list(range(1, count + 1))
    if mine is not None and show in {OVERVIEW, US, ALL}:
        assert any(one.start <= mine < one.end for one in found)
    assert sum(one.line for one in found) == (line is not None and 0 < line < count)


def test_a_short_board_has_nothing_to_choose() -> None:
    assert choices(30, 1, 1) == []
    assert choices(31, None, 4) == [OVERVIEW, PASS, ALL]
