"""A folder to a zip and back: the same files give the same bytes, and no archive writes outside its folder."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import pathspec

from seodang._errors import Refused

IGNORE_FILES = (".gitignore", ".nsmlignore")  # the later one wins, so .nsmlignore can take a file back in
ALWAYS_IGNORED = (".git", ".seodang", "__pycache__/", "*.pyc", ".venv/", ".ipynb_checkpoints/", ".DS_Store")
CODE_BYTES_MAX = 100 << 20  # before compression, as the server's
CODE_FILES_MAX = 2_000  # as the server's
ASSIGNMENT_BYTES_MAX = 1 << 30  # as the server's
ASSIGNMENT_FILES_MAX = 50_000  # as the server's
UNPACKED_FILES_MAX = 100_000
UNPACKED_BYTES_MAX = 4 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold


@dataclass(frozen=True)
class Packed:
    """What went into a zip."""

    names: tuple[str, ...]
    size_bytes: int  # of the files, before compression
    sha256: str  # of the zip
    skipped: tuple[str, ...]  # links that lead out of the folder


def pack(folder: Path, target: IO[bytes], *, obey_ignore_files: bool = True, bytes_max: int = CODE_BYTES_MAX,
         files_max: int = CODE_FILES_MAX) -> Packed:  # fmt: skip
    """Write ``folder`` to ``target`` as a zip. Raises Refused when it is empty or too large."""
    files: list[tuple[str, Path]] = []
    skipped: list[str] = []
    root = folder.resolve()
    for name, path in walk(folder, obey_ignore_files):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            skipped.append(name)
        elif path.is_file():
            files.append((name, path))
    files.sort()
    size = _checked_size(files, bytes_max, files_max)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in files:
            _add(archive, name, path)
    return Packed(tuple(name for name, _ in files), size, _digest(target), tuple(skipped))


def take(archive: Path, target: IO[bytes], bytes_max: int = CODE_BYTES_MAX) -> Packed:
    """Copy a zip that is there already. Raises Refused when it is none, or too large."""
    if not zipfile.is_zipfile(archive):
        raise Refused(f"{archive} is not there, or is no zip", next="Zip the folder that has your code", code="no_zip")
    with zipfile.ZipFile(archive) as inside:
        infos = [info for info in inside.infolist() if not info.is_dir()]
    size = sum(info.file_size for info in infos)
    if max(size, archive.stat().st_size) > bytes_max:
        raise Refused(
            f"{archive} unpacks to {size >> 20} MiB, at most {bytes_max >> 20} MiB can be uploaded",
            next="Leave data and outputs out of it",
            code="too_large",
        )
    with archive.open("rb") as source:
        shutil.copyfileobj(source, target)
    return Packed(tuple(info.filename for info in infos), size, _digest(target), ())


def walk(folder: Path, obey_ignore_files: bool = True) -> Iterator[tuple[str, Path]]:
    """Each file that no pattern leaves out, with its name from ``folder``. As in git, a folder left out stays out."""
    layers: dict[str, list[tuple[str, pathspec.GitIgnoreSpec]]] = {}
    always = [("", pathspec.GitIgnoreSpec.from_lines(ALWAYS_IGNORED))]
    for here, folders, names in os.walk(folder):
        relative = Path(here).relative_to(folder).as_posix()
        base = "" if relative == "." else relative + "/"
        specs = list(layers.get(str(PurePosixPath(relative).parent), always)) if base else list(always)
        if obey_ignore_files:
            specs += _ignore_files(Path(here), base)
        layers[relative] = specs
        folders[:] = sorted(one for one in folders if not _ignored(f"{base}{one}/", specs))
        for name in sorted(names):
            if not _ignored(base + name, specs):
                yield base + name, Path(here) / name


def unzip(source: IO[bytes], target: Path) -> list[str]:
    """Unpack regular files only. Raises Refused for a name that leads out of ``target``."""
    with zipfile.ZipFile(source) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_unpacked(len(infos), sum(info.file_size for info in infos))
        for info in infos:
            with archive.open(info) as content:
                _write(inside(target, info.filename), content)
    return [info.filename for info in infos]


def untar(source: IO[bytes], target: Path) -> list[str]:
    """Unpack regular files only; links and devices in a tar are left out."""
    with tarfile.open(fileobj=source) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        _check_unpacked(len(members), sum(member.size for member in members))
        for member in members:
            content = archive.extractfile(member)
            assert content is not None  # it is a regular file
            _write(inside(target, member.name), content)
    return [member.name for member in members]


def inside(folder: Path, name: str) -> Path:
    """``folder/name``, refused where a server's name would lead out of the folder, also by a link that is there."""
    parts = PurePosixPath(name.replace("\\", "/"))
    path = folder.joinpath(*parts.parts)
    outside = parts.is_absolute() or ".." in parts.parts or ":" in name.split("/")[0]
    if outside or not path.resolve().is_relative_to(folder.resolve()):
        raise Refused(f"The archive holds a name that leads out of its folder: {name!r}", code="unsafe_archive")
    return path


def diff(old: IO[bytes], new: IO[bytes], old_label: str, new_label: str) -> str:
    """The unified diff of two code zips."""
    before, after = _texts(old), _texts(new)
    pieces: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        left, right = before.get(name, b""), after.get(name, b"")
        if left == right and name in before and name in after:
            continue
        pieces += _file_diff(name, left, right, old_label, new_label)
    return "".join(pieces)


def _file_diff(name: str, left: bytes, right: bytes, old_label: str, new_label: str) -> list[str]:
    if b"\0" in left or b"\0" in right:
        return [f"Binary files {old_label}/{name} and {new_label}/{name} differ\n"]
    lines = difflib.unified_diff(
        left.decode(errors="replace").splitlines(keepends=True),
        right.decode(errors="replace").splitlines(keepends=True),
        f"{old_label}/{name}",
        f"{new_label}/{name}",
    )
    return [line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines]


def _texts(source: IO[bytes]) -> dict[str, bytes]:
    with zipfile.ZipFile(source) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_unpacked(len(infos), sum(info.file_size for info in infos))
        return {info.filename: archive.read(info) for info in infos}


def _ignore_files(here: Path, base: str) -> list[tuple[str, pathspec.GitIgnoreSpec]]:
    found = []
    for name in IGNORE_FILES:
        path = here / name
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found.append((base, pathspec.GitIgnoreSpec.from_lines(lines)))
    return found


def _ignored(name: str, specs: list[tuple[str, pathspec.GitIgnoreSpec]]) -> bool:
    """The last pattern that speaks of the name decides, and a nearer file is later."""
    verdict = False
    for base, spec in specs:
        said = spec.check_file(name[len(base) :]).include
        verdict = verdict if said is None else said
    return verdict


def _checked_size(files: list[tuple[str, Path]], bytes_max: int, files_max: int) -> int:
    if not files:
        raise Refused("There are no files to upload here", next="cd to the folder with your code", code="empty")
    if len(files) > files_max:
        raise Refused(
            f"{len(files)} files here, at most {files_max} can be uploaded",
            next="Name what is not code in .nsmlignore",
            code="too_many_files",
        )
    sizes = sorted(((path.stat().st_size, name) for name, path in files), reverse=True)
    total = sum(size for size, _ in sizes)
    if total > bytes_max:
        largest = ", ".join(f"{name} {size >> 20} MiB" for size, name in sizes[:3])
        raise Refused(
            f"The files here are {total >> 20} MiB, at most {bytes_max >> 20} MiB can be uploaded; largest: {largest}",
            next="Name data and outputs in .nsmlignore",
            code="too_large",
        )
    return total


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, wherever this runs
    info.external_attr = (0o100755 if os.access(path, os.X_OK) else 0o100644) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    with path.open("rb") as content, archive.open(info, "w") as entry:
        shutil.copyfileobj(content, entry)


def _digest(target: IO[bytes]) -> str:
    target.seek(0)
    digest = hashlib.sha256()
    while block := target.read(1 << 20):
        digest.update(block)
    target.seek(0)
    return digest.hexdigest()


def _check_unpacked(files: int, size_bytes: int) -> None:
    if files > UNPACKED_FILES_MAX or size_bytes > UNPACKED_BYTES_MAX:
        raise Refused(f"The archive would unpack to {files} files, {size_bytes >> 20} MiB", code="too_large")


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
