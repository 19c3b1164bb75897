"""Settings of all tests: folders of their own, and an instance name that owns its own containers only."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, make_world


@pytest.fixture(autouse=True)
def own_folders(settings: object, tmp_path: Path) -> Iterator[None]:
    settings.BLOBS = tmp_path / "blobs"  # type: ignore[attr-defined]
    settings.ATTEMPTS = tmp_path / "attempts"  # type: ignore[attr-defined]
    settings.VAR = tmp_path  # type: ignore[attr-defined]
    settings.INSTANCE = f"test{uuid.uuid4().hex[:8]}"  # type: ignore[attr-defined]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]
    settings.SOCKETS = Path(f"/tmp/sdt-{uuid.uuid4().hex[:6]}")  # type: ignore[attr-defined]
    yield
    # A test that failed leaves its attempts' file systems mounted, and its folder could never be deleted.
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for target in reversed([one for one in mounted if one.startswith(f"{tmp_path}/")]):
        subprocess.run(["umount", "-l", target], check=False)


@pytest.fixture
def world(db: object) -> World:
    return make_world()
