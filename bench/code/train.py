"""What the measured runs execute: a stock MLflow client that logs as fast, or as often, as it is told."""

import argparse
import json
import os
import time

from mlflow import MlflowClient
from mlflow.entities import Metric


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["single", "batch", "paced"], required=True)
    parser.add_argument("--at", type=float, required=True, help="when all begin, Unix seconds")
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    client, run = MlflowClient(), os.environ["MLFLOW_RUN_ID"]
    client.log_metric(run, "warm", 0.0)
    if time.time() > args.at:
        raise SystemExit("The start has passed: begin later.")
    time.sleep(args.at - time.time())  # one start for all is what is measured here
    count, answered, began = 0, [], time.time()
    while time.time() < began + args.seconds:
        if args.mode == "batch":
            now = int(time.time() * 1000)
            client.log_batch(run, metrics=[Metric("x", float(count + n), now, count + n) for n in range(1000)])
            count += 1000
            continue
        client.log_metric(run, "x", float(count), step=count)
        count += 1
        if args.mode == "paced":
            answered.append([count - 1, time.time()])
            time.sleep(max(0.0, began + count - time.time()))
    print(json.dumps({"count": count, "seconds": time.time() - began, "answered": answered}), flush=True)


if __name__ == "__main__":
    main()
