"""What a push may ask for with -g, -c, --memory and --shm-size: less than the assignment gives, never more. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from courses.assignments.bundle import SIZE, AssignmentConfig

MEMORY_BYTES_MIN = 64 << 20
SHM_BYTES_MIN = 1 << 20
CPUS_MIN = 0.1
_SIZE = re.compile(r"(?P<count>\d{1,6})(?P<unit>[KMG])i?B?", re.IGNORECASE)
Asked = dict[str, int | float]  # gpus, cpus, memory_bytes, shm_bytes; only what was asked for


class Beyond(Exception):
    """More than the assignment gives, or too little to start; the message names the limit."""


def size_bytes(words: str) -> int:
    """``24G``, as NSML wrote sizes, in bytes. Raises Beyond."""
    found = _SIZE.fullmatch(words.strip())
    if found is None:
        raise Beyond(f"{words[:40]!r} is no size; write 512M or 24G.")
    return int(found["count"]) * SIZE[found["unit"].upper()]


def size_words(count: int) -> str:
    unit = next((unit for unit in "GM" if count % SIZE[unit] == 0), "K")
    return f"{count // SIZE[unit]}{unit}"


def asked(config: AssignmentConfig, wishes: Mapping[str, Any]) -> Asked:
    """The wishes that were made (gpus, cpus, memory, shm_size), checked. Raises Beyond with the limit's name.

    /dev/shm counts as memory, so the memory is its limit.
    """
    found: Asked = {}
    if (gpus := wishes.get("gpus")) is not None:
        _within("GPU(s)", gpus, 0, config.gpus, str)
        found["gpus"] = int(gpus)
    if (cpus := wishes.get("cpus")) is not None:
        _within("CPU(s)", cpus, CPUS_MIN, config.cpus, lambda count: f"{count:g}")
        found["cpus"] = float(cpus)
    if memory := wishes.get("memory"):
        found["memory_bytes"] = size_bytes(memory)
        _within("of memory", found["memory_bytes"], MEMORY_BYTES_MIN, config.memory_bytes, size_words)
    if shm := wishes.get("shm_size"):
        found["shm_bytes"] = size_bytes(shm)
        most = int(found.get("memory_bytes", config.memory_bytes))
        _within("of shared memory", found["shm_bytes"], SHM_BYTES_MIN, most, size_words)
    return found


def at_most(config: AssignmentConfig, before: Asked) -> Asked:
    """What an earlier run asked for, where a newer version of the assignment may give less."""
    given = {"gpus": config.gpus, "cpus": config.cpus, "memory_bytes": config.memory_bytes}
    return {key: min(value, given.get(key, value)) for key, value in before.items()}


def _within(what: str, count: Any, least: float, most: float, words: Any) -> None:
    if not count <= most:  # also where it is not a number
        raise Beyond(f"You asked for {words(count)} {what}; this assignment gives {words(most)}.")
    if count < least:
        raise Beyond(f"{words(count)} {what} is too little to start; ask for {words(least)} or more.")
