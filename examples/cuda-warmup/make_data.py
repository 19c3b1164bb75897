"""Makes data/: points on three noisy spiral arms, synthetic: 1,200 to train on, 300 to be scored on, 18 public.

No straight line parts the arms, so a linear model fails where a small network does well. SEED fixes all of it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
SEED, TRAIN, TEST, SAMPLE, ARMS = 20260901, 1200, 300, 18, 3


def write(path: Path, rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main() -> None:
    rng = np.random.default_rng(SEED)
    count = TRAIN + TEST + SAMPLE
    label = rng.permutation(np.arange(count) % ARMS)
    radius = np.sqrt(rng.uniform(0.02, 1.0, count))
    angle = 7.0 * radius + 2 * np.pi * label / ARMS + rng.normal(0, 0.18, count)
    points = [
        (i + 1, int(arm), f"{r * np.cos(a):.4f}", f"{r * np.sin(a):.4f}")
        for i, (arm, r, a) in enumerate(zip(label, radius, angle))
    ]
    write(DATA / "train/train.csv", [("id", "label", "x", "y"), *points[:TRAIN]])
    for part, inputs, truth in (
        (points[TRAIN : TRAIN + TEST], "test", "labels"),
        (points[TRAIN + TEST :], "sample/inputs", "sample/labels"),
    ):
        write(DATA / inputs / "test.csv", [("id", "x", "y"), *((i, x, y) for i, _, x, y in part)])
        write(DATA / truth / "labels.csv", [("id", "label"), *((i, arm) for i, arm, _, _ in part)])


if __name__ == "__main__":
    main()
