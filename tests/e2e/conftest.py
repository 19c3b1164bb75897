"""The whole product, started as a newcomer would start it, in folders and on a port of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@dataclass
class Site:
    address: str
    var: Path
    cast: dict[str, Any]
    mlflow: str  # address of its door

    def cli(self, person: str, *words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """The command line program, as that person."""
        environment = {
            **os.environ,
            "SEODANG_ADDRESS": self.address,
            "SEODANG_TOKEN": self.cast[person]["token"],
            "SEODANG_COURSE": "ml",
            "NO_COLOR": "1",
        }
        program = Path(sys.executable).parent / "seodang"
        return subprocess.run(
            [str(program), *words],
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )

    def page(self, browser: Browser, person: str, **options: Any) -> Page:
        """A browser in which that person has logged in."""
        page = browser.new_context(base_url=self.address, **options).new_page()
        page.goto("/accounts/login/")
        page.fill("[name=login]", person)
        page.fill("[name=password]", self.cast[person]["password"])
        page.click("main button")
        page.wait_for_url("**/c/**")
        return page


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    var = tmp_path_factory.mktemp("site")
    port, door = free_ports()
    environment = {
        **os.environ,
        "SEODANG_VAR": str(var),
        "SEODANG_PORT": str(port),
        "SEODANG_MLFLOW_PORT": str(door),
    }
    environment.pop("DATABASE_URL", None)
    demo = [sys.executable, str(ROOT / "deploy" / "demo.py")]
    started = subprocess.run([*demo, "--detach"], env=environment, text=True, capture_output=True, check=False)
    try:
        assert started.returncode == 0, started.stdout[-3000:] + started.stderr[-3000:]
        yield Site(
            f"http://127.0.0.1:{port}", var, json.loads((var / "demo.json").read_text()), f"http://127.0.0.1:{door}"
        )
    finally:
        subprocess.run([*demo, "--stop"], env=environment, check=False, capture_output=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )
        yield made
        made.close()


@pytest.fixture(autouse=True)
def closed_pages(browser: Browser) -> Iterator[None]:
    """A board that stays open keeps drawing: with every test's pages open, the last tests get little of the CPU."""
    yield
    for context in browser.contexts:
        context.close()
