"""What the measured runs execute: a client that logs as fast, or as often, as it is told.

It is MLflow's own; the modes ``bare_…`` send the same calls by the standard library, so that what is measured is the
server and not its client.
"""

import argparse
import http.client
import json
import os
import time


class Bare:
    """One connection, kept, and bodies that cost next to nothing to write."""

    def __init__(self, run):
        self.run = run
        self.connection = http.client.HTTPConnection(os.environ["MLFLOW_TRACKING_URI"].split("//")[1])

    def log(self, count, batch):
        """The number of values logged."""
        now, size = str(int(time.time() * 1000)), 1000 if batch else 1
        rows = [f'"key":"x","value":{n},"timestamp":{now},"step":{n}}}' for n in range(count, count + size)]
        head = '{"run_id":"' + self.run + '",'
        if batch:
            self.send("log-batch", head + '"metrics":[{' + ",{".join(rows) + "]}")
        else:
            self.send("log-metric", head + rows[0])
        return size

    def send(self, call, body):
        headers = {"Content-Type": "application/json"}
        self.connection.request("POST", "/api/2.0/mlflow/runs/" + call, body, headers)
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise SystemExit(answer.read())
        answer.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["single", "batch", "bare_single", "bare_batch", "paced"], required=True)
    parser.add_argument("--at", type=float, required=True, help="when all begin, Unix seconds")
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    run = os.environ["MLFLOW_RUN_ID"]
    bare = Bare(run)
    if not args.mode.startswith("bare"):
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        client = MlflowClient()
        client.log_metric(run, "warm", 0.0)
    if time.time() > args.at:
        raise SystemExit("The start has passed: begin later.")
    time.sleep(args.at - time.time())  # one start for all is what is measured here
    count, answered, began = 0, [], time.time()
    while time.time() < began + args.seconds:
        if args.mode.startswith("bare"):
            count += bare.log(count, args.mode == "bare_batch")
            continue
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
