"""A notebook among pushed code: the script that is run for it, beside it. Pure but for the folder it writes to."""

from __future__ import annotations

import json
import shlex
from pathlib import Path, PurePosixPath
from typing import Any

import jupytext

from runner.sentences import Said, tell

NOTEBOOK_BYTES_MAX = 20 << 20
SUFFIX = ".ipynb"


class BadNotebook(Said):
    """It cannot be run; the message is for the person who pushed it."""


def script_of(entry: str) -> str:
    """The entry with a notebook's name replaced by its script's: ``'my notes.ipynb'`` is run as ``my notes.py``."""
    words = shlex.split(entry)
    return shlex.join(_script(word) if word.endswith(SUFFIX) else word for word in words)


def write_scripts(entry: str, folder: Path) -> list[str]:
    """Write the script of each notebook that the entry names; return their names. Raises BadNotebook."""
    made = []
    for word in shlex.split(entry):
        source, script = folder / word, folder / _script(word)
        if not word.endswith(SUFFIX) or not source.is_file():
            continue
        if script.exists():
            raise BadNotebook(
                tell("{notebook} is run as {script}, and there is one already. Rename one of them.",
                     notebook=word, script=_script(word))
            )  # fmt: skip
        script.write_text(to_script(source.read_bytes(), word))
        made.append(_script(word))
    return made


def to_script(content: bytes, name: str) -> str:
    """Its code cells in order, magics and shell lines as comments. Raises BadNotebook."""
    if len(content) > NOTEBOOK_BYTES_MAX:
        raise BadNotebook(
            tell(
                "{notebook} is larger than {most} MiB. Clear its outputs.", notebook=name, most=NOTEBOOK_BYTES_MAX >> 20
            )
        )
    try:
        cells = json.loads(content)["cells"]
        codes = [_source(cell) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadNotebook(tell("{notebook} is no notebook that can be read. Save it again.", notebook=name)) from None
    clean: list[dict[str, Any]] = [{"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None}
             for code in codes]  # fmt: skip
    header = {"jupytext": {"notebook_metadata_filter": "-all"}}  # none of jupytext's own
    notebook = jupytext.reads(
        json.dumps({"cells": clean, "metadata": header, "nbformat": 4, "nbformat_minor": 4}), fmt="ipynb"
    )
    script: str = jupytext.writes(notebook, fmt="py:light")
    return script


def _source(cell: Any) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _script(name: str) -> str:
    return PurePosixPath(name).with_suffix(".py").as_posix() if name.endswith(SUFFIX) else name
