"""What a container may do. Pure: a ContainerSpec in, the engine's settings out."""

from __future__ import annotations

from typing import Any

from runner.spec import CONTAINER_UID, ContainerSpec


class SandboxError(Exception):
    """The spec asks for what no container gets."""


REFUSED_ENV_PREFIXES = ("NVIDIA_", "LD_", "DOCKER_")
OPEN_FILES_MAX = 4096


def check_env(spec: ContainerSpec) -> None:
    """Raises SandboxError on names that would change the sandbox (NVIDIA_VISIBLE_DEVICES picks devices)."""
    for name in spec.env:
        if name.startswith(REFUSED_ENV_PREFIXES) or not name.replace("_", "").isalnum():
            raise SandboxError(f"The environment variable {name} is not allowed.")


def environment(spec: ContainerSpec) -> dict[str, str]:
    """The container's variables. CUDA images say NVIDIA_VISIBLE_DEVICES=all themselves; the leased devices, or none,
    are named over it, so that even an engine whose default runtime is nvidia's hands out nothing else."""
    check_env(spec)
    return {**spec.env, "NVIDIA_VISIBLE_DEVICES": ",".join(spec.device_uuids) or "void"}


def host_config(spec: ContainerSpec) -> dict[str, Any]:
    """Keyword arguments of Docker's ``create_host_config``."""
    check_env(spec)
    limits = spec.limits
    owner = f"uid={CONTAINER_UID},gid={CONTAINER_UID}"
    config: dict[str, Any] = {
        "binds": [f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount in spec.mounts],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "network_mode": "none",
        "ipc_mode": "private",
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "nano_cpus": int(limits.cpus * 1e9),
        "pids_limit": limits.pids_max,
        "shm_size": limits.shm_bytes,
        "tmpfs": {"/tmp": f"size={limits.tmp_bytes},mode=1777,{owner},exec,nosuid,nodev"},
        "ulimits": [
            {"Name": "nofile", "Soft": OPEN_FILES_MAX, "Hard": OPEN_FILES_MAX},
            {"Name": "fsize", "Soft": limits.output_bytes_max, "Hard": limits.output_bytes_max},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
    }
    if spec.runtime:
        config["runtime"] = spec.runtime
    return config
