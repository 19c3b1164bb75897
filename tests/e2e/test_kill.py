"""``kill -9`` of each part in the middle of a run: the run ends as it would have, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Site

pytestmark = [pytest.mark.docker, pytest.mark.browser]
STEPS = 60
TRAIN = f"""
import os, time
import mlflow
os.makedirs("/out/checkpoints", exist_ok=True)
open("/out/checkpoints/best", "w").write("w")
for step in range({STEPS}):
    mlflow.log_metric("train/loss", 1 / (step + 1), step=step)
    print("step", step, flush=True)
    time.sleep(0.25)
"""
PREDICT = """
import argparse, csv
p = argparse.ArgumentParser()
p.add_argument("--data"); p.add_argument("--checkpoint"); p.add_argument("--out")
a = p.parse_args()
import glob
rows = list(csv.DictReader(open(sorted(glob.glob(a.data + "/*.csv"))[0])))
with open(a.out, "w", newline="") as f:
    w = csv.writer(f); w.writerow(["id", "label"]); w.writerows([r["id"], 0] for r in rows)
"""
SECONDS_MAX = 120


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + SECONDS_MAX
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def processes(site: Site, words: str) -> list[int]:
    """This site's processes whose command line has the words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if words in command and (str(site.var).encode() in environment or str(site.var) in command):
                found.append(int(entry.name))
    return found


def postgres(site: Site) -> list[int]:
    sys.path.insert(0, str(ROOT / "platform"))
    from hub import database

    pid = database.home(site.var) / "data" / "postmaster.pid"
    return [int(pid.read_text().splitlines()[0])] if pid.exists() else []


VICTIMS: dict[str, Callable[[Site], list[int]]] = {
    "runner": lambda site: processes(site, "manage.py runner"),
    "tracking": lambda site: processes(site, "manage.py tracking"),
    "web": lambda site: processes(site, "hub.asgi:application"),
    "postgres": postgres,
}


def runs(site: Site, session: str) -> dict[str, Any]:
    """The run; {} while the web or the database is away."""
    answer = site.cli("teacher", "ps", "-a", "-j")
    if answer.returncode:
        return {}
    return next((one for one in json.loads(answer.stdout) if one["session"] == session), {})


@pytest.mark.parametrize("victim", list(VICTIMS))
def test_a_killed_part(site: Site, tmp_path: Path, victim: str) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "predict.py").write_text(PREDICT)
    pushed = site.cli("ta", "run", "-d", "digits", "--submit", "-n", "-j", folder=tmp_path)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    made = json.loads(pushed.stdout)
    session = made["session"]
    until(lambda: "step 5" in site.cli("ta", "logs", session).stdout, "it runs")
    old = VICTIMS[victim](site)
    assert old
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    ended = until(lambda: runs(site, session).get("state") not in {None, "preflight", "queued", "starting", "running"},
                  "the run ends")  # fmt: skip
    assert ended
    until(lambda: any(one["state"] in {"scored", "failed"} for one in runs(site, session).get("submissions", [])),
          "the submission ends")  # fmt: skip
    run = runs(site, session)
    assert run["state"] == "succeeded", (run["sentence"], site.cli("ta", "logs", session).stdout[-2000:])
    assert run["try"] == 1, "nothing was run twice"
    assert [one["state"] for one in run["submissions"]] == ["scored"]
    log = site.cli("ta", "logs", session).stdout
    assert [line for line in log.splitlines() if line.startswith("step")] == [f"step {n}" for n in range(STEPS)]
    metrics = json.loads(_api(site, f"runs/{run['id']}/metrics"))
    assert [point[0] for point in metrics["train/loss"]] == list(range(STEPS)), "each acknowledged point is there once"
    check = subprocess.run(
        [sys.executable, "manage.py", "rebuild_standings", "--check"], cwd=ROOT, text=True, capture_output=True,
        env={**os.environ, "SEODANG_VAR": str(site.var)}, check=False,
    )  # fmt: skip
    assert check.returncode == 0, check.stderr


def _api(site: Site, path: str) -> bytes:
    import urllib.request

    token = site.cast["teacher"]["token"]
    request = urllib.request.Request(f"{site.address}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())
