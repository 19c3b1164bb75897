"""A run's artifacts: regular files under ``var/artifacts/<run>/``, written by the gateway alone, within bounds."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from hub.tracking.parsing import Refusal

BYTES_MAX = 512 << 20  # a run
FILES_MAX = 2_000  # a run
DEPTH_MAX = 20
PART_BYTES_MAX = 200
BLOCK_BYTES = 1 << 20


class Artifacts:
    """The files of one run."""

    def __init__(self, base: Path, run_uuid: str) -> None:
        self.root = base / run_uuid
        self._incoming = base / ".incoming"  # the same file system; what is half there is in no listing
        self._one_at_a_time = asyncio.Lock()

    def path(self, name: str) -> Path:
        """Where ``name`` lies. Raises Refusal on any name that could lead out."""
        parts = [part for part in name.split("/") if part]
        bad = len(parts) > DEPTH_MAX or any(
            part in {".", ".."} or not part.isprintable() or len(part.encode()) > PART_BYTES_MAX for part in parts
        )
        if bad:
            raise Refusal(f"{name[:80]!r} cannot be an artifact's path.")
        return self.root.joinpath(*parts)

    def listing(self, name: str) -> list[dict[str, Any]]:
        """MLflow's file records directly under ``name``, with paths from the run's root."""
        folder = self.path(name)
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [
            {"path": one.relative_to(self.root).as_posix(), "is_dir": one.is_dir()}
            | ({} if one.is_dir() else {"file_size": one.stat().st_size})
            for one in found
        ]

    def usage(self) -> tuple[int, int]:
        """Files and bytes, counted from the disk."""
        sizes = [
            os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(self.root) for name in names
        ]
        return len(sizes), sum(sizes)

    async def receive(self, name: str, blocks: AsyncIterator[bytes]) -> None:
        """Write one file, whole or not at all. Raises Refusal at a bound."""
        target = self.path(name)
        if target == self.root:
            raise Refusal("An artifact needs a name.")
        async with self._one_at_a_time:
            files, used = await asyncio.to_thread(self.usage)
            if files >= FILES_MAX:
                raise Refusal(f"A run may have {FILES_MAX} artifacts; pack them.", "RESOURCE_EXHAUSTED", 413)
            self._incoming.mkdir(parents=True, exist_ok=True)
            fresh = self._incoming / f"{self.root.name}.{secrets.token_hex(4)}"
            try:
                await self._write(fresh, blocks, BYTES_MAX - used)
                target.parent.mkdir(parents=True, exist_ok=True)
                fresh.replace(target)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise Refusal(f"{name[:80]!r} is a folder in one artifact and a file in another.") from None
            finally:
                fresh.unlink(missing_ok=True)

    async def _write(self, fresh: Path, blocks: AsyncIterator[bytes], room: int) -> None:
        with fresh.open("xb") as sink:
            async for block in blocks:
                room -= len(block)
                if room < 0:
                    limit = f"A run's artifacts may have {BYTES_MAX >> 20} MiB together."
                    raise Refusal(f"{limit} Save large files as checkpoints.", "RESOURCE_EXHAUSTED", 413)
                await asyncio.to_thread(sink.write, block)
