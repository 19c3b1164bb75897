"""bench/results.json as the table that README quotes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS, README = ROOT / "bench" / "results.json", ROOT / "README.md"
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"


def quote(results: dict[str, Any]) -> str:
    machine = results["machine"]
    rows = [
        "| what | Seodang | compared with | that one | ratio | aim |",
        "| --- | ---: | --- | ---: | ---: | --- |",
        *(_row(one) for one in results["figures"]),
    ]
    where = f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_GiB']} GiB, {results['at'][:10]}."
    return "\n".join([*rows, "", f"One run of `make bench` on {where}"])


def _row(one: dict[str, Any]) -> str:
    unit = one.get("unit", "/s")
    notes = ""
    if "client_alone" in one:
        notes = f"; the clients alone, with no server to wait for: {_number(one['client_alone'])} /s"
    if "p50" in one:
        notes = f"; p50 {_number(one['p50'])} {unit}, p99 in the next column"
    if "queries" in one:
        notes = f"; {one['queries']['300 teams']} queries, as with few teams"
    cells = [
        one["what"] + notes, f"{_number(one['ours'])} {unit}", one["compared_with"], f"{_number(one['theirs'])} {unit}",
        f"{one['ratio']:.2f}", one["aim"].replace("<=", "≤").replace(">=", "≥"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def quoted(text: str, results: dict[str, Any]) -> str:
    """README's text with the table of these results in its place."""
    place = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return place.sub(lambda _: f"{BEGIN}\n{quote(results)}\n{END}", text)


def write() -> None:
    README.write_text(quoted(README.read_text(), json.loads(RESULTS.read_text())))
