"""Pushes to the measured site and waits on its sockets, as a client does."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from bench.setup import CODE, Site, zip_code

WAIT_SECONDS_MAX = 240
CHANGES = {"snapshot", "resync", "run.changed", "board.changed"}
LIVE = {"queued", "preflight", "starting", "running"}


def push(site: Site, name: str = "train.py", args: str = "", person: str = "student", folder: Path = CODE) -> str:
    """The run's id, once the push is accepted."""
    archive = zip_code(site.var / f"{uuid.uuid4().hex}.zip", name, folder)
    fields = {"args": args, "entry": f"python3 {name}", "idempotency_key": uuid.uuid4().hex}
    answer = httpx.post(
        f"{site.address}/api/v1/courses/ml/assignments/bench/runs",
        data=fields, files={"code": archive.open("rb")}, headers=site.headers(person), timeout=60,
    )  # fmt: skip
    if answer.is_error:
        raise RuntimeError(answer.text)
    return str(answer.json()["id"])


def get(site: Site, path: str, person: str = "student") -> Any:
    answer = httpx.get(f"{site.address}/api/v1/{path}", headers=site.headers(person), timeout=60)
    return answer.raise_for_status().json()


def watch(site: Site, path: str, person: str = "student") -> ClientConnection:
    return connect(f"{site.live}/{path}/", additional_headers=site.headers(person), max_size=1 << 22)


def await_that(socket: ClientConnection, holds: Callable[[], bool], also: str = "") -> None:
    """Look when the socket says that something changed, or a message of the type ``also`` comes. Raises TimeoutError."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        while json.loads(socket.recv(timeout=max(0.0, end - time.monotonic())))["type"] not in {*CHANGES, also}:
            pass  # points and log move all the time: asking at each would be load of our own making


def await_end(site: Site, run: str, person: str = "student") -> str:
    """The log of a run that succeeded."""
    with watch(site, f"run/{run}", person) as socket:
        await_that(socket, lambda: get(site, f"runs/{run}", person)["state"] not in LIVE)
    ended = get(site, f"runs/{run}", person)
    log = str(get(site, f"runs/{run}/log", person)["text"])
    if ended["state"] != "succeeded":
        raise RuntimeError(f"{ended['state']}: {ended['sentence']}\n{log[-2000:]}")
    return log
