"""The docs are in step with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from bench import table
from hub.reference import pages
from seodang.cli import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_each_setting_is_documented() -> None:
    source = (ROOT / "platform" / "hub" / "settings.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (DOCS / "reference" / "settings.md").read_text(), re.MULTILINE))
    assert names == documented


def verbs(group: click.Group, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        found |= verbs(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {f"{prefix}{name}"}
    return found


def test_each_verb_is_documented() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    assert isinstance(cli, click.Group)
    missing = [verb for verb in verbs(cli) if f"`seodang {verb}" not in text]
    assert not missing


@pytest.mark.django_db
def test_the_made_pages_are_fresh() -> None:
    stale = [name for name, content in pages(ROOT).items() if (DOCS / "reference" / name).read_text() != content]
    assert not stale, "run: .venv/bin/python manage.py reference"


def test_each_requirement_has_its_reason() -> None:
    text = (DOCS / "dependencies.md").read_text().lower()
    for file in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / file).read_text().splitlines():
            name = line.split("==")[0].lower()
            if name.startswith("types-") or name == "django":
                continue
            assert name.split("[")[0] in text, name


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_each_how_to_is_found_from_a_tutorial() -> None:
    told = "".join(page.read_text() for page in (DOCS / "tutorials").glob("*.md"))
    lost = [page.name for page in (DOCS / "how-to").glob("*.md") if f"(../how-to/{page.name})" not in told]
    assert not lost


def test_the_scripts_that_the_how_tos_name_are_there() -> None:
    for page in (DOCS / "how-to").glob("*.md"):
        for path in re.findall(r"`(examples/[\w./-]+)`", page.read_text()):
            assert (ROOT / path).exists(), (page.name, path)


def test_readme_quotes_the_figures_as_they_were_measured() -> None:
    results = json.loads((ROOT / "bench" / "results.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert table.quote(results) in readme
    assert table.quoted(readme, results) == readme
