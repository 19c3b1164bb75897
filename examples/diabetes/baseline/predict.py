"""Writes a value for each test patient."""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("data", "checkpoint", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    table = pd.read_csv(args.data / "test.csv")
    values = joblib.load(args.checkpoint).predict(table.drop(columns="id"))
    pd.DataFrame({"id": table["id"], "value": values}).to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
