"""What crosses the border between a room that wants a container and the engine that runs it.

Pure: no Django, no Docker. Every field has its unit in its name or a comment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTAINER_UID = 10001
INSIDE = "/seodang/inside"
IO = "/seodang/io"
SDK = "/seodang/sdk"  # the client library, for scripts that import it
GATEWAY = "/seodang/gw"
MLFLOW_PORT = 5000


@dataclass(frozen=True)
class Limits:
    """What one container may use."""

    cpus: float = 1.0
    memory_bytes: int = 1 << 30
    wall_seconds_max: int = 600
    output_bytes_max: int = 256 << 20
    pids_max: int = 256
    tmp_bytes: int = 256 << 20
    shm_bytes: int = 64 << 20
    log_head_bytes: int = 1_000_000
    log_tail_bytes: int = 1_000_000


@dataclass(frozen=True)
class TreeInput:
    """A folder that the job reads, named by the hash of its archive."""

    sha256: str
    target: str  # absolute path in the container, always read-only


@dataclass(frozen=True)
class JobSpec:
    """All that a job asks for; stored as JSON with the job."""

    kind: str  # preflight, run, predict, score
    command: tuple[str, ...]
    environment: str  # a folder's name under environments/
    inputs: tuple[TreeInput, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    gpus: int = 0
    tracking: bool = False  # a gateway socket, and the launcher's relay to it
    collect_files: tuple[str, ...] = ()  # names of regular files directly under /out
    collect_checkpoints: bool = False
    collect_outputs: bool = False
    runtime: str = ""  # the engine's own where it is ""; else one that the node must have, as "runsc", which is gVisor

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> JobSpec:
        fields = dict(raw)
        fields["command"] = tuple(fields["command"])
        fields["inputs"] = tuple(TreeInput(**one) for one in fields["inputs"])
        fields["limits"] = Limits(**fields["limits"])
        fields["collect_files"] = tuple(fields["collect_files"])
        return cls(**fields)


@dataclass(frozen=True)
class Mount:
    """A folder of the host inside the container."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class ContainerSpec:
    """One attempt's container, in an engine's terms."""

    name: str  # the attempt's id, so that a second create conflicts
    image: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    limits: Limits
    device_uuids: tuple[str, ...] = ()
    runtime: str = ""  # "" is the engine's default; "runsc" is gVisor


@dataclass(frozen=True)
class Observation:
    """What a caller can see of a container now."""

    name: str
    state: str  # absent, created, running, exited
    labels: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""  # the engine's own words when it could not start


@dataclass(frozen=True)
class Reading:
    """What a container has used so far and uses now."""

    at: float  # unix seconds, by the engine's clock
    cpu_seconds: float  # of all its processes, since its start
    memory_bytes: int  # without the file cache that the kernel takes back when it is needed
