"""Data sets: an assignment's training data, its licence, its board."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from seodang import _pack, _text
from seodang._command import Context, cli, tell_files, verb
from seodang._errors import Refused, Usage
from seodang.verbs.scores import assignment_push, show_board


@cli.group()
def dataset() -> None:
    """Data sets; an assignment is one."""


dataset.add_command(assignment_push, "push")


@verb(cli, "start")
@click.argument("assignment")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False), required=False)
def start(c: Context, assignment: str, path: Path | None) -> None:
    """Write what ASSIGNMENT begins with, its task, baseline, sample and training data, into an empty folder."""
    path = path or Path(assignment)
    if path.exists() and any(path.iterdir()):
        raise Usage(f"{path} is not empty", next="Name a folder that is empty or not there yet")
    names: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for save, place in ((c.api.save_starter, path), (c.api.save_training_data, path / "data" / "train")):
            archive = Path(folder) / "part.tar"
            save(c.course, assignment, archive)
            with archive.open("rb") as file:
                names += [str((place / name).relative_to(path)) for name in _pack.untar(file, place)]
    tell_files(c, assignment, path, names)
    if not c.as_json:
        c.say(_text.safe(f"Next: cd {path}/baseline; seodang run -d {assignment} --submit"))


@verb(dataset, "ls")
def dataset_ls(c: Context) -> None:
    """List those that are open to you."""
    _show(c, c.api.datasets(c.course))


@verb(dataset, "search")
@click.argument("word")
def dataset_search(c: Context, word: str) -> None:
    """List those whose name, title, licence or source has WORD."""
    _show(c, c.api.datasets(c.course, word))


@verb(dataset, "pull")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False))
def dataset_pull(c: Context, name: str, path: Path) -> None:
    """Write its training split into an empty folder PATH, with its licence beside it."""
    found = next((one for one in c.api.datasets(c.course) if one["name"] == name), None)
    if found is None:
        raise Refused(f"There is no data set {name} for you", next="seodang dataset ls", code="no_such_dataset")
    if path.exists() and any(path.iterdir()):
        raise Usage(f"{path} is not empty", next="Name a folder that is empty or not there yet")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "train.tar"
        c.api.save_training_data(c.course, name, archive)
        with archive.open("rb") as file:
            names = _pack.untar(file, path)
    c.say(_text.safe(f"Licence: {found['license']}  Source: {found['source'] or 'not named'}"))
    tell_files(c, name, path, names)


@verb(dataset, "board")
@click.argument("name")
def dataset_board(c: Context, name: str) -> None:
    """Its leaderboard."""
    show_board(c, name)


def _show(c: Context, found: list[dict[str, Any]]) -> None:
    c.answer(found)
    if not c.as_json:
        rows = [(one["name"], one["title"], one["version"], _text.size(one["train_bytes"]), one["license"],
                 one["source"]) for one in found]  # fmt: skip
        _text.table(
            ("NAME", "TITLE", "VERSION", "SIZE", "LICENCE", "SOURCE"),
            rows,
            right=("VERSION", "SIZE"),
            empty="None is open to you.",
        )
