"""A notebook as a push: it runs as the script that its cells are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from courses.errors import Invalid
from courses.submissions import queries, services
from courses.submissions.models import Run
from tests.world import World, push_example, zip_of

pytestmark = pytest.mark.django_db
CELLS = ["%matplotlib inline\n!pip install timm\nprint('one')", "print('two')"]


def notebook(cells: list[str]) -> str:
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
        for n, cell in enumerate(cells)
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def push(world: World, tmp_path: Path, content: bytes, entry: str = "") -> Run:
    upload = tmp_path / "upload"
    upload.write_bytes(content)
    return services.start_run(world.student, push_example(world, "digits", tmp_path), upload, entry=entry)


def script(run: Run, path: str) -> list[str]:
    """Its lines that do something."""
    text = queries.code_file(run, path).decode()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_notebook_alone(world: World, tmp_path: Path) -> None:
    run = push(world, tmp_path, notebook(CELLS).encode())
    assert run.entry == "notebook.py"
    assert {path for path, _size in queries.code_files(run)} == {"notebook.ipynb", "notebook.py"}
    assert script(run, "notebook.py") == ["print('one')", "print('two')"], "magics and shell lines do not run"
    assert (run.code_files, run.code_bytes) == (2, sum(size for _path, size in queries.code_files(run)))


@pytest.mark.parametrize(
    ("entry", "runs"),
    [
        ("'my notes.ipynb'", "'my notes.py'"),
        ("python3 work/deep.ipynb --lr 1", "python3 work/deep.py --lr 1"),
        ("python3 train.py", "python3 train.py"),
    ],
)
def test_a_notebook_in_a_folder(world: World, tmp_path: Path, entry: str, runs: str) -> None:
    files = {"my notes.ipynb": notebook(CELLS), "work/deep.ipynb": notebook(CELLS), "train.py": ""}
    run = push(world, tmp_path, zip_of(files), entry)
    assert run.entry == runs
    scripts = {path for path, _size in queries.code_files(run) if path.endswith(".py")}
    assert scripts == {"train.py", runs.replace("python3 ", "").split(" --")[0].strip("'")}


@pytest.mark.parametrize(
    ("files", "entry", "told"),
    [
        ({"a.ipynb": "{}"}, "a.ipynb", "a.ipynb is no notebook"),
        ({"a.ipynb": '{"cells": 3, "nbformat": 4}'}, "a.ipynb", "a.ipynb is no notebook"),
        ({"a.ipynb": "[" * 100_000}, "a.ipynb", "a.ipynb is no notebook"),
        (
            {"a.ipynb": notebook(CELLS), "a.py": "print('mine')"},
            "a.ipynb",
            "a.ipynb is run as a.py, and there is one already",
        ),
        ({"train.py": ""}, "a.ipynb", "a.ipynb is not in the folder"),
        ({"train.py": ""}, "../../etc/a.ipynb", "../../etc/a.ipynb is not in the folder"),
    ],
)
def test_what_is_refused(world: World, tmp_path: Path, files: dict[str, str], entry: str, told: str) -> None:
    with pytest.raises(Invalid, match=told.replace(".", r"\.")):
        push(world, tmp_path, zip_of(files), entry)
    assert not Run.objects.exists()


def test_a_file_that_is_neither_a_zip_nor_a_notebook(world: World, tmp_path: Path) -> None:
    for content in (b"", b"plain text", b'{"no": "notebook"}', b"{"):
        with pytest.raises(Invalid):
            push(world, tmp_path, content)
    assert not Run.objects.exists()


def test_the_pages_form_takes_one_once(world: World, tmp_path: Path) -> None:
    """A double click is one run; the same form with other code, as after the browser's way back, is another."""
    push_example(world, "digits", tmp_path)
    student = Client()
    student.force_login(world.student, "django.contrib.auth.backends.ModelBackend")
    page = student.get("/c/ml/a/digits/").content.decode()
    key = page.partition('name="key" value="')[2].partition('"')[0]
    assert len(key) == 32
    for cells in (CELLS, CELLS, ["print('three')"]):
        upload = SimpleUploadedFile("work.ipynb", notebook(cells).encode())
        answer = student.post("/c/ml/a/digits/", {"code": upload, "key": key})
        assert answer.status_code == 302, answer.content.decode()
    assert [run.entry for run in Run.objects.all()] == ["notebook.py"] * 2
