"""Every page by axe, by keyboard, on a phone, on paper, in Korean, and without a script."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from .conftest import ROOT, Site

pytestmark = [pytest.mark.browser, pytest.mark.docker]
EVERYONES = (
    "/c/ml/",
    "/c/ml/runs/",
    "/c/ml/a/digits/",
    "/c/ml/a/digits/board/",
    "/c/ml/a/diabetes/board/",  # empty
    "/runs/{run}/",
    "/runs/{run}/diff/{run}/",
    "/settings/tokens/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/totp/activate/",
    "/accounts/logout/",
    "/c/nowhere/",
)
PAGES = {"student": (*EVERYONES, "/c/ml/team/"), "teacher": (*EVERYONES, "/c/ml/people/", "/c/ml/gpus/")}
STRANGERS = ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/")
PHONE = {"width": 390, "height": 844}
TABS_MAX = 60


@pytest.fixture(scope="module")
def run(site: Site) -> str:
    """The run that the demo left scored."""
    return str(json.loads(site.cli("student", "ps", "-a", "-j").stdout)[0]["id"])


def visits(page: Page, paths: tuple[str, ...], run: str) -> Iterator[str]:
    for path in paths:
        page.goto(path.format(run=run))
        yield path


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("person", ["student", "teacher"])
def test_no_page_has_a_violation(site: Site, browser: Browser, run: str, person: str, scheme: str) -> None:
    page = site.page(browser, person, color_scheme=scheme)
    assert {path: bad for path in visits(page, PAGES[person], run) if (bad := violations(page))} == {}
    stranger = browser.new_context(base_url=site.address, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    assert {path: bad for path in visits(stranger, STRANGERS, run) if (bad := violations(stranger))} == {}


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("person", ["student", "teacher"])
def test_no_page_scrolls_sideways_on_a_phone(
    site: Site, browser: Browser, run: str, person: str, language: str
) -> None:
    page = site.page(browser, person, viewport=PHONE, locale=language)
    wide = {path: page.evaluate("document.documentElement.scrollWidth") for path in visits(page, PAGES[person], run)}
    assert {path: width for path, width in wide.items() if width > PHONE["width"]} == {}


def stops(page: Page) -> list[dict[str, Any]]:
    """What Tab reaches, in its order, and whether one sees it."""
    found: list[dict[str, Any]] = []
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => { const at = document.activeElement, style = getComputedStyle(at);
            return { name: at.innerText?.trim() || at.getAttribute('aria-label') || at.name || at.id, tag: at.tagName,
                     seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
                           || style.boxShadow !== 'none' }; }"""
        )
        if at["tag"] == "BODY":
            break
        found.append(at)
    return found


@pytest.mark.parametrize(
    ("path", "actions"),
    [
        ("/c/ml/", ["Skip to content", "Home", "Board", "New run"]),
        ("/c/ml/a/digits/", ["code", "args", "memo", "submit", "Push and run"]),
        ("/c/ml/a/digits/board/", ["Skip to content", "Board", "New run"]),
        ("/runs/{run}/", ["Fork", "Checkpoints 1", "Try free"]),
    ],
)
def test_the_keyboard_reaches_the_main_actions_in_order(
    site: Site, browser: Browser, run: str, path: str, actions: list[str]
) -> None:
    page = site.page(browser, "student")
    page.goto(path.format(run=run))
    reached = stops(page)
    names = [one["name"] for one in reached]
    places = [names.index(action) for action in actions if action in names]
    assert len(places) == len(actions), names
    assert places == sorted(places)
    assert [one["name"] for one in reached if not one["seen"]] == []


def test_the_account_menu_opens_by_keyboard(site: Site, browser: Browser) -> None:
    page = site.page(browser, "student")
    menu = page.locator("details.menu")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.get_by_text("Two-step login")).to_be_visible()


def test_a_board_prints_without_its_navigation(site: Site, browser: Browser) -> None:
    page = site.page(browser, "student")
    page.goto("/c/ml/a/digits/board/")
    page.emulate_media(media="print")
    expect(page.locator(".appbar")).to_be_hidden()
    expect(page.locator("tbody .btn").first).to_be_hidden()
    expect(page.locator("tbody tr[id] th").first).to_be_visible()
    expect(page.locator("tbody tr[id] .official").first).to_contain_text(re.compile(r"0\.\d{4}"))


def test_the_switch_changes_the_language_and_keeps_the_page(site: Site, browser: Browser) -> None:
    page = site.page(browser, "student", locale="en")
    page.goto("/c/ml/a/digits/board/")
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("h1")).to_have_text("손글씨 숫자")
    expect(page.locator("#link")).to_have_text("실시간")
    expect(page.locator("tbody tr[id] time").first).to_contain_text("전")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Handwritten digits")


def test_pages_work_without_a_script(site: Site, browser: Browser, run: str, tmp_path: Path) -> None:
    page = site.page(browser, "student", java_script_enabled=False)
    page.goto("/c/ml/a/digits/board/")
    expect(page.locator("tbody").last).to_contain_text("maple")
    page.goto(f"/runs/{run}/")
    expect(page.locator("#lines")).to_contain_text("epoch")
    expect(page.locator("#charts")).to_contain_text("valid/acc")
    archive = shutil.make_archive(str(tmp_path / "code"), "zip", ROOT / "examples" / "digits" / "baseline")
    page.goto("/c/ml/a/digits/")
    page.set_input_files("input[type=file]", archive)
    page.uncheck("input[name=submit]")
    page.click("text=Push and run")
    page.wait_for_url("**/runs/**")
    expect(page.locator("h1")).to_contain_text("maple/digits/")
