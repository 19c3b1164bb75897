"""A real Docker daemon of a test's own: its own folders and socket, no bridge, no firewall rules, and on its PATH a
``nvidia-container-runtime-hook`` that writes down what it is asked for."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import requests

from runner import images

START_SECONDS_MAX = 60
# As NVIDIA's hook is called: the container's state on stdin, from which it finds the bundle and its configuration.
HOOK = """#!{python} -IS
import json, os, sys
state = json.load(sys.stdin)
with open(os.path.join(state["bundle"], "config.json")) as source:
    config = json.load(source)
told = {{"arguments": sys.argv[1:], "env": config["process"]["env"]}}
with open(os.path.join({folder!r}, state["id"]), "w") as sink:
    json.dump(told, sink)
"""


# As docs/how-to/gvisor.md has it: no network, and the gateway's socket, which is mounted, can be connected to.
GVISOR = """#!/bin/sh
exec runsc --platform=ptrace --network=none --host-uds=open "$@"
"""


class Daemon:
    """``start`` and ``kill`` as often as you like; the containers and images stay in the folders."""

    def __init__(self, folder: Path, *, hook: bool = False, live_restore: bool = False, gvisor: bool = False) -> None:
        self.folder = folder
        self._more: list[str] = []
        self.live_restore = live_restore
        self.asked = folder / "asked"
        self.asked.mkdir()
        self.socket = folder / "docker.sock"
        self.address = f"unix://{self.socket}"
        self._path = os.environ["PATH"]
        self._process: subprocess.Popen[bytes] | None = None
        if gvisor:
            wrapper = folder / "runsc"
            wrapper.write_text(GVISOR)
            wrapper.chmod(0o755)
            self._more = ["--add-runtime", f"runsc={wrapper}"]
        if hook:
            bin_folder = folder / "bin"
            bin_folder.mkdir()
            made = bin_folder / "nvidia-container-runtime-hook"
            made.write_text(HOOK.format(python="/usr/bin/python3", folder=str(self.asked)))
            made.chmod(0o755)
            self._path = f"{bin_folder}:{self._path}"

    @property
    def client(self) -> Any:
        return docker.DockerClient(base_url=self.address, version="1.41", timeout=60)

    def start(self) -> Daemon:
        """Start it and wait for its answer."""
        self.socket.unlink(missing_ok=True)
        words = [
            "dockerd", "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
            "--pidfile", str(self.folder / "pid"), "-H", self.address, "--bridge=none", "--iptables=false",
            "--ip-masq=false", *(["--live-restore"] if self.live_restore else []), *self._more,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, env={**os.environ, "PATH": self._path}, start_new_session=True
            )
        end = time.monotonic() + START_SECONDS_MAX
        while not self.answers():
            assert self._process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)  # a daemon says nowhere else that it is ready
        return self

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """``kill -9``, as the out-of-memory killer would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        # Its containerd dies with it. Where nobody buries orphans the pid stays, and dockerd would wait for the dead.
        pid_file = next((self.folder / "exec" / "containerd").glob("*.pid"), None)
        if pid_file is not None:
            await_dead(int(pid_file.read_text()))
            pid_file.unlink()

    def close(self) -> None:
        """Remove its containers, stop it and delete its folders."""
        if self.answers():
            for container in self.client.containers.list(all=True, ignore_removed=True):
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        for pid in self._shims():
            os.kill(pid, signal.SIGKILL)
            await_dead(pid)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for target in reversed([one for one in mounted if one.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "-l", target], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _shims(self) -> list[int]:
        """What a daemon that never came back left behind: the parents of its containers."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and str(self.folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def load(self, tag: str, *changes: str) -> None:
        """Debian with Python, as one layer, under the name ``tag``; ``changes`` are lines of a Dockerfile."""
        subprocess.run(
            ["docker", "-H", self.address, "import", *(word for one in changes for word in ("--change", one)),
             str(_small_image()), tag],
            check=True, capture_output=True,
        )  # fmt: skip


def await_dead(pid: int) -> None:
    """Until the process is gone, or is a zombie that nobody has buried yet."""
    end = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        assert time.monotonic() < end, f"process {pid} does not end"
        time.sleep(0.01)


@functools.cache
def _small_image() -> Path:
    """The base image's files without what no test here runs, as a tar. Made once."""
    first = docker.from_env(version="1.41")
    base = images.ensure_base(first, lambda line: None)
    container = first.containers.create(base, "true")
    try:
        folder = Path(tempfile.mkdtemp(prefix="sd-image-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with (folder / "whole.tar").open("wb") as sink:
            sink.writelines(container.export())
    finally:
        container.remove()
    left_out = [
        "usr/share",
        "usr/lib/python3",
        "usr/lib/gcc",
        "usr/include",
        "var/cache",
        "var/lib/apt",
        "usr/libexec/gcc",
    ]
    words = ["tar", "--delete", "-f", str(folder / "whole.tar"), *left_out]
    subprocess.run(words, check=False, capture_output=True)  # what is not in it need not be left out
    return folder / "whole.tar"


@contextlib.contextmanager
def running_daemon(*, hook: bool = False, live_restore: bool = False, gvisor: bool = False) -> Iterator[Daemon]:
    """A started daemon; everything of it is gone afterwards."""
    made = Daemon(Path(tempfile.mkdtemp(prefix="sd-dockerd-")), hook=hook, live_restore=live_restore, gvisor=gvisor)
    try:
        yield made.start()
    finally:
        made.close()
