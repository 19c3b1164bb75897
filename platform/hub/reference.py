"""The reference pages that are made from the code, so that they cannot fall behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml
from drf_spectacular.generators import SchemaGenerator

from courses.assignments.bundle import SCHEMA

EXAMPLE = "examples/digits/assignment.yaml"


def pages(root: Path) -> dict[str, str]:
    """Path under docs/reference → content."""
    return {
        "assignment.schema.json": json.dumps(SCHEMA, indent=2, default=str) + "\n",
        "assignment.md": _assignment(root),
        "cli.md": _cli(),
        "openapi.yaml": yaml.safe_dump(_plain(_openapi()), sort_keys=True),
    }


CLI_HEAD = """# The command

`seodang`, or `nsml`. Every verb has `-j` (JSON on standard output) and `-C COURSE`. A session is `TEAM/ASSIGNMENT/N`, or a run's
id. Exit codes: 0 done, 1 the run failed or the request was refused, 2 usage, 3 network. An error says what happened and, after
`Next:`, what to do; with `-j` it is an object `error` with `code`, `message` and `next`. Ctrl-C leaves a run going and says how to come
back.

`login` keeps the address and the token in `~/.config/seodang`; `SEODANG_ADDRESS`, `SEODANG_TOKEN` and `SEODANG_COURSE` go before it. A
folder remembers its course and assignment in `.seodang`, so that later `seodang run` is enough. What `.gitignore` and `.nsmlignore`
name is not uploaded.

| verb | what it does |
| --- | --- |"""


def _cli() -> str:
    from seodang.cli import cli  # the client's own package, which a server need not have installed

    return "\n".join([CLI_HEAD, *_verbs(cli, "seodang"), ""])


def _verbs(group: click.Group, before: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        words = f"{before} {name}"
        if isinstance(command, click.Group):
            yield from _verbs(command, words)
        else:
            parts = [words, *filter(None, map(_word, command.params))]
            yield f"| `{' '.join(parts)}` | {' '.join((command.help or '').split())} |"


def _word(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        if parameter.name in {"as_json", "course"}:
            return ""
        name = parameter.opts[0]
        value = "" if parameter.is_flag else f" {(parameter.metavar or parameter.opts[-1].strip('-')).upper()}"
        return f"[{name}{value}]"
    shown = (parameter.metavar or parameter.name or "").upper() + ("…" if parameter.nargs == -1 else "")
    return shown if parameter.required else f"[{shown}]"


def _openapi() -> object:
    generator: Any = SchemaGenerator
    return generator().get_schema(public=True)


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=str))


def _keys(schema: dict[str, object], prefix: str = "") -> Iterator[tuple[str, dict[str, object], bool]]:
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    assert isinstance(properties, dict) and isinstance(required, list)
    for name, inner in properties.items():
        yield f"{prefix}{name}", inner, name in required
        if inner.get("type") == "object" and "properties" in inner:
            yield from _keys(inner, f"{prefix}{name}.")
        if inner.get("type") == "array" and "properties" in inner.get("items", {}):
            yield from _keys(inner["items"], f"{prefix}{name}[].")


def _assignment(root: Path) -> str:
    lines = [
        "# assignment.yaml",
        "",
        "Checked against [the schema](assignment.schema.json). Every fault is named with its line, all at once.",
        "",
        "| key | must be there | what it takes |",
        "| --- | --- | --- |",
    ]
    for name, inner, required in _keys(SCHEMA):
        lines.append(f"| `{name}` | {'yes' if required else ''} | {_takes(inner)} |")
    example = (root / EXAMPLE).read_text().rstrip()
    return "\n".join([*lines, "", f"`{EXAMPLE}`:", "", "```yaml", example, "```", ""])


def _takes(inner: dict[str, object]) -> str:
    if "const" in inner:
        return f"`{inner['const']}`"
    if "enum" in inner:
        values = inner["enum"]
        assert isinstance(values, list)
        return ", ".join(f"`{one}`" for one in values)
    if "oneOf" in inner:
        return "text, or text by language: `{en: …, ko: …}`"
    words = str(inner.get("type", "a time with its offset"))
    return f"{words} like `{inner['pattern']}`".replace("|", "\\|") if "pattern" in inner else words
