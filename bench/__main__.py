"""``make bench``: all figures in one run on one machine, printed, and written to bench/results.json."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import table
from bench.setup import ROOT, site
from bench.table import RESULTS

FIGURES = ("paths", "metrics", "live", "page")  # modules, in this order: the last fills the board


def machine() -> dict[str, Any]:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024**2
    return {
        "cpu": cpu.partition(":")[2].strip(), "cores": os.cpu_count(), "memory_GiB": memory,
        "kernel": platform.release(), "python": platform.python_version(),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="all, if none is named")
    chosen = parser.parse_args().figures or FIGURES
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="seodang-bench-") as var, site(Path(var)) as measured:
        for name in chosen:
            print(f"\n{name}", flush=True)
            for row in importlib.import_module(f"bench.{name}").measure(measured):
                rows.append(row)
                unit = row.get("unit", "/s")
                print(
                    f"  {row['what']}: {row['ours']:,.2f} {unit}; {row['compared_with']}: {row['theirs']:,.2f} {unit};"
                    f" ratio {row['ratio']:.2f}, aim {row['aim']}",
                    flush=True,
                )
    if set(chosen) == set(FIGURES):
        result = {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "machine": machine(), "figures": rows}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        table.write()
        print(f"\nWritten to {RESULTS.relative_to(ROOT)} and quoted in README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
