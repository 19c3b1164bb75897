"""This machine's GPUs, through NVML and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Gpu:
    uuid: str
    index: int
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Load:
    """What one GPU does now."""

    percent: int  # of the time since NVML's last sample in which a kernel ran
    memory_bytes: int


class Nvml(Protocol):
    """The part of ``pynvml`` that is used here."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...
    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any: ...
    def nvmlDeviceGetUUID(self, handle: Any) -> str: ...
    def nvmlDeviceGetName(self, handle: Any) -> str: ...
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...
    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any: ...


def _library() -> Nvml:
    import pynvml

    library: Nvml = pynvml
    return library


def inventory(nvml: Nvml | None = None) -> list[Gpu]:
    """The machine's GPUs; none where there is no driver."""
    nvml = nvml or _library()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle).total
        found.append(Gpu(nvml.nvmlDeviceGetUUID(handle), index, nvml.nvmlDeviceGetName(handle), memory))
    return found


def loads(uuids: Sequence[str], nvml: Nvml | None = None) -> list[Load | None]:
    """What each of these GPUs does now, in their order; None for one that does not answer (it fell off the bus)."""
    if not uuids:
        return []
    nvml = nvml or _library()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return [None] * len(uuids)
    return [_load(nvml, uuid) for uuid in uuids]


def _load(nvml: Nvml, uuid: str) -> Load | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        used = nvml.nvmlDeviceGetMemoryInfo(handle).used
        return Load(int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu), int(used))
    except nvml.NVMLError:
        return None
