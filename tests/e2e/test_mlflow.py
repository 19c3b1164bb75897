"""The real MLflow UI: for staff, for reading, with what the runs logged, one course at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import httpx
import pytest
from playwright.sync_api import Browser, expect

from .conftest import ROOT, Site

pytestmark = [pytest.mark.browser, pytest.mark.docker]
START_SECONDS_MAX = 120
OTHER_COURSE = """
from courses.roster.models import User
from courses.roster.services import create_course
create_course(User.objects.get(username="outsider"), "nlp", "Language", "Fall")
"""
COUNT = """
from hub.tracking.models import MetricPoint
print("points", MetricPoint.objects.count())
"""


def shell(site: Site, script: str) -> str:
    environment = {**os.environ, "SEODANG_VAR": str(site.var)}
    words = [sys.executable, "manage.py", "shell", "-c", script]
    return subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def client(site: Site, browser: Browser, person: str) -> httpx.Client:
    cookies = site.page(browser, person).context.cookies()
    session = next(one["value"] for one in cookies if one["name"] == "sessionid")
    return httpx.Client(base_url=site.mlflow, cookies={"sessionid": session}, timeout=30)


def await_ui(own: httpx.Client) -> None:
    """MLflow starts off the critical path; the door says so meanwhile."""
    end = time.monotonic() + START_SECONDS_MAX
    while own.get("/ml/version").status_code != 200:
        assert time.monotonic() < end, own.get("/ml/").text
        time.sleep(0.5)


def search(own: httpx.Client, course: str = "ml", headers: dict[str, str] | None = None) -> httpx.Response:
    call = f"/{course}/ajax-api/2.0/mlflow/experiments/search"
    return own.post(call, json={"max_results": 100}, headers=headers or {})


def test_staff_find_every_run_with_equal_counts(site: Site, browser: Browser) -> None:
    own = client(site, browser, "teacher")
    await_ui(own)
    end = time.monotonic() + START_SECONDS_MAX
    while True:  # the mirror follows the runs
        found = {one["name"]: one["experiment_id"] for one in search(own).json().get("experiments", [])}
        if "ml/digits" in found:
            call = "/ml/ajax-api/2.0/mlflow/runs/search"
            runs = own.post(call, json={"experiment_ids": [found["ml/digits"]], "max_results": 100}).json()["runs"]
            counted = sum(count(own, run) for run in runs)
            if f"points {counted}\n" in shell(site, COUNT) and counted:
                break
        assert time.monotonic() < end, found
        time.sleep(0.5)
    assert "maple/digits/1" in {run["info"]["run_name"] for run in runs}
    page = site.page(browser, "teacher")
    page.goto(f"{site.mlflow}/ml/#/experiments/{found['ml/digits']}/runs")
    expect(page.get_by_text("maple/digits/1").first).to_be_visible(timeout=60_000)


def count(own: httpx.Client, run: dict[str, object]) -> int:
    """Points of the run in MLflow, without the official scores."""
    data = run["data"]
    assert isinstance(data, dict)
    total = 0
    for metric in data.get("metrics", []):
        if not metric["key"].startswith("official/"):
            history = own.get(
                "/ml/ajax-api/2.0/mlflow/metrics/get-history",
                params={"run_id": run["info"]["run_id"], "metric_key": metric["key"]},  # type: ignore[index]
            )
            total += len(history.json()["metrics"])
    return total


def test_it_is_for_the_courses_staff_alone(site: Site, browser: Browser) -> None:
    await_ui(client(site, browser, "teacher"))
    assert search(client(site, browser, "student")).status_code == 404
    assert httpx.get(f"{site.mlflow}/ml/").status_code == 404
    shell(site, OTHER_COURSE)
    other = client(site, browser, "outsider")
    assert search(other).status_code == 404
    assert {one["name"] for one in search(other, "nlp").json().get("experiments", [])} <= {"Default"}
    seen = search(other, "nlp", {"X-MLFLOW-WORKSPACE": "course-1"}).json().get("experiments", [])
    assert {one["name"] for one in seen} <= {"Default"}, "the door names the workspace, not the browser"


def test_it_is_for_reading(site: Site, browser: Browser) -> None:
    own = client(site, browser, "teacher")
    await_ui(own)
    assert own.post("/ml/ajax-api/2.0/mlflow/experiments/create", json={"name": "x"}).status_code == 403
    page = own.get("/ml/")
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert re.search(r"static-files/static/js/main\.", page.text)
