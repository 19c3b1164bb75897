"""A linear model on the pixels, trained in epochs; every epoch is logged and the best epoch's weights are kept."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import mlflow
import numpy as np
import torch
from model import build, to_tensor

DATA = Path(os.environ.get("SEODANG_DATA", "/data"))
CHECKPOINTS = Path(os.environ.get("SEODANG_OUT", "/out")) / "checkpoints"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()

    torch.manual_seed(0)
    data = np.load(DATA / "train.npz")
    images, labels = to_tensor(data["image"]), torch.from_numpy(data["label"])
    held = len(labels) // 10  # the rows are in random order: the last tenth tells which epoch is best
    train_x, train_y, valid_x, valid_y = images[:-held], labels[:-held], images[-held:], labels[-held:]

    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    mlflow.log_params(vars(args))
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate)
    best = -1.0
    for epoch in range(args.epochs):
        model.train()
        right, total = 0, 0.0
        for rows in torch.randperm(len(train_x)).split(args.batch):
            scores = model(train_x[rows])
            loss = torch.nn.functional.cross_entropy(scores, train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right += int((scores.argmax(1) == train_y[rows]).sum())
            total += float(loss.detach()) * len(rows)
        model.eval()
        with torch.no_grad():
            valid_acc = float((model(valid_x).argmax(1) == valid_y).float().mean())
        train_acc = right / len(train_x)
        mlflow.log_metric("train/loss", total / len(train_x), step=epoch)
        mlflow.log_metric("train/acc", train_acc, step=epoch)
        mlflow.log_metric("valid/acc", valid_acc, step=epoch)
        print(f"epoch {epoch:2d}  train/acc {train_acc:.4f}  valid/acc {valid_acc:.4f}")
        if valid_acc > best:
            best = valid_acc
            torch.save(model.state_dict(), CHECKPOINTS / "best")


if __name__ == "__main__":
    main()
