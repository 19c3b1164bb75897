"""Checkpoints, metrics and the sealed predict run, for a script inside a container or on a laptop.

Standard library only. Folders are read from the environment at each call; the constants once, at import.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seodang import _predictions

if TYPE_CHECKING:  # Python 3.8, which an environment may still have, cannot subscript it at run time
    from collections.abc import Callable

    SaveOrLoad = Callable[[str], Any]

_NAME_CHARACTERS_MAX = 100
# Left in a checkpoint whose script took the path for the stem of file names (``path + ".h5"``).
_STEM_FILE = ".seodang-stem"


def _gpu_count() -> int:
    """How many GPUs this process was given; 0 where nothing says so."""
    given = os.environ.get("SEODANG_GPUS", "")
    if given.isdigit():
        return int(given)
    devices = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("NVIDIA_VISIBLE_DEVICES") or ""
    return 0 if devices in ("", "void", "none", "all", "-1") else len(devices.split(","))


IS_ON_NSML: bool = os.environ.get("SEODANG") == "1"
SESSION_NAME: str = os.environ.get("SEODANG_SESSION", "")
DATASET_NAME: str = SESSION_NAME.split("/")[1] if SESSION_NAME.count("/") == 2 else ""
DATASET_PATH: str = os.environ.get("SEODANG_DATA", "data")
HAS_DATASET: bool = os.path.isdir(DATASET_PATH)
IS_DATASET: bool = HAS_DATASET
GPU_NUM: int = _gpu_count()

_bound: dict[str, Any] = {}
_warned = False


def bind(
    save: SaveOrLoad | None = None,
    load: SaveOrLoad | None = None,
    infer: Callable[..., Any] | None = None,
    **kw: Any,
) -> None:
    """Register what saves and loads a model at a path, and what predicts. A later call replaces what it names."""
    given = {"save": save, "load": load, "infer": infer, **kw}
    _bound.update({name: value for name, value in given.items() if value is not None})


def save(checkpoint: Any = None, save_fn: SaveOrLoad | None = None, iteration: Any = None, **_: Any) -> str:
    """Save a checkpoint and return its path. No name: a timestamp. The same name overwrites, all or nothing."""
    chosen = checkpoint if checkpoint is not None else iteration
    name = _checked_name(time.strftime("%Y%m%d-%H%M%S") if chosen is None else chosen)
    write = _function("save", save_fn)
    out = _out_folder()
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    # Beside its place, on the same file system, so that the last step is one rename.
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=str(out)))
    try:
        made = _write_checkpoint(write, staging, name)
        final = out / "checkpoints" / name
        _remove(final)
        os.replace(str(made), str(final))
    finally:
        shutil.rmtree(str(staging), ignore_errors=True)
    return str(final)


def load(
    checkpoint: Any = None,
    load_fn: SaveOrLoad | None = None,
    session: str | None = None,
    iteration: Any = None,
    **_: Any,
) -> Any:
    """Load a checkpoint by name, and return what the load function returned.

    Looks in what the platform mounted, then in this run's own. Another run's checkpoint (``session``) is there
    only where the platform mounted it: a container has no network.
    """
    name = checkpoint if checkpoint is not None else iteration
    if name is None:
        raise ValueError("nsml.load needs a checkpoint's name")
    path = _find_checkpoint(str(name), session)
    stem = path / _STEM_FILE
    if stem.is_file():
        path = path / stem.read_text(encoding="utf-8")
    return _function("load", load_fn)(str(path))


def report(summary: bool = False, scope: Any = None, step: Any = None, **kw: Any) -> None:
    """Log numbers; ``train__loss`` means ``train/loss``. What is not a number is left out.

    ``summary=True`` marks them for ``ps``. A failure to log warns once and never ends the training.
    """
    numbers = {name.replace("__", "/"): float(value) for name, value in kw.items() if _is_number(value)}
    if not numbers:
        return
    mlflow = _mlflow()
    if mlflow is None:
        where = "" if step is None else f"step {step}: "
        print(where + ", ".join(f"{name} {value:g}" for name, value in numbers.items()), flush=True)
        return
    try:
        mlflow.log_metrics(numbers, step=None if step is None else int(step))
        if summary:
            mlflow.set_tag("seodang.summary", ",".join(sorted(numbers)))
    except Exception as error:
        _warn_once(f"metrics are not being logged: {error}")


def paused(scope: Any = None, **_: Any) -> None:
    """In a submit run (``--pause 1 --mode test``) load the checkpoint, write what ``infer`` predicts, and end.

    Elsewhere it does nothing. Where the platform asks for no predictions, or no ``infer`` is bound, it only loads.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--pause", default="0")
    parser.add_argument("--mode", default="train")
    parser.add_argument("--iteration")
    asked, _rest = parser.parse_known_args(sys.argv[1:])
    if asked.pause in ("0", "False", "false") or asked.mode != "test":
        return
    given = os.environ.get("SEODANG_CHECKPOINT") or asked.iteration
    if not given:
        raise RuntimeError("This is a submit run, and neither SEODANG_CHECKPOINT nor --iteration names a checkpoint")
    load(given)
    wanted = _predictions.asked()
    if wanted is not None and "infer" in _bound:
        _predictions.make(wanted, _bound["infer"], os.environ.get("SEODANG_DATA", "data"))
        sys.exit(0)  # or the script would go on to train


def infer(*args: Any, **kw: Any) -> Any:
    """Call the bound ``infer``."""
    return _function("infer", None)(*args, **kw)


def _out_folder() -> Path:
    return Path(os.environ.get("SEODANG_OUT", "out"))


def _checkpoint_folder() -> Path:
    return Path(os.environ.get("SEODANG_CHECKPOINT_DIR", "/checkpoint"))


def _checked_name(given: Any) -> str:
    name = str(given)
    if not name or len(name) > _NAME_CHARACTERS_MAX or name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError(
            f"A checkpoint's name has 1 to {_NAME_CHARACTERS_MAX} characters, no slash, and no dot first: {name!r}"
        )
    return name


def _function(kind: str, given: Callable[..., Any] | None) -> Callable[..., Any]:
    chosen = given if given is not None else _bound.get(kind)
    if chosen is None:
        raise RuntimeError(f"Nothing to {kind} with: call nsml.bind({kind}=...) first, or pass {kind}_fn")
    function: Callable[..., Any] = chosen
    return function


def _write_checkpoint(write: SaveOrLoad, staging: Path, name: str) -> Path:
    """Call ``write`` with a folder; where it wants a file or a folder of its own there, call it again with none."""
    target = staging / name
    target.mkdir()
    try:
        write(str(target))
    except Exception:
        # Only when nothing was written: a script that failed half-way must not be run twice.
        if any(target.iterdir()) or len(list(staging.iterdir())) != 1:
            raise
        target.rmdir()
        try:
            write(str(target))
        except Exception:
            _remove(target)
        if not target.exists():
            raise
        return target
    beside = [one for one in staging.iterdir() if one != target]
    if beside and target.is_dir():
        for one in beside:
            os.replace(str(one), str(target / one.name))
        if all(one.name.startswith(name) for one in beside):
            (target / _STEM_FILE).write_text(name, encoding="utf-8")
    return target


def _find_checkpoint(name: str, session: str | None) -> Path:
    mounted = os.environ.get("SEODANG_CHECKPOINT", "")
    places = [Path(name)] if os.path.isabs(name) else []
    if mounted and os.path.basename(mounted.rstrip("/")) == name:
        places.append(Path(mounted))
    places.append(_checkpoint_folder() / name)
    if session in (None, SESSION_NAME):
        places.append(_out_folder() / "checkpoints" / name)
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(
        "No checkpoint {!r}{} here. Looked at: {}".format(
            name, " of " + session if session else "", ", ".join(str(place) for place in places)
        )
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif path.exists() or path.is_symlink():
        path.unlink()


def _is_number(value: Any) -> bool:
    if isinstance(value, (str, bytes, bool)) or value is None:
        return False
    try:
        float(value)  # also takes the scalars of numpy and torch
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def _mlflow() -> Any:
    """The mlflow module where there is a server to log to; without one it would fill the folder with files."""
    if not (os.environ.get("MLFLOW_TRACKING_URI") or os.environ.get("MLFLOW_RUN_ID")):
        return None
    try:
        return importlib.import_module("mlflow")
    except ImportError:
        return None


def _warn_once(text: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        print("seodang: " + text, file=sys.stderr, flush=True)
