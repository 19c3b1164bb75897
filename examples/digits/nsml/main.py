"""Digits as a script was written for NSML: it binds save, load and infer, and takes --mode, --pause and --iteration."""

import argparse
import os

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier

import nsml
from nsml import DATASET_PATH


def bind_model(model):
    def save(dir_name, *args, **kwargs):
        os.makedirs(dir_name, exist_ok=True)
        joblib.dump(model, os.path.join(dir_name, "model"))
        print("model saved!")

    def load(dir_name, *args, **kwargs):
        model.__dict__.update(joblib.load(os.path.join(dir_name, "model")).__dict__)
        print("model loaded!")

    def infer(root, phase):
        return _infer(root, phase, model=model)

    nsml.bind(save=save, load=load, infer=infer)


def _infer(root, phase, model):
    table = pd.read_csv(os.path.join(root, phase + ".csv"))
    prob = model.decision_function(table.drop(columns="id").values / 16)
    # [(confidence, label), ...]
    return list(zip(prob.max(axis=1), prob.argmax(axis=1)))


def log_loss(model, x, y):
    score = model.decision_function(x)
    return float(np.maximum(0, 1 - score[np.arange(len(y)), y]).mean())


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("--epochs", type=int, default=10)
    args.add_argument("--alpha", type=float, default=1e-4)

    # reserved for nsml
    args.add_argument("--mode", type=str, default="train")
    args.add_argument("--iteration", type=int, default=0)
    args.add_argument("--pause", type=int, default=0)
    config = args.parse_args()

    model = SGDClassifier(alpha=config.alpha, random_state=0)

    # reserved for nsml
    bind_model(model)
    if config.pause:
        nsml.paused(scope=locals())

    if config.mode == "train":
        # do not load data before this line
        table = pd.read_csv(os.path.join(DATASET_PATH, "train.csv"))
        x, y = table.drop(columns=["id", "label"]).values / 16, table["label"].values
        for epoch in range(config.epochs):
            model.partial_fit(x, y, classes=np.arange(10))
            loss, acc = log_loss(model, x, y), model.score(x, y)
            print("epoch", epoch, "loss", loss, "acc", acc)
            nsml.report(
                summary=True,
                scope=locals(),
                epoch=epoch,
                epoch_total=config.epochs,
                train__loss=loss,
                train__acc=acc,
                step=epoch,
            )
            nsml.save(epoch)
