"""What a bound ``infer`` returned, as the file of predictions that the assignment declares. Standard library only.

``infer`` was never given one shape: hackathons called it with the test folder, with the folder and a phase, or with
nothing, and it returned labels, (confidence, label) pairs, (names, labels), rows or a table. All of these are taken.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Python 3.8, which an environment may still have, cannot subscript it at run time
    from collections.abc import Callable

_TABLES = (".csv", ".tsv", "")  # what a file of inputs with an id column is called


@dataclass(frozen=True)
class Asked:
    """The file that the platform waits for."""

    path: str
    kind: str  # csv, jsonl, npy
    columns: tuple[str, ...]


def asked() -> Asked | None:
    """What the platform asks for; None outside its predict containers."""
    path = os.environ.get("SEODANG_PREDICTIONS", "")
    if not path:
        return None
    columns = json.loads(os.environ.get("SEODANG_PREDICTIONS_COLUMNS") or "[]")
    kind = os.environ.get("SEODANG_PREDICTIONS_FORMAT", "csv")
    return Asked(path, kind, tuple(str(column) for column in columns))


def make(wanted: Asked, infer: Callable[..., Any], root: str) -> None:
    """Call ``infer`` for the inputs under ``root`` and write what it returns, unless it wrote the file itself.

    Raises ValueError where what it returned is not in the declared format, TypeError where it cannot be called.
    """
    value = call(infer, root)
    if os.path.lexists(wanted.path):
        print(f"seodang: infer wrote {wanted.path}", flush=True)
        return
    if value is None:
        raise ValueError(f"infer returned nothing and wrote no {wanted.path}: return the predictions, or write it")
    if wanted.kind == "npy":
        _write_array(wanted.path, value)
        return
    rows = rows_of(value, wanted.columns, ids_of(root, wanted.columns[0] if wanted.columns else ""))
    _write_rows(wanted, rows)
    print(f"seodang: {len(rows)} predictions in {wanted.path}", flush=True)


def call(infer: Callable[..., Any], root: str) -> Any:
    """``infer(root, phase)`` gets the data's folder, ``infer(folder)`` the folder of the test inputs in it."""
    test = os.path.join(root, "test")
    folder = test if os.path.isdir(test) else root
    parameters = list(inspect.signature(infer).parameters.values())
    needed = [one for one in parameters if one.default is one.empty and one.kind in (0, 1)]
    if any(one.name == "phase" and one.kind != one.POSITIONAL_ONLY for one in parameters):
        return infer(root, phase="test")
    if len(needed) > 2:
        names = ", ".join(one.name for one in needed)
        raise TypeError(f"infer({names}) cannot be called: it takes the folder, or the folder and a phase")
    if len(needed) == 2:
        return infer(root, "test")
    takes_one = any(one.kind in (0, 1, 2) for one in parameters)
    return infer(folder) if takes_one else infer()


def ids_of(root: str, column: str) -> list[Any]:
    """The inputs' ids, in order: ``column`` of the one table under ``root`` that has it; [] where there is none."""
    found = []
    for here, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in _TABLES:
                ids = _column(os.path.join(here, name), column)
                found += [ids] if ids else []
    return found[0] if len(found) == 1 else []


def rows_of(value: Any, columns: tuple[str, ...], ids: list[Any]) -> list[Any]:
    """``value`` as rows in the order of ``columns``. Raises ValueError."""
    items = _items(value, columns)
    if items and all(isinstance(one, Mapping) for one in items):
        return [_of_mapping(one, columns, number) for number, one in enumerate(items, start=1)]
    items = [_plain(one) for one in items]
    if len(items) == 2 != len(ids) and all(isinstance(one, list) and len(one) == len(ids) for one in items):
        items = [[name, *_cells(one)] for name, one in zip(*items)]  # (names, predictions)
    rows = [_cells(one) for one in items]
    widths = {len(row) for row in rows}
    if widths == {len(columns)}:
        return _with_ids(rows, ids)
    if widths == {len(columns) - 1}:
        return _joined(rows, columns, ids)
    shape = " or ".join(str(width) for width in sorted(widths)[:3]) or "no"
    raise ValueError(f"infer returned rows of {shape} values; the columns are {', '.join(columns)}")


def _with_ids(rows: list[Any], ids: list[Any]) -> list[Any]:
    """Rows that name their inputs as they are; NSML's (confidence, prediction) pairs go to the inputs in order."""
    known = {str(one): one for one in ids}
    named = [known.get(_id_text(row[0])) for row in rows]
    if ids and len(rows) == len(ids) and len(rows[0]) == 2 and not any(one is not None for one in named):
        print("seodang: infer returned pairs without ids: taken as (confidence, prediction), in the inputs' order")
        return [[one, row[1]] for one, row in zip(ids, rows)]
    return [[row[0] if name is None else name, *row[1:]] for name, row in zip(named, rows)]


def _joined(rows: list[Any], columns: tuple[str, ...], ids: list[Any]) -> list[Any]:
    if not ids:
        raise ValueError(
            f"infer returned predictions without {columns[0]}, and the inputs have no one table with that column: "
            f"return rows of {', '.join(columns)}"
        )
    if len(rows) != len(ids):
        raise ValueError(f"infer returned {len(rows)} predictions for {len(ids)} inputs")
    return [[one, *row] for one, row in zip(ids, rows)]


def _items(value: Any, columns: tuple[str, ...]) -> list[Any]:
    """What was returned, as a list: of rows, of mappings or of single predictions."""
    if hasattr(value, "columns") and hasattr(value, "to_dict"):  # a pandas DataFrame
        table = {str(name): _plain(value[name]) for name in value.columns}
        if set(columns) <= set(table):
            return [list(row) for row in zip(*(table[name] for name in columns))]
        if len(table) >= len(columns):
            raise ValueError(f"infer's table has the columns {', '.join(table)}; {', '.join(columns)} are needed")
        return [list(row) for row in zip(*table.values())]
    if isinstance(value, Mapping):
        if set(columns) <= set(value):
            return [list(row) for row in zip(*(_plain(value[name]) for name in columns))]
        return [[key, *_cells(_plain(one))] for key, one in value.items()]
    plain = _plain(value)
    if isinstance(plain, (str, bytes)) or not hasattr(plain, "__iter__"):
        raise ValueError(f"infer returned {type(value).__name__}; a list, an array or a table is needed")
    return list(plain)


def _plain(value: Any) -> Any:
    """Arrays, tensors and scalars of numpy, pandas and torch as Python's own; tuples as lists."""
    if hasattr(value, "tolist"):  # also a tensor on a GPU, or one with a gradient
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _cells(item: Any) -> list[Any]:
    return [_plain(one) for one in item] if isinstance(item, (list, tuple)) else [_plain(item)]


def _of_mapping(item: Any, columns: tuple[str, ...], number: int) -> list[Any]:
    missing = [name for name in columns if name not in item]
    if missing:
        raise ValueError(f"infer's row {number} has no {', '.join(missing)}")
    return [_plain(item[name]) for name in columns]


def _id_text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _column(path: str, column: str) -> list[Any]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = "\t" if "\t" in first else ","
            header = next(csv.reader([first], delimiter=delimiter), [])
            if column not in header:
                return []
            at = header.index(column)
            return [_number(row[at]) for row in csv.reader(file, delimiter=delimiter) if len(row) > at]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []  # an image, or something else that is no table


def _number(text: str) -> Any:
    """An id as JSON would have it: 17 is a number, 017 is a name."""
    return int(text) if text.isdigit() and str(int(text)) == text else text


def _write_rows(wanted: Asked, rows: list[Any]) -> None:
    with open(wanted.path, "w", encoding="utf-8", newline="") as file:
        if wanted.kind == "csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(wanted.columns)
            writer.writerows(rows)
        else:
            for row in rows:
                file.write(json.dumps(dict(zip(wanted.columns, row)), ensure_ascii=False) + "\n")


def _write_array(path: str, value: Any) -> None:
    if hasattr(value, "detach"):  # a tensor of torch
        value = value.detach().cpu()
    numpy = importlib.import_module("numpy")
    with open(path, "wb") as file:
        numpy.save(file, numpy.asarray(value), allow_pickle=False)
