"""NSML's way to predict: what ``infer`` is called with, what it may return, and what the file then holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nsml
from seodang import _predictions, _sdk

INPUTS = "id,p0\n17,0.1\n4,0.2\n9,0.3\n"
COLUMNS = ("id", "label")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "test.csv").write_text(INPUTS)
    (folder / "image.png").write_bytes(b"\x89PNG\xff")
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path) -> Path:
    """As the platform asks: a checkpoint is mounted, and a file is waited for."""
    (tmp_path / "3").mkdir()
    target = tmp_path / "predictions.csv"
    monkeypatch.setattr(_sdk, "_bound", {})
    monkeypatch.setattr(sys, "argv", ["main.py", "--lr", "1", "--mode", "test", "--pause", "1", "--iteration", "3"])
    monkeypatch.setenv("SEODANG_CHECKPOINT", str(tmp_path / "3"))
    monkeypatch.setenv("SEODANG_DATA", str(data))
    monkeypatch.setenv("SEODANG_PREDICTIONS", str(target))
    monkeypatch.setenv("SEODANG_PREDICTIONS_FORMAT", "csv")
    monkeypatch.setenv("SEODANG_PREDICTIONS_COLUMNS", json.dumps(COLUMNS))
    return target


RETURNED: dict[str, tuple[Any, str]] = {
    "labels": ([1, 2, 3], "17,1\n4,2\n9,3\n"),
    "an array": (np.array([1, 2, 3]), "17,1\n4,2\n9,3\n"),
    "an array of one column": (np.array([[1], [2], [3]]), "17,1\n4,2\n9,3\n"),
    "a generator": ((n for n in (1, 2, 3)), "17,1\n4,2\n9,3\n"),
    "numpy's own numbers": ([np.int64(1), np.float32(0.5), np.array(3)], "17,1\n4,0.5\n9,3\n"),
    "a series": (pd.Series([1, 2, 3]), "17,1\n4,2\n9,3\n"),
    "texts": (["a,b", "b", "c"], '17,"a,b"\n4,b\n9,c\n'),
    "rows": ([(4, "x"), (17, "y"), (9, "z")], "4,x\n17,y\n9,z\n"),
    "rows of an array, whose ids became floats": (np.array([[4, 0.5], [17, 1.0], [9, 2.0]]), "4,0.5\n17,1.0\n9,2.0\n"),
    "mappings": ([{"label": 1, "id": 4}, {"label": 2, "id": 9, "more": 0}], "4,1\n9,2\n"),
    "(confidence, label) pairs": ([(0.9, 1), (0.8, 2), (0.7, 3)], "17,1\n4,2\n9,3\n"),
    "zipped pairs of numpy": (zip(np.ones(3), np.array([1, 2, 3])), "17,1\n4,2\n9,3\n"),
    "(names, labels)": ([np.array([9, 4, 17]), np.array([1, 2, 3])], "9,1\n4,2\n17,3\n"),
    "by id": ({17: 1, 4: np.int64(2), 9: 3}, "17,1\n4,2\n9,3\n"),
    "by column": ({"label": [1, 2], "id": np.array([4, 9])}, "4,1\n9,2\n"),
    "a table": (pd.DataFrame({"label": [1, 2], "more": 0, "id": [4, 9]}), "4,1\n9,2\n"),
    "a table of one column": (pd.DataFrame({"label": [1, 2, 3]}), "17,1\n4,2\n9,3\n"),
}


@pytest.mark.parametrize("name", RETURNED)
def test_what_infer_may_return(asked: Path, name: str) -> None:
    value, rows = RETURNED[name]
    loaded: list[str] = []
    nsml.bind(load=loaded.append, infer=lambda folder: value)
    with pytest.raises(SystemExit) as ended:
        nsml.paused(scope=locals())
    assert ended.value.code == 0, "or it would train"
    assert asked.read_text() == "id,label\n" + rows
    assert [Path(one).name for one in loaded] == ["3"]


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (None, "returned nothing and wrote no .*predictions.csv"),
    "too few": ([1, 2], "2 predictions for 3 inputs"),
    "a number": (3, "returned int; a list"),
    "a text": ("done", "returned str; a list"),
    "rows too wide": ([(1, 2, 3)], "rows of 3 values; the columns are id, label"),
    "no rows": ([], "rows of no values"),
    "uneven rows": ([(1, 2), (1, 2, 3)], "rows of 2 or 3 values"),
    "mappings that lack a column": ([{"id": 1, "label": 2}, {"id": 1}], "row 2 has no label"),
    "a table of other columns": (pd.DataFrame({"a": [1], "b": [2]}), "has the columns a, b; id, label are needed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_may_not(asked: Path, name: str) -> None:
    value, words = REFUSED[name]
    nsml.bind(load=lambda path: None, infer=lambda folder: value)
    with pytest.raises(ValueError, match=words):
        nsml.paused()
    assert not asked.exists()


def test_without_a_table_of_inputs_rows_must_name_them(asked: Path, data: Path) -> None:
    (data / "test.csv").unlink()
    nsml.bind(load=lambda path: None, infer=lambda folder: [1, 2, 3])
    with pytest.raises(ValueError, match="return rows of id, label"):
        nsml.paused()
    nsml.bind(infer=lambda folder: [("a.png", 1)])
    with pytest.raises(SystemExit):
        nsml.paused()
    assert asked.read_text() == "id,label\na.png,1\n"


def test_infer_may_write_the_file_itself(asked: Path) -> None:
    nsml.bind(load=lambda path: None, infer=lambda folder: asked.write_text("id,label\n4,1\n"))
    with pytest.raises(SystemExit):
        nsml.paused()
    assert asked.read_text() == "id,label\n4,1\n"


def test_without_infer_the_script_goes_on_by_itself(asked: Path) -> None:
    nsml.bind(load=lambda path: None)
    nsml.paused()


@pytest.mark.parametrize("inner", ["", "test"])
def test_how_infer_is_called(data: Path, inner: str) -> None:
    """With the data's folder and a phase, or with the folder of the test inputs, as the layout has it."""
    root = str(data)
    folder = root
    if inner:
        (data / inner).mkdir()
        folder = f"{root}/{inner}"
    calls: dict[str, tuple[Callable[..., Any], Any]] = {
        "root and phase": (lambda root, phase: (root, phase), (root, "test")),
        "a phase with a default": (lambda root, phase="train": (root, phase), (root, "test")),
        "two of other names": (lambda where, which: (where, which), (root, "test")),
        "one": (lambda data: data, folder),
        "one, and what has defaults": (lambda data, top_k=100: (data, top_k), (folder, 100)),
        "any": (lambda *args, **kw: args, (folder,)),
        "none": (lambda: "called", "called"),
    }
    for name, (infer, given) in calls.items():
        assert _predictions.call(infer, root) == given, name
    with pytest.raises(TypeError, match="infer\\(a, b, c\\)"):
        _predictions.call(lambda a, b, c: None, root)


def test_json_lines(tmp_path: Path, data: Path) -> None:
    wanted = _predictions.Asked(str(tmp_path / "p.jsonl"), "jsonl", ("id", "text"))
    _predictions.make(wanted, lambda folder: np.array(["한", "b", "c"]), str(data))
    lines = [json.loads(line) for line in Path(wanted.path).read_text().splitlines()]
    assert lines == [{"id": 17, "text": "한"}, {"id": 4, "text": "b"}, {"id": 9, "text": "c"}]


def test_an_array(tmp_path: Path, data: Path) -> None:
    wanted = _predictions.Asked(str(tmp_path / "p.npy"), "npy", ())
    tensor = SimpleNamespace(detach=lambda: SimpleNamespace(cpu=lambda: np.eye(3)))
    for value in (np.eye(3), np.eye(3).tolist(), tensor):
        Path(wanted.path).unlink(missing_ok=True)
        _predictions.make(wanted, lambda folder, value=value: value, str(data))
        assert (np.load(wanted.path) == np.eye(3)).all()


@pytest.mark.parametrize(
    ("tables", "ids"),
    [
        ({"test.csv": "id,x\n1,2\n"}, [1]),
        ({"test/test_data/test_data": "id\tx\na,b\t2\n"}, ["a,b"]),
        ({"a.csv": "x\n1\n", "b.csv": "\ufeffid\n007\n"}, ["007"]),
        ({"a.csv": "id\n1\n", "b.csv": "id\n2\n"}, []),
        ({"a.csv": ""}, []),
    ],
)
def test_where_the_ids_are(tmp_path: Path, tables: dict[str, str], ids: list[Any]) -> None:
    for name, content in tables.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert _predictions.ids_of(str(tmp_path), "id") == ids
