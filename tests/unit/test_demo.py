"""What ``make demo`` cannot do it says in one sentence, with the command that mends it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import demo, host


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "VAR", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(demo, "PORT", other.getsockname()[1])
        with pytest.raises(demo.DemoError, match=r"Port \d+ is taken\. Run: make stop, or SEODANG_PORT="):
            demo.prepare(with_class=True)


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "VAR", tmp_path)
    monkeypatch.setattr(demo, "answers", lambda port: False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_500_000_000))
    with pytest.raises(demo.DemoError, match=r"has 1\.5 GB free; 4 GB are needed\. .*SEODANG_VAR="):
        demo.prepare(with_class=True)
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_neither_root_nor_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_answers", lambda: False)
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    with pytest.raises(host.HostError, match=r"Docker does not answer\. Run: sudo apt-get install docker\.io"):
        host.ensure_docker()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(host.HostError, match=r"Missing: debootstrap\. Run: sudo apt-get install -y"):
        host.install({"debootstrap": "debootstrap"})


def test_packages_that_cannot_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)

    def fail(words: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(100, words)

    monkeypatch.setattr(host.subprocess, "run", fail)
    with pytest.raises(host.HostError, match=r"could not be installed.* Run: "):
        host.install({"debootstrap": "debootstrap"})
