"""``make stop`` frees the machine of what this instance runs, and of nothing else."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from deploy import host
from tests.engines.test_contract import docker_engine

pytestmark = pytest.mark.docker


def test_this_instances_containers_alone_are_removed() -> None:
    made = docker_engine()
    mine, theirs = f"mine-{uuid.uuid4().hex}", f"theirs-{uuid.uuid4().hex}"
    specs = [made.spec(seconds=600, labels={"seodang.instance": name}) for name in (mine, mine, theirs)]
    try:
        for spec in specs:
            made.engine.start(spec)
        assert host.remove_containers(f"seodang.instance={mine}") == 2
        assert [made.engine.poll(spec.name).state for spec in specs] == ["absent", "absent", "running"]
        assert host.remove_containers(f"seodang.instance={mine}") == 0
    finally:
        for name in made.names:
            made.engine.remove(name)


def test_an_engine_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(host.HostError, match=r"Docker does not answer.*docker rm -f"):
        host.remove_containers("seodang.instance=any")
