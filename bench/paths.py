"""From a push to the first line, and from a submit to the rank, beside bare ``docker run`` of the same containers."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from bench import containers, runs
from bench.setup import CODE, ROOT, Site

TIMES = 5  # of each, one after the other, in turns; the median is the figure
BASELINE = ROOT / "examples" / "digits" / "baseline"


def measure(site: Site) -> list[dict[str, Any]]:
    return [_first_line(site, "first_line.py"), _first_line(site, "hello.py"), _rank(site)]


def _row(what: str, compared_with: str, ours: list[float], bare: list[float]) -> dict[str, Any]:
    left, right = statistics.median(ours), statistics.median(bare)
    return {
        "what": what, "ours": left, "compared_with": compared_with, "theirs": right, "ratio": left / right,
        "aim": "<= 1.5", "unit": "s", "all": {"ours": ours, "theirs": bare},
    }  # fmt: skip


def _first_line(site: Site, name: str) -> dict[str, Any]:
    from runner import images

    command = containers.words(images.tag("base"), ["python3", f"/code/{name}"], [(CODE, "/code")])
    ours, bare = [], []
    for _ in range(TIMES):
        bare.append(containers.seconds_to_first_line(command))
        run = runs.push(site, name)
        accepted = time.perf_counter()
        with runs.watch(site, f"run/{run}") as socket:
            runs.await_that(socket, lambda run=run: bool(runs.get(site, f"runs/{run}/log")["text"]), "run.log")  # type: ignore[misc]
            ours.append(time.perf_counter() - accepted)
        runs.await_end(site, run)
    what = "usual imports" if name == "first_line.py" else "a script that only prints"
    return _row(f"accepted push to the student's first line ({what})", "docker run, same image and command", ours, bare)


def _rank(site: Site) -> dict[str, Any]:
    run = _trained(site)
    ours, bare = [], []
    for number in range(TIMES):
        with runs.watch(site, f"board/{site.assignment.pk}") as socket:
            began = time.perf_counter()
            answer = httpx.post(
                f"{site.address}/api/v1/runs/{run}/submissions", json={}, headers=site.headers(), timeout=60
            )
            answer.raise_for_status()
            runs.await_that(socket, lambda number=number: _count(site) > number)  # type: ignore[misc]
            ours.append(time.perf_counter() - began)
        bare.append(_bare(answer.json()["id"]))
    compared = "the two bare docker runs, predict and score"
    return _row("submit to the rank visible over WebSocket", compared, ours, bare)


def _count(site: Site) -> int:
    rows = runs.get(site, "courses/ml/assignments/bench/board")["rows"]
    return next((int(row["count"]) for row in rows if row["team"] == "maple"), 0)


def _trained(site: Site) -> str:
    """A run of the baseline that ended."""
    import shutil

    archive = shutil.make_archive(str(site.var / "baseline"), "zip", BASELINE)
    with Path(archive).open("rb") as code:
        answer = httpx.post(
            f"{site.address}/api/v1/courses/ml/assignments/bench/runs",
            data={"idempotency_key": "baseline"}, files={"code": code}, headers=site.headers(), timeout=60,
        )  # fmt: skip
    run = str(answer.raise_for_status().json()["id"])
    runs.await_end(site, run)
    return run


def _bare(submission_id: str) -> float:
    """The same two commands with the same inputs, by hand."""
    from courses.submissions import jobs
    from courses.submissions.models import Submission
    from runner import images

    submission = Submission.objects.get(pk=submission_id)
    image = images.tag("base")
    total = 0.0
    for make in (jobs.predict, jobs.score):
        with tempfile.TemporaryDirectory() as out:
            Path(out).chmod(0o777)
            total += containers.seconds(containers.of_job(make(submission), image, Path(out)))
    return total
