"""Makes data/ from scikit-learn's digits: 1,417 images to train on, 360 to be scored on, 20 as the public sample.

The three are disjoint, the split is fixed by SEED, and ids are given after the shuffle, so they tell nothing.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

DATA = Path(__file__).parent / "data"
SEED, TEST, SAMPLE = 20260901, 360, 20


def write(path: Path, header: list[str], rows: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(int)
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST, random_state=SEED, stratify=labels)
    train, sample = train_test_split(rest, test_size=SAMPLE, random_state=SEED, stratify=labels[rest])
    columns = [f"p{i}" for i in range(pixels.shape[1])]
    numbers = iter(range(1, len(labels) + 1))
    ids = {int(row): next(numbers) for row in (*train, *test, *sample)}
    write(
        DATA / "train/train.csv",
        ["id", "label", *columns],
        [[ids[row], int(labels[row]), *pixels[row].tolist()] for row in train.tolist()],
    )
    for part, inputs, truth in (
        (test, "test", "labels"),
        (sample, "sample/inputs", "sample/labels"),
    ):
        rows = part.tolist()
        write(DATA / inputs / "test.csv", ["id", *columns], [[ids[row], *pixels[row].tolist()] for row in rows])
        write(DATA / truth / "labels.csv", ["id", "label"], [[ids[row], int(labels[row])] for row in rows])


if __name__ == "__main__":
    main()
