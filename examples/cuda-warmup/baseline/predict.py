"""Writes a label for each test point."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from model import build, pick_device


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("data", "checkpoint", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    device = pick_device()
    table = np.loadtxt(args.data / "test.csv", delimiter=",", skiprows=1)  # id, x, y
    model = build().to(device)
    model.load_state_dict(torch.load(args.checkpoint, map_location=device, weights_only=True))
    model.eval()
    with torch.no_grad():
        labels = model(torch.tensor(table[:, 1:], dtype=torch.float32, device=device)).argmax(1)
    with args.out.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "label"), *zip(table[:, 0].astype(int).tolist(), labels.tolist())])


if __name__ == "__main__":
    main()
