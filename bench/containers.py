"""Bare ``docker run``: what the platform's path is compared with, and the clients of another server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def words(
    image: str, command: Sequence[str], mounts: Sequence[tuple[Path, str]] = (), env: dict[str, str] | None = None,
    network: str = "none", out: Path | None = None,
) -> list[str]:  # fmt: skip
    """``docker run`` as someone would type it: no limits, nothing collected."""
    found = ["docker", "run", "--rm", "--network", network, "--entrypoint", "", "-w", "/tmp"]
    for source, target in mounts:
        found += ["-v", f"{source}:{target}:ro"]
    if out is not None:
        found += ["-v", f"{out}:/out"]
    for key, value in (env or {}).items():
        found += ["-e", f"{key}={value}"]
    return [*found, image, *command]


def of_job(spec: Any, image: str, out: Path) -> list[str]:
    """The bare run of a job's own command, inputs and environment."""
    from runner import blobs

    mounts = [(blobs.tree(one.sha256), one.target) for one in spec.inputs]
    inner = " ".join(f"'{word}'" for word in spec.command)
    place = "/code" if any(one.target == "/code" for one in spec.inputs) else "/tmp"
    return words(image, ["sh", "-c", f"cd {place} && exec {inner}"], mounts, dict(spec.env), out=out)


def seconds_to_first_line(command: Sequence[str]) -> float:
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - began
        process.stdout.read()
    if process.returncode or not line:
        raise RuntimeError(f"docker run ended with {process.returncode}: {' '.join(command)}")
    return took


def seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began
