"""Files for download, streamed: nothing is held in memory as a whole."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from typing import IO

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

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
