"""Notebooks as pushes: a run has no kernel and no browser, so a notebook runs as the script that its cells are."""

from __future__ import annotations

import shlex
from pathlib import Path

import jupytext

from runner.sentences import Said, tell

SUFFIX = ".ipynb"
ALONE = f"notebook{SUFFIX}"  # the name of one that comes without a folder


class BadNotebook(Said):
    """The file is no notebook, or its script would overwrite another file."""


def is_notebook(upload: Path) -> bool:
    """Whether a push is a notebook by itself and not an archive: a notebook is a JSON object."""
    with upload.open("rb") as source:
        return source.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def as_script(entry: str, folder: Path) -> str:
    """The entry with each notebook's name in it replaced by its script's, which is written beside the notebook.

    Cells in the order in which they stand; IPython's magics and shell lines become comments. Raises BadNotebook.
    """
    words = shlex.split(entry)
    for index, word in enumerate(words):
        path = folder / word
        if word.endswith(SUFFIX) and path.resolve().is_relative_to(folder.resolve()) and path.is_file():
            words[index] = _write_script(path).relative_to(folder).as_posix()
    return shlex.join(words) if words != shlex.split(entry) else entry


def _write_script(path: Path) -> Path:
    script = path.with_suffix(".py")
    if script.exists():
        raise BadNotebook(tell("{script} is in the folder already; {name} would become it.",
                               script=script.name, name=path.name))  # fmt: skip
    try:
        notebook = jupytext.reads(path.read_text("utf-8"), fmt="ipynb")
        script.write_text(jupytext.writes(notebook, fmt="py:percent"), "utf-8")
    except Exception as error:  # the file is anybody's: what its parser raises for one that is broken has no bound
        raise BadNotebook(tell("{name} is no notebook that can be read: {error}.",
                               name=path.name, error=type(error).__name__)) from error  # fmt: skip
    return script
