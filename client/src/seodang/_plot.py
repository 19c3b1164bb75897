"""A curve in a terminal, in Braille dots: two columns and four rows of dots a letter. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 64, 8  # letters
# Unicode's order of the dots in a letter, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def chart(name: str, points: Sequence[tuple[float, float]], width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Lines of text: a heading with the last value, then the curve with its highest and lowest value beside it."""
    shown = [(step, value) for step, value in points if math.isfinite(step) and math.isfinite(value)]
    if not shown:
        return [f"{name}  no finite points"]
    heading = f"{name}  {shown[-1][1]:.6g} at step {shown[-1][0]:g}, {len(points)} points"
    steps, values = [step for step, _ in shown], [value for _, value in shown]
    low, high = min(values), max(values)
    cells = [[0] * width for _ in range(height)]
    for step, value in shown:
        x = _place(step, min(steps), max(steps), 2 * width)
        y = 4 * height - 1 - _place(value, low, high, 4 * height)
        cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    labels = {0: f"{high:.4g}", height - 1: f"{low:.4g}"}
    gutter = max(len(label) for label in labels.values())
    rows = ["".join(chr(0x2800 + cell) for cell in row) for row in cells]
    return [heading, *(f"{labels.get(index, ''):>{gutter}} │{row}" for index, row in enumerate(rows))]


def _place(value: float, low: float, high: float, places: int) -> int:
    """Which of ``places`` a value falls in. Halved first: the width of two huge floats may overflow."""
    width = high / 2 - low / 2
    return min(places - 1, int((value / 2 - low / 2) / width * places)) if width > 0 else places // 2
