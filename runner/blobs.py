"""Content-addressed storage under ``var/blobs``: a temporary name, fsync, rename. A tree is an unpacked tar, cached."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, BinaryIO

from django.conf import settings


def path(sha256: str) -> Path:
    """Where the blob is. Raises ValueError when it is no SHA-256."""
    if len(sha256) != 64 or not all(letter in "0123456789abcdef" for letter in sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return Path(settings.BLOBS) / sha256[:2] / sha256


def put(source: IO[bytes]) -> str:
    """Store a stream, return its SHA-256."""
    folder = Path(settings.BLOBS) / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as sink:
            while block := source.read(1 << 20):
                digest.update(block)
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
        final = path(digest.hexdigest())
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(name, final)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def put_bytes(content: bytes) -> str:
    import io

    return put(io.BytesIO(content))


def put_file(source: Path) -> str:
    with source.open("rb") as stream:
        return put(stream)


def open_blob(sha256: str) -> BinaryIO:
    return path(sha256).open("rb")


def tree(sha256: str) -> Path:
    """The blob, a tar of ours, as a folder that containers read. Made once; a rename decides a race."""
    target = Path(settings.VAR) / "trees" / sha256
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
    with open_blob(sha256) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        tar.extractall(fresh, filter="data")
    for folder, _folders, files in os.walk(fresh):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(Path(folder) / name, 0o644)
    try:
        fresh.rename(target)
    except OSError:  # another process made it first
        shutil.rmtree(fresh)
    return target
