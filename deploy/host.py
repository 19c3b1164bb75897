"""What the machine itself must have: Docker Engine, debootstrap, for the tests Chromium. Installs it where it may.

Each thing is skipped when it is there. What cannot be done is said in one sentence with the command that mends it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

# Command → what to install. Ubuntu's debootstrap cannot check Debian's signatures without the keyring.
TOOLS = {"debootstrap": "debootstrap debian-archive-keyring", "mkfs.ext4": "e2fsprogs"}


class HostError(Exception):
    """Something is missing that only the machine's owner can add."""


def say(line: str) -> None:
    print(line, flush=True)


def install(commands: dict[str, str]) -> None:
    """Install the Debian packages (command → package) whose command is missing. Raises HostError."""
    missing = sorted({package for command, package in commands.items() if not shutil.which(command)})
    if not missing:
        return
    words = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0:
        raise HostError(f"Missing: {', '.join(missing)}. Run: sudo {words}")
    say(f"Installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        subprocess.run(words.split(), check=True, env=environment, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise HostError(f"{', '.join(missing)} could not be installed ({error}). Run: {words}") from error


def docker_answers() -> bool:
    import docker

    try:
        client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"), timeout=5)
        return bool(client.ping())
    except Exception:  # any failure means: it does not answer
        return False


def remove_containers(label: str) -> int:
    """Remove those that carry the label, running or not; how many. Raises HostError."""
    import docker
    import requests

    try:
        client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"), timeout=30)
        found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        for container in found:
            container.remove(force=True, v=True)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise HostError(
            f"Docker does not answer ({error}). Run: docker rm -f $(docker ps -aq -f label={label})"
        ) from error
    return len(found)


def unmount_below(folder: Path) -> None:
    """Unmount each file system under the folder, so that it can be deleted."""
    targets = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for target in reversed([one for one in targets if one.startswith(f"{folder}/")]):
        subprocess.run(["umount", "-l", target], check=False)


def ensure_docker() -> None:
    """A Docker Engine that answers: started here if no init system does. Raises HostError."""
    if docker_answers():
        return
    if os.geteuid() != 0:
        raise HostError("Docker does not answer. Run: sudo apt-get install docker.io && sudo usermod -aG docker $USER")
    install({"dockerd": "docker.io", "iptables": "iptables"})
    if not docker_answers():
        say("Starting dockerd")
        log = Path("/var/log/seodang-dockerd.log").open("ab")
        process = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not docker_answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise HostError("dockerd does not start. Look at: tail /var/log/seodang-dockerd.log")
            time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", action="store_true", help="also what the tests need")
    options = parser.parse_args()
    try:
        ensure_docker()
        tools = dict(TOOLS)
        if options.tests:
            tools |= {"chromium": "chromium", "runsc": "runsc"}
        install(tools)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
