"""What changed between two pushes. Snapshots are named by their content, so a count is made once and kept."""

from __future__ import annotations

import difflib
import tarfile
from functools import lru_cache

from hub.web.shown import SHOWN_BYTES_MAX
from runner import blobs

COUNTED_BYTES_MAX = 1 << 20  # of both pushes together, of the files that differ
KEPT_MAX = 512  # pairs


def _files(sha256: str) -> dict[str, bytes]:
    """Each pushed file's beginning."""
    with blobs.open_blob(sha256) as source, tarfile.open(fileobj=source, mode="r:") as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        return {member.name: tar.extractfile(member).read(SHOWN_BYTES_MAX) for member in members}  # type: ignore[union-attr]


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines()


def _differing(old: str, new: str) -> list[tuple[str, bytes, bytes]]:
    before, after = _files(old), _files(new)
    both = [(path, before.get(path, b""), after.get(path, b"")) for path in sorted(before.keys() | after.keys())]
    return [one for one in both if one[1] != one[2]]


@lru_cache(KEPT_MAX)
def counted(old: str, new: str) -> dict[str, tuple[int, int]] | None:
    """Lines added and taken out, by file; None where it is too much to count while somebody waits for a page."""
    if old == new:
        return {}
    differing = _differing(old, new)
    if sum(len(before) + len(after) for _path, before, after in differing) > COUNTED_BYTES_MAX:
        return None
    found = {}
    for path, before, after in differing:
        lines = list(difflib.unified_diff(_lines(before), _lines(after), lineterm="", n=0))[2:]
        changed = [line[:1] for line in lines]
        found[path] = (changed.count("+"), changed.count("-"))
    return found


def shown(old: str, new: str) -> list[tuple[str, list[str]]]:
    """Each file that differs, with the lines of its diff."""
    return [
        (path, list(difflib.unified_diff(_lines(before), _lines(after), lineterm="", n=3))[2:])
        for path, before, after in _differing(old, new)
    ]
