"""The default base comes from a registry that answers, and is made here where none does: a real engine, and a small
registry on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import docker
import pytest
from django.conf import settings

from runner import images

pytestmark = pytest.mark.docker
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def an_image() -> dict[str, bytes]:
    """All that a registry has of an image with one file, by what it is asked for."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"file-{uuid.uuid4()}"), io.BytesIO())
    plain = sink.getvalue()
    layer = gzip.compress(plain)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(plain)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": digest(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(layer),
                    "digest": digest(layer),
                }
            ],
        }
    ).encode()
    return {"1": manifest, digest(manifest): manifest, digest(config): config, digest(layer): layer}


class Registry(BaseHTTPRequestHandler):
    held: dict[str, bytes]
    silent = threading.Event()  # set: it takes the question and never answers

    def do_GET(self) -> None:
        if self.silent.is_set():
            time.sleep(30)
        what = self.path.rsplit("/", 1)[-1]
        content = b"{}" if self.path.rstrip("/") == "/v2" else self.held.get(what)
        self.send_response(200 if content is not None else 404)
        content = content or b""
        self.send_header("Content-Type", MANIFEST if "/manifests/" in self.path else "application/octet-stream")
        self.send_header("Docker-Content-Digest", digest(content))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client, and a default base of the test's own that only this registry has."""
    Registry.held = an_image()
    Registry.silent.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"127.0.0.1:{server.server_port}/python-{uuid.uuid4().hex[:8]}:1"
    client = docker.DockerClient(base_url=settings.DOCKER_HOST, version="1.41", timeout=60)
    monkeypatch.setattr(images, "BASE", name)
    monkeypatch.setattr(images, "BASE_TAG", f"seodang/test-{uuid.uuid4().hex[:8]}:1")
    yield client
    server.shutdown()
    for tag in (images.BASE_TAG, images.BASE):
        if images._has(client, tag):
            client.images.remove(tag, force=True)


def test_a_registry_that_answers_gives_the_base(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_debootstrap", lambda client, progress: pytest.fail("a registry has it"))
    told: list[str] = []
    assert images.ensure_base(registry, told.append) == images.BASE_TAG
    assert images._has(registry, images.BASE_TAG)
    assert told[0] == f"No base image yet; asking a registry for {images.BASE}"
    assert registry.api.timeout == 60, "the long patience of a build is back"
    images.ensure_base(registry, lambda line: pytest.fail("it is there"))


@pytest.mark.parametrize("how", ["it has it not", "it is silent"])
def test_where_none_answers_it_is_made_here(registry: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(images, "REGISTRY_SECONDS", 1)
    made: list[str] = []
    monkeypatch.setattr(images, "_debootstrap", lambda client, progress: made.append("made"))
    Registry.held = {}
    if how == "it is silent":
        Registry.silent.set()
    began = time.monotonic()
    assert images.ensure_base(registry, lambda line: None) == images.BASE_TAG
    assert made == ["made"] and time.monotonic() - began < 10


def test_a_pull_that_breaks_off_is_an_error_in_words(registry: Any) -> None:
    """The registry has the manifest, and not what it names."""
    Registry.held = {key: value for key, value in Registry.held.items() if b"schemaVersion" in value}
    with pytest.raises(images.ImageError, match=f"{images.BASE} could not be pulled: "):
        images._pull(registry, images.BASE, lambda line: None)
