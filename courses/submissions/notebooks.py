"""Notebooks as pushes: a run has no kernel and no browser, so a notebook runs as the script that its cells are."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import jupytext

from runner.sentences import Said, tell

SUFFIX = ".ipynb"
ALONE = f"notebook{SUFFIX}"  # the name of one that comes without a folder
NOTEBOOK_BYTES_MAX = 20 << 20


class BadNotebook(Said):
    """It cannot be run; the message is for the person who pushed it."""


def is_notebook(upload: Path) -> bool:
    """Whether a push is a notebook by itself and not an archive: a notebook is a JSON object."""
    with upload.open("rb") as source:
        return source.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def as_script(entry: str, folder: Path) -> str:
    """The entry with each notebook's name in it replaced by its script's, which is written beside the notebook.

    Raises BadNotebook.
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
        raise BadNotebook(
            tell(
                "{notebook} is run as {script}, and there is one already. Rename one of them.",
                notebook=path.name,
                script=script.name,
            )
        )
    script.write_text(to_script(path.read_bytes(), path.name), "utf-8")
    return script


def to_script(content: bytes, name: str) -> str:
    """Its code cells in order; IPython's magics and shell lines become comments. Raises BadNotebook."""
    if len(content) > NOTEBOOK_BYTES_MAX:
        raise BadNotebook(
            tell(
                "{notebook} is larger than {most} MiB. Clear its outputs.", notebook=name, most=NOTEBOOK_BYTES_MAX >> 20
            )
        )
    try:
        cells = json.loads(content.removeprefix(b"\xef\xbb\xbf"))["cells"]
        codes = [_source(cell) for cell in cells if cell["cell_type"] == "code"]
        "".join(codes).encode()  # half of a surrogate pair is no text
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadNotebook(tell("{notebook} is no notebook that can be read. Save it again.", notebook=name)) from None
    # What jupytext reads is made anew: the rest of the file is anybody's, and its parser has no bound on what it raises.
    clean: list[dict[str, Any]] = [{"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None}
             for code in codes]  # fmt: skip
    header = {"jupytext": {"notebook_metadata_filter": "-all"}}  # none of jupytext's own
    whole = {"cells": clean, "metadata": header, "nbformat": 4, "nbformat_minor": 4}
    script: str = jupytext.writes(jupytext.reads(json.dumps(whole), fmt="ipynb"), fmt="py:light")
    return script


def _source(cell: Any) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
