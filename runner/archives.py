"""Unpacking what people upload. Refuses absolute paths, ``..``, links, devices, duplicate names and bombs. Pure."""

from __future__ import annotations

import errno
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from runner.sentences import Said, tell

METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
DEPTH_MAX = 12  # folders in folders that are packed
NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
UTF8_FLAG = 0x800  # of a zip's entry: its name is UTF-8


class ArchiveError(Said):
    """The archive is refused; the message is for the person who made it."""


# All that zipfile raises on a file that is no zip, is cut short, encrypted, or made by hand to be so.
READ_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, EOFError, RuntimeError,
               OSError, ValueError, OverflowError)  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    files: int = 5_000
    total_bytes: int = 500 << 20
    file_bytes: int = 500 << 20


def safe_name(name: str) -> PurePosixPath:
    """The name as a relative path. Raises ArchiveError."""
    if "\\" in name or "\0" in name or any(ord(letter) < 32 for letter in name):
        raise ArchiveError(tell("The name {name} has a backslash or a control character. Rename it.", name=repr(name)))
    if any(0xD800 <= ord(letter) < 0xE000 for letter in name):  # what stands for a byte that is no UTF-8
        raise ArchiveError(tell("The name {name} is not UTF-8. Rename it.", name=ascii(name)))
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or len(name) > 400 or not path.parts:
        raise ArchiveError(
            tell("The name {name} leaves the folder or is too long. Use plain relative names.", name=repr(name))
        )
    return path


def entry_name(entry: zipfile.ZipInfo) -> str:
    """The entry's name. A zip that does not say so may still hold UTF-8 (macOS makes such). Raises ArchiveError."""
    if entry.flag_bits & UTF8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        raise ArchiveError("A file name is not UTF-8. Rename it, or zip with a tool that writes UTF-8 names.") from None


def unzip(archive: Path, target: Path, bounds: Bounds | None = None) -> list[tuple[str, int]]:
    """Unpack a zip into the new folder ``target``; the (name, bytes) of its files. Raises ArchiveError."""
    limit = bounds or Bounds()
    try:
        with zipfile.ZipFile(archive) as bundle:
            entries = [(entry_name(entry), entry) for entry in bundle.infolist() if not entry.is_dir()]
            _check(entries, limit)
            written: list[tuple[str, int]] = []
            room = limit.total_bytes
            for name, entry in entries:
                path = target / safe_name(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(entry) as source:
                    size = _copy_bounded(source, path, min(room, limit.file_bytes), name)
                room -= size
                written.append((name, size))
            return sorted(written)
    except READ_ERRORS as error:
        why = getattr(error, "strerror", None) or error  # an OSError's own words name a path of this server
        raise ArchiveError(tell("This is not a readable zip ({error}). Zip the folder again.", error=why)) from error


def _check(entries: Iterable[tuple[str, zipfile.ZipInfo]], limit: Bounds) -> None:
    seen: set[str] = set()
    total = 0
    for given, entry in entries:
        name = str(safe_name(given))
        mode = entry.external_attr >> 16
        if mode and not (stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0):
            raise ArchiveError(tell("{name} is a link or a device. Put the file itself in.", name=name))
        if entry.compress_type not in METHODS:  # zipfile unpacks a whole bz2 or LZMA entry before it can be measured
            raise ArchiveError(tell("{name} is packed by a method that is not taken. Zip with deflate.", name=name))
        if name in seen:
            raise ArchiveError(tell("{name} is in the archive twice.", name=name))
        seen.add(name)
        total += entry.file_size
    if len(seen) > limit.files:
        raise ArchiveError(
            tell(
                "{n:,} files are more than {most:,}. List what is not code in .nsmlignore.",
                n=len(seen),
                most=limit.files,
            )
        )
    if total > limit.total_bytes:
        raise ArchiveError(
            tell(
                "{n:,} bytes unpacked are more than {most:,}. List data in .nsmlignore.",
                n=total, most=limit.total_bytes,
            )
        )  # fmt: skip


def _copy_bounded(source: IO[bytes], path: Path, room: int, name: str) -> int:
    size = 0
    with path.open("xb") as sink:
        while block := source.read(1 << 20):
            size += len(block)
            if size > room:  # a header that lied about its size
                raise ArchiveError(tell("{name} unpacks to more than allowed.", name=name))
            sink.write(block)
    return size


def pack(folder: Path) -> io.BytesIO:
    """A deterministic tar of a folder's regular files: same content, same bytes, same hash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as source:
                tar.addfile(info, source)
    buffer.seek(0)
    return buffer


def _open_child(folder: int, name: str, flags: int = 0) -> int | None:
    """Never a link. None where it is one or is not readable. Raises OSError where this process has no descriptor left:
    that is no fault of the file's."""
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        if error.errno in NO_DESCRIPTORS:
            raise
        return None


def _open_below(directory: int, parts: tuple[str, ...]) -> int | None:
    """The folder at the end of the path, each step without following a link."""
    folder: int | None = os.dup(directory)
    for name in parts:
        assert folder is not None
        child = _open_child(folder, name, os.O_DIRECTORY)
        os.close(folder)
        folder = child
        if folder is None:
            return None
    return folder


def pack_open(directory: int, bounds: Bounds, sink: IO[bytes], only: str = "") -> list[tuple[str, int]]:
    """Tar the regular files under an open directory that hostile code wrote; links and devices are left out.

    ``only`` names the one entry of the directory to pack. Every step is by descriptor and without following links,
    so nothing outside can be named.
    """
    found: list[tuple[str, int]] = []
    total = folders = 0
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        stack: list[tuple[str, ...]] = [()]  # names and not descriptors: there may be ten thousands of folders
        while stack:
            parts = stack.pop()
            folder = _open_below(directory, parts)
            if folder is None:
                continue
            try:
                for name in [only] if only and not parts else sorted(os.listdir(folder)):
                    child = _open_child(folder, name)
                    if child is None:
                        continue
                    info = os.fstat(child)
                    relative = "/".join((*parts, name))
                    if stat.S_ISDIR(info.st_mode) and len(parts) < DEPTH_MAX:
                        os.close(child)
                        folders += 1
                        if folders > bounds.files:
                            raise ArchiveError("more folders than the output limit")
                        stack.append((*parts, name))
                        continue
                    with os.fdopen(child, "rb") as source:
                        if not stat.S_ISREG(info.st_mode):
                            continue
                        total += info.st_size
                        if len(found) >= bounds.files or total > bounds.total_bytes or info.st_size > bounds.file_bytes:
                            raise ArchiveError("more files or bytes than the output limit")
                        try:
                            entry = tarfile.TarInfo(str(safe_name(relative)))
                        except ArchiveError:
                            continue
                        entry.size, entry.mode = info.st_size, 0o644
                        tar.addfile(entry, source)
                        found.append((relative, info.st_size))
            finally:
                os.close(folder)
    return sorted(found)
