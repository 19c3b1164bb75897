"""What people upload, and what hostile code left behind."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from django.conf import settings

from courses.assignments.services import BUNDLE_FILES_MAX
from courses.submissions.pushes import CODE_BOUNDS
from runner import archives, hostile
from seodang import _pack


def zipped(tmp_path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    path = tmp_path / "up.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def test_a_plain_zip_unpacks(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("a.py", b"1"), ("in/b.py", b"22"))
    assert archives.unzip(path, tmp_path / "out") == [("a.py", 1), ("in/b.py", 2)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../up.py", "leaves the folder"),
        ("/etc/passwd", "leaves the folder"),
        ("a/../../b", "leaves the folder"),
        ("a\\b.py", "backslash"),
        ("a\nb.py", "control character"),
        ("x" * 500, "too long"),
    ],
)
def test_bad_names_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(archives.ArchiveError, match=words):
        archives.unzip(zipped(tmp_path, (name, b"")), tmp_path / "out")


def test_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(archives.ArchiveError, match="link or a device"):
        archives.unzip(zipped(tmp_path, (link("labels"), b"/labels")), tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(archives.ArchiveError, match="twice"):
        archives.unzip(zipped(tmp_path, ("a", b"1"), ("a", b"2")), tmp_path / "out")


def test_bombs_are_refused(tmp_path: Path) -> None:
    bounds = archives.Bounds(files=3, total_bytes=1000, file_bytes=1000)
    with pytest.raises(archives.ArchiveError, match="more than 1,000"):
        archives.unzip(zipped(tmp_path, ("zeros", b"\0" * 10_000_000)), tmp_path / "out", bounds)
    with pytest.raises(archives.ArchiveError, match="more than 3"):
        archives.unzip(zipped(tmp_path, *[(f"f{n}", b"") for n in range(9)]), tmp_path / "out2", bounds)


def test_a_header_that_lies_about_its_size(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("zeros", b"\0" * 1_000_000))
    raw = path.read_bytes()
    size = (1_000_000).to_bytes(4, "little")
    path.write_bytes(raw.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(archives.ArchiveError):
        archives.unzip(path, tmp_path / "out", archives.Bounds(total_bytes=1000, file_bytes=1000))
    written = [one.stat().st_size for one in (tmp_path / "out").rglob("*") if one.is_file()]
    assert sum(written) <= 1000


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 40])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "up.zip"
    path.write_bytes(content)
    with pytest.raises(archives.ArchiveError):
        archives.unzip(path, tmp_path / "out")


def test_the_same_folder_has_the_same_hash(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in" / "a").write_text("x")
    os.utime(tmp_path / "one" / "in" / "a", (1, 1))
    assert archives.pack(tmp_path / "one").read() == archives.pack(tmp_path / "two").read()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    secret = tmp_path / "labels"
    secret.mkdir()
    (secret / "labels.csv").write_text("secret")
    return secret


def test_packing_follows_no_link(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "checkpoints"
    (folder / "best").mkdir(parents=True)
    (folder / "best" / "weights").write_text("w")
    (folder / "best" / "stolen").symlink_to(outside / "labels.csv")
    (folder / "best" / "folder").symlink_to(outside)
    os.mkfifo(folder / "best" / "pipe")
    sink = io.BytesIO()
    descriptor = hostile.open_folder(folder)
    try:
        files = archives.pack_open(descriptor, archives.Bounds(), sink, only="best")
    finally:
        os.close(descriptor)
    assert files == [("best/weights", 1)]
    sink.seek(0)
    with tarfile.open(fileobj=sink) as tar:
        assert tar.getnames() == ["best/weights"]


def test_predictions_as_a_link_a_fifo_or_a_giant(tmp_path: Path, outside: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "link.csv").symlink_to(outside / "labels.csv")
    os.mkfifo(out / "fifo.csv")
    (out / "folder.csv").mkdir()
    with (out / "sparse.csv").open("wb") as handle:
        handle.truncate(50 << 30)
    for name, words in [
        ("link.csv", "is a link"),
        ("fifo.csv", "not a regular file"),
        ("folder.csv", "not a regular file"),
        ("sparse.csv", "at most"),
    ]:
        with pytest.raises(hostile.HostileFile, match=words):
            hostile.read(out, name, 1000)
    assert hostile.read(out, "none.csv", 1000) == b""
    (tmp_path / "door").symlink_to(outside)
    assert hostile.read(tmp_path / "door", "labels.csv", 1000) == b"", "nor through a folder that is a link"


def test_the_client_packs_what_the_server_takes() -> None:
    assert (CODE_BOUNDS.files, CODE_BOUNDS.total_bytes) == (_pack.CODE_FILES_MAX, _pack.CODE_BYTES_MAX)
    assert (_pack.ASSIGNMENT_FILES_MAX, _pack.ASSIGNMENT_BYTES_MAX) == (BUNDLE_FILES_MAX, settings.BUNDLE_BYTES_MAX)
