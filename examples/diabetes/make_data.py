"""Makes data/ from scikit-learn's diabetes data: 330 patients to train on, 100 to be scored on, 12 as the public sample.

The three are disjoint, the split is fixed by SEED, and ids are given after the shuffle, so they tell nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

DATA = Path(__file__).parent / "data"
SEED, TEST, SAMPLE = 20260901, 100, 12


def write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.6g")


def main() -> None:
    raw = load_diabetes(as_frame=True, scaled=False)
    order = np.random.default_rng(SEED).permutation(len(raw.data))
    table = raw.data.iloc[order].reset_index(drop=True)
    table.insert(0, "id", range(1, len(table) + 1))
    table["value"] = raw.target.iloc[order].to_numpy()
    test, sample, train = table[:TEST], table[TEST : TEST + SAMPLE], table[TEST + SAMPLE :]
    write(train, DATA / "train/train.csv")
    for part, inputs, truth in ((test, "test", "labels"), (sample, "sample/inputs", "sample/labels")):
        write(part.drop(columns="value"), DATA / inputs / "test.csv")
        write(part[["id", "value"]], DATA / truth / "labels.csv")


if __name__ == "__main__":
    main()
