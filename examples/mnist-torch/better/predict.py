"""Writes a label for each test image."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from model import build, to_tensor


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("data", "checkpoint", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    data = np.load(args.data / "test.npz")
    model = build()
    model.load_state_dict(torch.load(args.checkpoint, map_location="cpu", weights_only=True))
    model.eval()
    with torch.no_grad():
        labels = model(to_tensor(data["image"])).argmax(1)
    with args.out.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "label"), *zip(data["id"].tolist(), labels.tolist())])


if __name__ == "__main__":
    main()
