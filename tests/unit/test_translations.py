"""Every sentence is in Korean, and the compiled catalogue is the one that the text says."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "locale/ko/LC_MESSAGES/django.po"
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "pgettext", "tell"}
IN_TEMPLATE = re.compile(r"""\b(_|gettext|ngettext|pgettext)\(\s*u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[srd]|\{\w*(?::[^}]*)?\}")
HOW = "run: manage.py makemessages -l ko --no-wrap --no-location; translate; manage.py compilemessages -l ko"


def entries() -> list[dict[str, str]]:
    """The .po's entries by keyword, and their comments."""
    found = []
    for block in PO.read_text().split("\n\n"):
        entry: dict[str, str] = {"#": ""}
        at = "#"
        for line in block.strip().splitlines():
            if line.startswith("#"):
                entry["#"] += line
                continue
            keyword, _, rest = line.partition(" ") if not line.startswith('"') else (at, "", line)
            at = keyword
            entry[at] = entry.get(at, "") + ast.literal_eval(rest)
        found.append(entry)
    return found


def said(entry: dict[str, str]) -> str:
    return entry.get("msgstr", entry.get("msgstr[0]", ""))


def in_templates() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "templates").rglob("*.html"):
        for _name, literal in IN_TEMPLATE.findall(templatize(path.read_text())):
            yield ast.literal_eval(literal), path.name


def in_code() -> Iterator[tuple[str, str]]:
    for room in ("courses", "runner", "platform"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                first = node.args[1 if name == "pgettext" else 0] if name in CALLS and node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("source", [in_templates, in_code])
def test_each_sentence_is_in_the_catalogue(source: object) -> None:
    known = {entry["msgid"] for entry in entries()}
    asked = list(source())  # type: ignore[operator]
    assert len(asked) > 50, "the sentences are found at all"
    assert not [one for one in asked if one[0] not in known], HOW


def test_none_is_missing_or_guessed() -> None:
    assert not [entry["msgid"] for entry in entries() if not said(entry)], HOW
    assert not [entry["msgid"] for entry in entries() if "fuzzy" in entry["#"] or "#~" in entry["#"]], HOW


def test_placeholders_are_the_same() -> None:
    for entry in entries()[1:]:
        asked = sorted(PLACEHOLDER.findall(entry.get("msgid_plural", entry["msgid"])))
        assert sorted(PLACEHOLDER.findall(said(entry))) == asked, entry["msgid"]


def test_the_compiled_catalogue_is_this_one() -> None:
    with PO.with_suffix(".mo").open("rb") as source:
        compiled = gettext.GNUTranslations(source)._catalog  # type: ignore[attr-defined]
    written = {}
    for entry in entries()[1:]:
        key = f"{entry['msgctxt']}\x04{entry['msgid']}" if "msgctxt" in entry else entry["msgid"]
        written[(key, 0) if "msgid_plural" in entry else key] = said(entry)
    del compiled[""]
    assert compiled == written, HOW
