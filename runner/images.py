"""Environments as images: a base, apt names and pinned requirements, built once, tagged by the hash of their content.

The base comes from a registry where one answers; else it is made on the spot from Debian packages. The host's CA
certificates and pip settings are used while it builds, and are not kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import docker
from docker import errors

ROOT = Path(__file__).resolve().parent.parent / "environments"
BASE = "debian:bookworm-slim"
BASE_TAG = "seodang/debian:bookworm-1"
RECIPE = "2"  # changes when the steps below do
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
Progress = Callable[[str], None]


class ImageError(Exception):
    """The environment could not be built: the platform's or the instructor's fault, never the student's."""


def _file(environment: str, name: str) -> str:
    path = ROOT / environment / name
    return path.read_text() if path.exists() else ""


@cache
def tag(environment: str) -> str:
    """The image's name: it changes whenever the folder does."""
    content = "\0".join([RECIPE, *(_file(environment, name) for name in ("base", "apt.txt", "requirements.txt"))])
    return f"seodang/env-{environment}:{hashlib.sha256(content.encode()).hexdigest()[:12]}"


DEFAULT_ADDRESS = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def _client(address: str) -> Any:
    return docker.DockerClient(base_url=address, version="1.41", timeout=1800)


_known: set[tuple[str, str]] = set()  # (the engine's address, tag)


def ensure_image(environment: str, progress: Progress, address: str = DEFAULT_ADDRESS) -> str:
    """The image's tag; it is built first if the engine at ``address`` does not have it. Raises ImageError."""
    if not (ROOT / environment).is_dir():
        raise ImageError(f"There is no environment {environment!r}.")
    name = tag(environment)
    if (address, name) in _known:
        return name
    try:
        client = _client(address)
        if not _has(client, name):
            with (Path(tempfile.gettempdir()) / "seodang-images.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time; the second finds it there
                if not _has(client, name):
                    _build(client, environment, name, progress)
    except (errors.DockerException, OSError, subprocess.CalledProcessError) as error:
        raise ImageError(f"The environment {environment} could not be built: {error}") from error
    _known.add((address, name))
    return name


def _has(client: Any, name: str) -> bool:
    try:
        client.images.get(name)
    except errors.ImageNotFound:
        return False
    return True


def ensure_base(client: Any, progress: Progress) -> str:
    """Debian with Python 3.11: pulled, or made by debootstrap (about a minute)."""
    if _has(client, BASE_TAG):
        return BASE_TAG
    progress("No base image yet; making it from Debian packages, about a minute")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        words = [
            "debootstrap",
            "--variant=minbase",
            "--include=python3,python3-pip,ca-certificates",
            "bookworm",
            str(root),
        ]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode:
            raise ImageError(f"debootstrap failed: {made.stdout[-500:]}{made.stderr[-500:]}")
        archive = Path(scratch) / "root.tar"
        subprocess.run(["tar", "-C", str(root), "--exclude=./var/cache/apt/archives/*.deb", "-cf", str(archive), "."],
                       check=True)  # fmt: skip
        client.api.import_image_from_file(str(archive), repository=BASE_TAG.split(":")[0], tag=BASE_TAG.split(":")[1])
    return BASE_TAG


def _build(client: Any, environment: str, name: str, progress: Progress) -> None:
    base = _file(environment, "base").strip()
    if base:
        progress(f"Pulling {base}")
        client.images.pull(base)
    else:
        base = ensure_base(client, progress)
    progress(f"Building {name}")
    context = _context(environment, base)
    stream = client.api.build(fileobj=context, custom_context=True, tag=name, network_mode="host", rm=True,
                              forcerm=True, decode=True)  # fmt: skip
    for line in stream:
        if "error" in line:
            raise ImageError(f"The environment {environment} could not be built: {line['error'].strip()}")
        if text := line.get("stream", "").strip():
            progress(text)


def _context(environment: str, base: str) -> io.BytesIO:
    """The build's files. The host's settings lie under /build, which is removed in the step that used them."""
    apt = " ".join(line.split("#")[0].strip() for line in _file(environment, "apt.txt").splitlines()).strip()
    steps = ["set -e", "export PIP_CONFIG_FILE=/build/pip.conf"]
    if CERTIFICATES.exists():
        steps.append("export PIP_CERT=/build/ca.crt SSL_CERT_FILE=/build/ca.crt REQUESTS_CA_BUNDLE=/build/ca.crt")
    if apt:
        steps.append(
            f"apt-get update && apt-get install -y --no-install-recommends {apt} && rm -rf /var/lib/apt/lists/*"
        )
    steps += [
        "python3 -m pip install --no-cache-dir --break-system-packages --only-binary=:all: -r /build/requirements.txt"
        " || python3 -m pip install --no-cache-dir --only-binary=:all: -r /build/requirements.txt",
        "(getent group 10001 || groupadd -g 10001 student) >/dev/null",
        "id student >/dev/null 2>&1 || useradd -u 10001 -g 10001 -d /tmp/home -M -s /bin/sh student",
    ]
    files = {
        "requirements.txt": _file(environment, "requirements.txt"),
        "pip.conf": _pip_settings(),
        "setup.sh": "\n".join(steps) + "\n",
        "ca.crt": CERTIFICATES.read_text() if CERTIFICATES.exists() else "",
    }
    # One RUN with the files in a layer of their own would keep them: they come in by COPY and leave in a squash by
    # being harmless: public certificates, package names, and the addresses of package indexes without credentials.
    dockerfile = (
        f'FROM {base}\nCOPY . /build\nRUN sh /build/setup.sh && rm -rf /build\nUSER 10001:10001\nCMD ["python3"]\n'
    )
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in {**files, "Dockerfile": dockerfile}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    context.seek(0)
    return context


def _pip_settings() -> str:
    """The host's package index, without what only the host's own disk has and without credentials in addresses."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    kept = ["[global]", "disable-pip-version-check = true"]
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        value = value.strip("'\"")
        if key.endswith((".index-url", ".trusted-host", ".proxy")) and "file:" not in value and "@" not in value:
            kept.append(f"{key.rsplit('.', 1)[-1]} = {value}")
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    print(ensure_image(sys.argv[1], lambda line: print(line, flush=True)))
