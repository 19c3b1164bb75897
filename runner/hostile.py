"""Reading files that hostile code wrote: by descriptor, no links followed, never blocking, bounded."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class HostileFile(Exception):
    """It is not a plain file of an allowed size; the message says what it is."""


def open_folder(path: Path) -> int:
    """A descriptor of a folder that is really one."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def open_regular(folder: int, name: str, size_max: int) -> BinaryIO:
    """The plain file ``name`` directly in ``folder``. Raises HostileFile, FileNotFoundError."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise HostileFile(f"{name} is a link or cannot be opened ({error.strerror})") from error
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise HostileFile(f"{name} is not a regular file")
    if info.st_size > size_max:
        os.close(descriptor)
        raise HostileFile(f"{name} has {info.st_size:,} bytes; at most {size_max:,} are allowed")
    return os.fdopen(descriptor, "rb")


def read(path: Path, name: str, size_max: int) -> bytes:
    """The content of a plain file, or b"" when there is none. Raises HostileFile."""
    try:
        folder = open_folder(path)
    except OSError:
        return b""
    try:
        with open_regular(folder, name, size_max) as source:
            return source.read(size_max)
    except FileNotFoundError:
        return b""
    finally:
        os.close(folder)
