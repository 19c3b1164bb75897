"""A run's pushed code, as it was kept: its names, and by which of the two contracts it predicts."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from courses.submissions.models import Run
from runner import blobs

PREDICT = "predict.py"
# What code that predicts as NSML asks cannot do without: the call that does it, or the file's place, to do it itself.
_NSML = re.compile(rb"\bpaused\s*\(|\bSEODANG_PREDICTIONS\b")


def files(run: Run) -> list[tuple[str, int]]:
    """(path, bytes) of the pushed files."""
    with blobs.open_blob(run.code_sha256) as source, tarfile.open(fileobj=source, mode="r:") as tar:
        return [(member.name, member.size) for member in tar.getmembers()]


def has_predict(run: Run) -> bool:
    """Whether predict.py is at the top; else the run's own command is asked to predict, as NSML did."""
    return any(name == PREDICT for name, _size in files(run))


def can_predict(sources: Iterable[tuple[str, bytes]]) -> bool:
    """A static look at code, as (path, content): predict.py is there, or a file that may do what NSML asks. Pure."""
    return any(name == PREDICT or (name.endswith(".py") and _NSML.search(content)) for name, content in sources)


def in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each Python file."""
    for path in folder.rglob("*.py"):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def of_run(run: Run) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each Python file."""
    with blobs.open_blob(run.code_sha256) as source, tarfile.open(fileobj=source, mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name.endswith(".py") else None
            if content is not None:
                yield member.name, content.read()
