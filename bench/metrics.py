"""Metrics a second, durable when answered: our gateway, ``mlflow server`` on the same Postgres, and no server at all.

All clients run in containers of one image with one limit of CPU. Ours log as every run does, without a network, through
the launcher's relay; the others get the host's network. "No server" answers ``{}`` at once and keeps nothing: what is
left is the client's own cost. Stock ``mlflow`` clients are so dear that they hide the servers on a small machine, so
the same calls are measured with bare ones too.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from bench import containers, runs
from bench.setup import CODE, Site, free_port

START_SECONDS = {False: 60, True: 25}  # until all clients, bare or not, are there; one that is late fails the figure
MEASURED_SECONDS = 15
SERVER_SECONDS_MAX = 120
FIGURES = {"single": 8, "batch": 4, "bare_single": 8, "bare_batch": 4}  # mode → clients


def measure(site: Site) -> list[dict[str, Any]]:
    ours = {mode: _ours(site, mode, clients) for mode, clients in FIGURES.items()}
    with mlflow_server(site) as address:
        theirs = {mode: _theirs(address, mode, clients) for mode, clients in FIGURES.items()}
    with no_server() as address:
        alone = {mode: _theirs(address, mode, clients, made=False) for mode, clients in FIGURES.items()}
    names = {
        "single": "single log_metric calls a second, 8 clients, durable when answered",
        "batch": "metrics a second by log_batch(1000), 4 clients",
        "bare_single": "the same single calls, by bare clients",
        "bare_batch": "the same batches, by bare clients",
    }
    return [
        {
            "what": names[mode],
            "ours": ours[mode],
            "compared_with": "mlflow server on the same Postgres",
            "theirs": theirs[mode],
            "ratio": ours[mode] / theirs[mode],
            "aim": ">= 15" if mode.endswith("batch") else ">= 4",
            "client_alone": alone[mode],
        }
        for mode in FIGURES
    ]


def words(mode: str, at: float) -> list[str]:
    return ["--mode", mode, "--at", str(at), "--seconds", str(MEASURED_SECONDS)]


def rate(outputs: list[str]) -> float:
    found = [json.loads(output.strip().splitlines()[-1]) for output in outputs]
    return sum(one["count"] / one["seconds"] for one in found)


def _ours(site: Site, mode: str, clients: int) -> float:
    at = time.time() + START_SECONDS[mode.startswith("bare")]
    made = [runs.push(site, args=" ".join(words(mode, at))) for _ in range(clients)]
    return rate([runs.await_end(site, run) for run in made])


def _theirs(address: str, mode: str, clients: int, made: bool = True) -> float:
    from runner import images

    at = time.time() + START_SECONDS[mode.startswith("bare")]
    processes = []
    for number in range(clients):
        run = _make_run(address, number) if made else f"{number:032x}"
        env = {"MLFLOW_TRACKING_URI": address, "MLFLOW_RUN_ID": run, "OMP_NUM_THREADS": "1",
               "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}  # fmt: skip
        command = containers.words(
            images.tag("base"), ["python3", "/code/train.py", *words(mode, at)], [(CODE, "/code")], env, network="host"
        )
        command[2:2] = ["--cpus", "1"]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("A client failed.")
    return rate(outputs)


def _make_run(address: str, number: int) -> str:
    body = {"experiment_id": "0", "start_time": 0, "run_name": f"bench-{number}"}
    answer = httpx.post(f"{address}/api/2.0/mlflow/runs/create", json=body, timeout=30)
    return str(answer.raise_for_status().json()["run"]["info"]["run_id"])


@contextlib.contextmanager
def mlflow_server(site: Site) -> Iterator[str]:
    """As its documentation starts it, on a database of its own in the site's Postgres."""
    from hub.tracking.mlflow_database import ensure_database, store_uri

    ensure_database("mlflow_bench")
    port = free_port()
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": store_uri("mlflow_bench"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--allowed-hosts", f"127.0.0.1:{port}",
               "--artifacts-destination", str(site.var / "mlflow-bench"), "--uvicorn-opts", "--log-level warning"]  # fmt: skip
    with (site.var / "logs" / "mlflow-bench.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + SERVER_SECONDS_MAX
        while not _healthy(address):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"mlflow server does not start: {site.var}/logs/mlflow-bench.log")
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


class _Nothing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment an answer, or the kernel waits 40 ms between its head and its body

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        return


@contextlib.contextmanager
def no_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
