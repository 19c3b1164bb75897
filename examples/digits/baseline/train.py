"""A linear classifier, trained in epochs; every epoch's accuracy is logged and the best epoch's model is kept."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier

DATA = Path(os.environ.get("SEODANG_DATA", "/data"))
CHECKPOINTS = Path(os.environ.get("SEODANG_OUT", "/out")) / "checkpoints"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--alpha", type=float, default=1e-3)
    args = parser.parse_args()

    table = pd.read_csv(DATA / "train.csv")
    inputs = table.drop(columns=["id", "label"]).to_numpy() / 16
    labels = table["label"].to_numpy()
    held = len(table) // 5  # the rows are in random order: the last fifth tells which epoch is best
    train_x, train_y, valid_x, valid_y = inputs[:-held], labels[:-held], inputs[-held:], labels[-held:]

    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    mlflow.log_params(vars(args))
    model = SGDClassifier(alpha=args.alpha, learning_rate="constant", eta0=0.01, random_state=0)
    rng = np.random.default_rng(0)
    best = -1.0
    for epoch in range(args.epochs):
        order = rng.permutation(len(train_x))
        model.partial_fit(train_x[order], train_y[order], classes=np.arange(10))
        train_acc, valid_acc = model.score(train_x, train_y), model.score(valid_x, valid_y)
        mlflow.log_metric("train/acc", train_acc, step=epoch)
        mlflow.log_metric("valid/acc", valid_acc, step=epoch)
        print(f"epoch {epoch:2d}  train/acc {train_acc:.4f}  valid/acc {valid_acc:.4f}")
        if valid_acc > best:
            best = valid_acc
            joblib.dump(model, CHECKPOINTS / "best")


if __name__ == "__main__":
    main()
