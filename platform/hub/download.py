"""Files for download, streamed: nothing is held in memory as a whole."""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from courses.assignments.models import AssignmentVersion
from courses.datasets.models import DatasetVersion
from runner import blobs

BLOCK_BYTES = 1 << 18


def attachment(name: str, *parts: IO[bytes]) -> StreamingHttpResponse:
    """The parts one after the other, always as an attachment: what people upload may be hostile HTML."""
    size = 0
    for part in parts:
        size += part.seek(0, io.SEEK_END)
        part.seek(0)
    return StreamingHttpResponse(
        _blocks(parts),
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": str(content_disposition_header(True, name)),
            "Content-Length": str(size),
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _blocks(parts: tuple[IO[bytes], ...]) -> AsyncIterator[bytes]:
    """Asynchronous, since under ASGI Django would first read a synchronous iterator to its end."""
    try:
        for part in parts:
            while block := await asyncio.to_thread(part.read, BLOCK_BYTES):
                yield block
    finally:
        for part in parts:
            part.close()


def training_data(dataset: DatasetVersion) -> StreamingHttpResponse:
    """The training split as a tar, with its licence as the first file in it."""
    words = f"{dataset.name}, version {dataset.number}\nSPDX-License-Identifier: {dataset.license}\n"
    words += f"Source: {dataset.source}\n" if dataset.source else ""
    content = words.encode()
    info = tarfile.TarInfo("LICENSE.txt")
    info.size, info.mode = len(content), 0o644
    padding = b"\0" * (-len(content) % tarfile.BLOCKSIZE)
    first = io.BytesIO(info.tobuf(tarfile.PAX_FORMAT) + content + padding)
    return attachment(f"{dataset.name}-{dataset.number}.tar", first, blobs.open_blob(dataset.train_sha256))


def starter(version: AssignmentVersion) -> StreamingHttpResponse:
    """What a student begins with, as a tar: the task, the baseline and the public sample, laid out as the task says."""
    parts = {
        "baseline": version.baseline_sha256,
        "data/sample/inputs": version.dataset.sample_inputs_sha256,
        "data/sample/labels": version.dataset.sample_labels_sha256,
    }
    sink = tempfile.TemporaryFile()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        words = version.readme.encode()
        info = tarfile.TarInfo("README.md")
        info.size, info.mode = len(words), 0o644
        tar.addfile(info, io.BytesIO(words))
        for place, sha in parts.items():
            if sha:
                _add_tree(tar, place, sha)
    return attachment(f"{version.assignment.slug}-{version.number}-start.tar", sink)


def _add_tree(tar: tarfile.TarFile, place: str, sha: str) -> None:
    with blobs.open_blob(sha) as source, tarfile.open(fileobj=source, mode="r:") as tree:
        for member in tree:
            info = tarfile.TarInfo(f"{place}/{member.name}")
            info.size, info.mode = member.size, member.mode
            tar.addfile(info, tree.extractfile(member))
