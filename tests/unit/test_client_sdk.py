"""The SDK: checkpoints survive a round trip, metrics reach mlflow, and nothing but the standard library is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "client" / "src"
sys.path.insert(0, str(SOURCE))

import nsml
from seodang import _sdk


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "SEODANG_CHECKPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEODANG_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("SEODANG_CHECKPOINT_DIR", str(tmp_path / "checkpoint"))
    monkeypatch.setattr(_sdk, "_bound", {})
    (tmp_path / "out").mkdir()
    return tmp_path


def save_in_folder(path: str) -> None:
    (Path(path) / "model.txt").write_text("weights")


def load_from_folder(path: str) -> str:
    return (Path(path) / "model.txt").read_text()


def save_as_file(path: str) -> None:
    Path(path).write_text("weights")


def load_from_file(path: str) -> str:
    return Path(path).read_text()


def save_by_stem(path: str) -> None:
    Path(path + ".h5").write_text("weights")


def load_by_stem(path: str) -> str:
    return Path(path + ".h5").read_text()


@pytest.mark.parametrize(
    ("save", "load"),
    [(save_in_folder, load_from_folder), (save_as_file, load_from_file), (save_by_stem, load_by_stem)],
)
def test_roundtrip(sealed: Path, save: Any, load: Any) -> None:
    nsml.bind(save=save, load=load)
    for _ in range(2):  # the same name overwrites
        nsml.save("best")
    assert nsml.load("best") == "weights"
    assert [path.name for path in (sealed / "out").iterdir()] == ["checkpoints"]
    (sealed / "out" / "checkpoints").rename(sealed / "checkpoint")  # as the platform mounts it
    assert nsml.load(iteration="best") == "weights"


def test_a_failing_save_keeps_the_old_checkpoint(sealed: Path) -> None:
    def half(path: str) -> None:
        (Path(path) / "part").write_text("x")
        raise OSError("disk full")

    nsml.save("best", save_fn=save_in_folder)
    with pytest.raises(OSError, match="disk full"):
        nsml.save("best", save_fn=half)
    assert nsml.load("best", load_fn=load_from_folder) == "weights"


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b"])
def test_names_stay_in_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="checkpoint's name"):
        nsml.save(name, save_fn=save_in_folder)


def test_numbers_name_a_checkpoint_and_none_is_a_timestamp(sealed: Path) -> None:
    assert nsml.save(3, save_fn=save_in_folder).endswith("/checkpoints/3")
    assert nsml.save(save_fn=save_in_folder)[-15:-7].isdigit()


def test_a_missing_checkpoint_says_where_it_looked() -> None:
    with pytest.raises(FileNotFoundError, match="Looked at"):
        nsml.load("none", load_fn=load_from_folder)


def test_report_goes_to_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    fake = SimpleNamespace(
        log_metrics=lambda values, step: calls.append((values, step)), set_tag=lambda *a: calls.append(a)
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    nsml.report(summary=True, scope={}, step=2, train__loss=0.5, note="text")
    assert calls == [({"train/loss": 0.5}, 2), ("seodang.summary", "train/loss")]


def test_a_broken_server_does_not_end_the_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(log_metrics=broken))
    monkeypatch.setenv("MLFLOW_RUN_ID", "1")
    monkeypatch.setattr(_sdk, "_warned", False)
    nsml.report(a=1)
    nsml.report(a=2)
    assert capsys.readouterr().err.count("gone") == 1


def test_paused_loads_only_in_a_submit_run(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    nsml.bind(save=save_in_folder, load=loaded.append, infer=lambda data, top=1: [data, top])
    place = Path(nsml.save("best"))
    monkeypatch.setenv("SEODANG_CHECKPOINT", str(place))
    monkeypatch.setattr(sys, "argv", ["main.py", "--lr", "0.1"])
    nsml.paused(scope=locals())
    assert loaded == []
    monkeypatch.setattr(sys, "argv", ["main.py", "--pause", "1", "--mode", "test"])
    nsml.paused(scope=locals())
    assert loaded == [str(place)]
    assert nsml.infer("x", top=5) == ["x", 5]


def test_unbound_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="bind"):
        nsml.infer(1)


def test_it_imports_with_the_standard_library_only() -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import nsml, nsml.constants as k, seodang; "
        "print(k.DATASET_PATH, k.DATASET_NAME, k.IS_ON_NSML, k.GPU_NUM, "
        "sorted({'httpx', 'click', 'rich', 'mlflow'} & set(sys.modules)))"
    )
    env = {"SEODANG": "1", "SEODANG_DATA": "/data", "SEODANG_SESSION": "kim/digits/1", "SEODANG_GPUS": "2"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SOURCE)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split(maxsplit=4) == ["/data", "digits", "True", "2", "[]\n"]
