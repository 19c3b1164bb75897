"""The folders of one attempt on the node: made before the container, read and removed after it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from runner import archives, blobs, hostile
from runner.models import Attempt
from runner.spec import CONTAINER_UID, JobSpec, Limits

IO_BYTES = 16 << 20
_NAME = re.compile(r"[0-9a-f]{12}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of a socket's folder, of an attempt's
CHECKPOINTS_MAX = 200
PROBLEMS_MAX = 20  # that are said
CHECKPOINT_CHARS_MAX = 128
OUTPUTS_MAX = 500
FILE_BYTES_MAX = 64 << 20  # one collected predictions or scores file


@dataclass(frozen=True)
class Folders:
    root: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def io(self) -> Path:
        return self.root / "io"


def folders(attempt: Attempt) -> Folders:
    return Folders(Path(settings.ATTEMPTS) / str(attempt.id))


def socket_folder(attempt: Attempt) -> Path:
    """Short on purpose: a Unix socket's path may have 107 bytes."""
    return Path(settings.SOCKETS) / attempt.id.hex[:12]


class NoFolders(OSError):
    """The node has no room for them, or no free loop device: the operator's fault."""


def make(attempt: Attempt, limits: Limits) -> Folders:
    """Make the folders; twice is once. As root ``out`` and ``io`` are file systems of their own, with a size.

    Raises OSError; what was made until then is ``remove``'s to take away.
    """
    place = folders(attempt)
    for folder in (place.out, place.io):
        folder.mkdir(parents=True, exist_ok=True)
    socket_folder(attempt).mkdir(parents=True, exist_ok=True, mode=0o711)
    if os.geteuid() == 0:
        _mount(["-t", "tmpfs", "-o", f"size={IO_BYTES},mode=0700,nosuid,nodev,noexec", "tmpfs"], place.io)
        if not os.path.ismount(place.out):
            image = place.root / "out.img"
            with image.open("wb") as handle:
                handle.truncate(limits.output_bytes_max + (8 << 20))  # 8 MiB for the file system's own tables
            _do(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image)])
            _mount(["-o", "loop,nosuid,nodev", str(image)], place.out)
        for folder in (place.out, place.io):
            os.chown(folder, CONTAINER_UID, CONTAINER_UID)
    else:
        for folder in (place.out, place.io):
            folder.chmod(0o777)
    return place


def _mount(arguments: list[str], target: Path) -> None:
    if not os.path.ismount(target):
        _do(["mount", *arguments, str(target)])


def _do(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise NoFolders(f"{words[0]} failed: {done.stderr.strip()[-300:]}")


def remove(attempt: Attempt) -> None:
    """Unmount and delete; nothing happens when it is gone already."""
    _remove(folders(attempt).root)
    shutil.rmtree(socket_folder(attempt), ignore_errors=True)


def _remove(root: Path) -> None:
    place = Folders(root)
    for folder in (place.out, place.io):
        if os.path.ismount(folder):
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
    shutil.rmtree(root, ignore_errors=True)  # one that is still mounted stays, and is looked at again


def left() -> list[Path]:
    """Every attempt's folder on this node, and every socket's."""
    return [
        path
        for place in (settings.ATTEMPTS, settings.SOCKETS)
        if os.path.isdir(place)
        for path in Path(place).iterdir()
    ]


def remove_left(found: list[Path], live: Collection[uuid.UUID]) -> list[Path]:
    """Take away those of ``found`` that no live attempt owns. ``live`` is read after ``found``, so that an attempt
    that began in between is in it."""
    owned = {str(key) for key in live} | {key.hex[:12] for key in live}
    gone = [path for path in found if path.name not in owned and _NAME.fullmatch(path.name)]
    for path in gone:
        _remove(path)
    return gone


def status(attempt: Attempt) -> dict[str, Any]:
    """The launcher's word on how it ended; {} where there is none."""
    return _json(attempt, "status.json")


def log_state(attempt: Attempt) -> dict[str, Any]:
    return _json(attempt, "log.json")


def _json(attempt: Attempt, name: str) -> dict[str, Any]:
    try:
        value = json.loads(hostile.read(folders(attempt).io, name, 10_000) or b"{}")
    except (hostile.HostileFile, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def log_part(attempt: Attempt, name: str) -> bytes:
    """log.head or log.tail as they are now."""
    try:
        return hostile.read(folders(attempt).io, name, IO_BYTES)
    except hostile.HostileFile:
        return b""


def collect(attempt: Attempt, spec: JobSpec) -> dict[str, Any]:
    """Everything that comes back, as blobs. Called when the container is gone, so nobody writes any more."""
    found: dict[str, Any] = {"files": {}, "checkpoints": [], "outputs": [], "problems": [], "overflowed": False}
    state = log_state(attempt)
    head, tail = log_part(attempt, "log.head"), log_part(attempt, "log.tail")
    found["log"] = {
        "head": blobs.put_bytes(head),
        "tail": blobs.put_bytes(tail),
        "head_bytes": len(head),
        "tail_start": _count(state.get("tail_start"), len(head)),
        "total": max(_count(state.get("total"), len(head)), len(head)),
    }
    try:
        out = hostile.open_folder(folders(attempt).out)
    except OSError:
        return found
    try:
        for name in spec.collect_files:
            _collect_file(out, name, found)
        room = spec.limits.output_bytes_max  # of all together: a file with holes takes no room until it is read
        if spec.collect_checkpoints:
            room -= _collect_checkpoints(out, room, found)
        if spec.collect_outputs:
            _collect_outputs(out, room, found)
        found["overflowed"] = os.path.ismount(folders(attempt).out) and _is_full(out, spec.limits)
    finally:
        os.close(out)
    return found


def _is_full(out: int, limits: Limits) -> bool:
    """Whether there was no room for one more write: a refused block leaves what is smaller than itself free."""
    space = os.statvfs(out)
    return space.f_bavail * space.f_frsize < max(2 << 20, limits.output_bytes_max // 50)


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 50 else default


def _collect_file(out: int, name: str, found: dict[str, Any]) -> None:
    try:
        with hostile.open_regular(out, name, FILE_BYTES_MAX) as source:
            found["files"][name] = blobs.put(source)
    except FileNotFoundError:
        found["problems"].append(f"{name} was not written to /out")
    except hostile.HostileFile as error:
        found["problems"].append(str(error))


def _collect_checkpoints(out: int, room: int, found: dict[str, Any]) -> int:
    """The bytes that they take. What is beyond ``room`` is left out and said; the newest come first."""
    taken = 0
    try:
        folder = os.open("checkpoints", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=out)
    except OSError:
        return 0
    try:
        names = sorted(os.listdir(folder), key=lambda name: os.lstat(name, dir_fd=folder).st_mtime)
        for name in reversed(names[-CHECKPOINTS_MAX:]):
            try:
                archives.safe_name(name)
                if len(name) > CHECKPOINT_CHARS_MAX:
                    raise archives.ArchiveError(f"its name has more than {CHECKPOINT_CHARS_MAX} letters")
                # The archive holds NAME or NAME/…, so that unpacked at /checkpoint it is /checkpoint/NAME.
                sha, size = _pack_one(folder, name, room - taken)
            except (archives.ArchiveError, OSError) as error:
                found["problems"].append(f"checkpoint {name[:80]!r}: {error}")
                continue
            taken += size
            found["checkpoints"].insert(0, {"name": name, "sha256": sha, "size": size})
    finally:
        os.close(folder)
    return taken


def _pack_one(folder: int, name: str, size_max: int) -> tuple[str, int]:
    bounds = archives.Bounds(total_bytes=size_max, file_bytes=size_max)
    with tempfile.TemporaryFile() as sink:
        files = archives.pack_open(folder, bounds, sink, only=name)
        if not files:
            raise archives.ArchiveError("is no regular file or folder of them")
        sink.seek(0)
        return blobs.put(sink), sum(size for _, size in files)


def _collect_outputs(out: int, room: int, found: dict[str, Any]) -> None:
    for name in sorted(os.listdir(out))[:OUTPUTS_MAX]:
        if name in {"checkpoints", "lost+found"}:
            continue
        try:
            archives.safe_name(name)  # a name that is no text cannot be written to the database
            with hostile.open_regular(out, name, room) as source:
                size = os.fstat(source.fileno()).st_size
                room -= size
                found["outputs"].append({"path": name[:200], "size": size, "sha256": blobs.put(source)})
        except (FileNotFoundError, archives.ArchiveError):
            continue
        except hostile.HostileFile as error:
            if len(found["problems"]) < PROBLEMS_MAX:
                found["problems"].append(str(error))
