"""The class at work: two watch the board while a third pushes by the command line."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from .conftest import ROOT, Site

pytestmark = [pytest.mark.browser, pytest.mark.docker]
SCORE_MS_MAX = 120_000


def better(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "examples" / "digits" / "better", tmp_path / "better"))


def test_the_demo_leaves_a_scored_baseline(site: Site) -> None:
    rows = json.loads(site.cli("student", "board", "digits", "-j").stdout)["rows"]
    assert [(row["rank"], row["team"]) for row in rows] == [(1, "maple")]
    assert stat.S_IMODE((site.var / "demo.json").stat().st_mode) == 0o600


def test_rows_move_while_two_watch(site: Site, browser: Browser, tmp_path: Path) -> None:
    """The TA, alone in a team, pushes the better solution; the others' boards change with no reload."""
    watchers = [site.page(browser, "teammate"), site.page(browser, "teacher")]
    for page in watchers:
        page.goto("/c/ml/a/digits/board/")
        expect(page.locator("#link")).to_have_attribute("data-link", "up")
        page.evaluate("window.sameDocument = true")
        expect(page.locator("tbody tr[id]")).to_have_count(1)
    pushed = site.cli("ta", "run", "-d", "digits", "--submit", folder=better(tmp_path))
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert "rank 1" in pushed.stdout
    for page in watchers:
        expect(page.locator("tbody tr[id]")).to_have_count(2, timeout=SCORE_MS_MAX)
        expect(page.locator("tbody tr[id] th").first).to_contain_text("ta")
        expect(page.locator("#answer")).to_contain_text("ta leads with 0.98")
        assert page.evaluate("window.sameDocument"), "the page was not loaded again"
        # maple, which led, is second now and says so
        expect(page.locator("tbody tr[id] .rank").nth(1)).to_have_text("2")


def test_a_zip_dropped_on_the_page_is_scored(site: Site, browser: Browser, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "code"), "zip", ROOT / "examples" / "digits" / "better")
    page = site.page(browser, "student")
    page.goto("/c/ml/a/digits/")
    page.set_input_files("input[type=file]", archive)
    page.click("text=Push and run")
    page.wait_for_url("**/runs/**")
    expect(page.locator("#moving")).to_contain_text("scored", timeout=SCORE_MS_MAX)
    expect(page.locator("#lines")).to_contain_text("epoch")
    expect(page.locator("#charts canvas").first).to_be_visible()
    expect(page.locator("#checkpoints")).to_contain_text("best")


def test_a_list_and_a_home_move_by_themselves(site: Site, browser: Browser, tmp_path: Path) -> None:
    listed, home = site.page(browser, "teacher"), site.page(browser, "ta")
    listed.goto("/c/ml/runs/?all=1")
    home.goto("/c/ml/")
    for page in (listed, home):
        page.evaluate("window.sameDocument = true")
    pushed = site.cli("student", "run", "-d", "digits", "-n", "-j", folder=better(tmp_path))
    run = json.loads(pushed.stdout)
    for page in (listed, home):
        line = page.locator("#moving li", has_text=run["session"]).first
        expect(line).to_be_visible(timeout=30_000)
        expect(line.locator(".state").first).to_have_text("succeeded", timeout=SCORE_MS_MAX)
        assert page.evaluate("window.sameDocument"), "the page was not loaded again"


def test_an_outsider_sees_no_course(site: Site, browser: Browser) -> None:
    context = browser.new_context(base_url=site.address)
    page = context.new_page()
    page.goto("/c/ml/a/digits/board/")
    page.fill("[name=login]", "outsider")
    page.fill("[name=password]", site.cast["outsider"]["password"])
    page.click("main button")
    expect(page.locator("h1")).to_have_text("There is nothing here for you.")


def test_a_trial_shows_its_log_and_costs_nothing(site: Site, tmp_path: Path) -> None:
    tried = site.cli("student", "submit", "-t", "maple/digits/1", "best", "-j")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    answer = json.loads(tried.stdout)
    assert answer["state"] == "scored", answer
    rows = json.loads(site.cli("student", "board", "digits", "-j").stdout)["rows"]
    assert next(row for row in rows if row["team"] == "maple")["count"] <= 2
