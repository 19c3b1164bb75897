"""A line through one column (bmi), fitted in epochs; the epoch with the lowest validation error is kept."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = Path(os.environ.get("SEODANG_DATA", "/data"))
CHECKPOINTS = Path(os.environ.get("SEODANG_OUT", "/out")) / "checkpoints"


def rmse(truth: np.ndarray, guess: np.ndarray) -> float:
    return float(np.sqrt(np.mean((truth - guess) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args()

    table = pd.read_csv(DATA / "train.csv")
    inputs, values = table.drop(columns=["id", "value"]), table["value"].to_numpy()
    held = len(table) // 5  # the rows are in random order: the last fifth tells which epoch is best
    columns = make_column_transformer((StandardScaler(), ["bmi"]))
    train_x, valid_x = columns.fit_transform(inputs[:-held]), columns.transform(inputs[-held:])
    train_y, valid_y = values[:-held], values[-held:]

    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    mlflow.log_params(vars(args))
    model = SGDRegressor(learning_rate="constant", eta0=args.rate, random_state=0)
    rng = np.random.default_rng(0)
    best = float("inf")
    for epoch in range(args.epochs):
        order = rng.permutation(len(train_x))
        model.partial_fit(train_x[order], train_y[order])
        train_rmse, valid_rmse = rmse(train_y, model.predict(train_x)), rmse(valid_y, model.predict(valid_x))
        mlflow.log_metric("train/rmse", train_rmse, step=epoch)
        mlflow.log_metric("valid/rmse", valid_rmse, step=epoch)
        print(f"epoch {epoch:2d}  train/rmse {train_rmse:.2f}  valid/rmse {valid_rmse:.2f}")
        if valid_rmse < best:
            best = valid_rmse
            joblib.dump(make_pipeline(columns, model), CHECKPOINTS / "best")


if __name__ == "__main__":
    main()
