"""Environments as images: a base, apt names and pinned requirements, built once, tagged by the hash of their content.

``base`` in an environment's folder names an image to pull. Without it the base is Python's own on Debian, where a
registry answers; else it is made on the spot from Debian packages. The host's CA
certificates and pip settings are used while it builds, and are not kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import requests
import urllib3
from docker import errors

ROOT = Path(__file__).resolve().parent.parent / "environments"
BASE = "python:3.11-slim-bookworm"
REGISTRY_SECONDS = 8  # for a registry to say that it has the image
BUILD_CPU_SHARES = 256  # a quarter of what a running container has, where both want the CPU
SILENT_SECONDS_MAX = 1800
BASE_TAG = "seodang/debian:bookworm-1"
RECIPE = "2"  # changes when the steps below do
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
Progress = Callable[[str], None]


class ImageError(Exception):
    """The environment could not be built: the platform's or the instructor's fault, never the student's."""


class EngineAway(ImageError):
    """The engine does not answer, so nothing is known about the image."""


def _file(environment: str, name: str) -> str:
    path = ROOT / environment / name
    return path.read_text() if path.exists() else ""


def tag(environment: str) -> str:
    """The image's name: it changes whenever the folder does."""
    content = "\0".join([RECIPE, *(_file(environment, name) for name in ("base", "apt.txt", "requirements.txt"))])
    return f"seodang/env-{environment}:{hashlib.sha256(content.encode()).hexdigest()[:12]}"


DEFAULT_ADDRESS = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def _client(address: str) -> Any:
    return docker.DockerClient(base_url=address, version="1.41", timeout=SILENT_SECONDS_MAX)


def ensure_image(environment: str, progress: Progress, address: str = DEFAULT_ADDRESS) -> str:
    """The image's tag; it is built first if the engine at ``address`` does not have it. Raises ImageError."""
    if not (ROOT / environment).is_dir():
        raise ImageError(f"There is no environment {environment!r}.")
    name = tag(environment)
    with _translated(environment):
        client = _client(address)
        if not _has(client, name):
            with _only_build(progress):
                if not _has(client, name):
                    _build(client, environment, name, progress)
    return name


def is_there(name: str, address: str = DEFAULT_ADDRESS) -> bool:
    """Whether the engine has this image. Raises EngineAway."""
    with _translated(name):
        return _has(_client(address), name)


@contextlib.contextmanager
def _translated(environment: str) -> Iterator[None]:
    try:
        yield
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if "timed out" in str(error):  # it answers, and said nothing for too long
            raise ImageError(f"The environment {environment} could not be built: {error}") from error
        raise EngineAway(f"Docker does not answer: {error}") from error
    except (errors.DockerException, OSError, subprocess.CalledProcessError) as error:
        raise ImageError(f"The environment {environment} could not be built: {error}") from error


@contextlib.contextmanager
def _only_build(progress: Progress) -> Iterator[None]:
    """One build at a time on this machine, by whichever instance; who waited finds it there."""
    with (Path(tempfile.gettempdir()) / "seodang-images.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Waiting for another build on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has(client: Any, name: str) -> bool:
    try:
        client.images.get(name)
    except errors.ImageNotFound:
        return False
    return True


def ensure_base(client: Any, progress: Progress) -> str:
    """Debian with Python 3.11: pulled where a registry answers, else made by debootstrap (about a minute)."""
    if _has(client, BASE_TAG):
        return BASE_TAG
    progress(f"No base image yet; asking a registry for {BASE}")
    if _in_registry(client, BASE):
        try:
            _pull(client, BASE, progress)
            client.api.tag(BASE, *BASE_TAG.split(":"))
            return BASE_TAG
        except (errors.DockerException, ImageError) as error:
            progress(f"It did not come: {error}")
    _debootstrap(client, progress)
    return BASE_TAG


def _debootstrap(client: Any, progress: Progress) -> None:
    progress("No registry has it; making it from Debian packages, about a minute")
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


def _in_registry(client: Any, image: str) -> bool:
    """Whether a registry answers soon that it has the image. A cut-off network may swallow the question."""
    patient, client.api.timeout = client.api.timeout, REGISTRY_SECONDS
    try:
        client.api.inspect_distribution(image)
    except (errors.DockerException, requests.exceptions.RequestException):
        return False
    finally:
        client.api.timeout = patient
    return True


def _pull(client: Any, image: str, progress: Progress) -> None:
    """Pull, and say how much of all layers has come. Raises ImageError."""
    repository, _, version = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
    layers: dict[str, tuple[int, int]] = {}
    for told in client.api.pull(repository, tag=version, stream=True, decode=True):
        if "error" in told:
            raise ImageError(f"{image} could not be pulled: {told['error']}")
        detail = told.get("progressDetail") or {}
        if told.get("status") == "Downloading" and detail.get("total"):
            layers[told["id"]] = (detail["current"], detail["total"])
            current, total = (sum(part) for part in zip(*layers.values()))
            progress(f"Pulling {image}: {100 * current // total} %")


def _build(client: Any, environment: str, name: str, progress: Progress) -> None:
    base = _file(environment, "base").strip()
    if base:
        if not _has(client, base):  # an operator may have loaded it where no registry answers
            progress(f"Pulling {base}")
            _pull(client, base, progress)
    else:
        base = ensure_base(client, progress)
    progress(f"Building {name}")
    context = _context(environment, base)
    stream = client.api.build(fileobj=context, custom_context=True, tag=name, network_mode="host", rm=True,
                              forcerm=True, decode=True,
                              container_limits={"cpushares": BUILD_CPU_SHARES})  # fmt: skip
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
