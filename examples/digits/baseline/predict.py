"""Writes a label for each test image."""

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
    labels = joblib.load(args.checkpoint).predict(table.drop(columns="id").to_numpy() / 16)
    pd.DataFrame({"id": table["id"], "label": labels}).to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
