"""Parsing what containers gave back. All of it is hostile: bounded, typed, and refused with a sentence. Pure."""

from __future__ import annotations

import builtins
import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Mapping, Sequence

from courses.assignments.bundle import AssignmentConfig
from runner.sentences import Said, tell

ROWS_MAX = 5_000_000
CELL_CHARS_MAX = 2_000


class BadPredictions(Said):
    """The student's file is not in the declared format."""


class BadScores(Said):
    """The scorer's file is not usable: the instructor's fault."""


def parse_predictions(content: bytes, config: AssignmentConfig, *, trial: bool = False) -> bytes:
    """The predictions, parsed and written anew in the declared format. Raises BadPredictions.

    A trial's sample has rows of its own number, no more than the test; its scorer checks them.
    """
    most = config.rows or ROWS_MAX
    if trial:
        config = dataclasses.replace(config, rows=None)
    if config.predictions_format == "npy":
        return _npy(content, config.rows)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise BadPredictions(tell("{file} is not UTF-8 text.", file=config.predictions_file)) from None
    rows = _csv_rows(text, config, most) if config.predictions_format == "csv" else _jsonl_rows(text, config, most)
    if config.rows is not None and len(rows) != config.rows:
        raise BadPredictions(
            tell(
                "{file} has {n:,} rows; {needed:,} are needed.",
                file=config.predictions_file,
                n=len(rows),
                needed=config.rows,
            )
        )
    return _write(rows, config)


def _csv_rows(text: str, config: AssignmentConfig, most: int) -> list[Sequence[str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        if tuple(cell.strip() for cell in header) != config.columns:
            raise BadPredictions(tell("The first line must be {columns}.", columns=",".join(config.columns)))
        rows: list[Sequence[str]] = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(config.columns):
                raise BadPredictions(
                    tell(
                        "Line {line} has {n} cells; {needed} are needed.",
                        line=reader.line_num,
                        n=len(row),
                        needed=len(config.columns),
                    )
                )
            if any(len(cell) > CELL_CHARS_MAX for cell in row):
                raise BadPredictions(
                    tell(
                        "Line {line} has a cell of over {most:,} characters.", line=reader.line_num, most=CELL_CHARS_MAX
                    )
                )
            if len(rows) >= most:
                raise BadPredictions(
                    tell("{file} has more than {most:,} rows.", file=config.predictions_file, most=most)
                )
            rows.append(row)
    except csv.Error as error:
        raise BadPredictions(tell("Line {line} is not CSV: {error}.", line=reader.line_num, error=error)) from None
    return rows


def _jsonl_rows(text: str, config: AssignmentConfig, most: int) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise BadPredictions(tell("Line {line} is not JSON.", line=number)) from None
        if not isinstance(value, dict) or set(value) != set(config.columns):
            raise BadPredictions(
                tell("Line {line} must have the keys {columns}.", line=number, columns=", ".join(config.columns))
            )
        if len(rows) >= most:
            raise BadPredictions(tell("{file} has more than {most:,} rows.", file=config.predictions_file, most=most))
        rows.append([json.dumps(value[column]) for column in config.columns])
    return rows


def _write(rows: list[Sequence[str]], config: AssignmentConfig) -> bytes:
    sink = io.StringIO(newline="")
    if config.predictions_format == "csv":
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(config.columns)
        writer.writerows(rows)
    else:
        for row in rows:
            sink.write(
                json.dumps({key: json.loads(cell) for key, cell in zip(config.columns, row, strict=True)}) + "\n"
            )
    return sink.getvalue().encode()


def _npy(content: bytes, rows: int | None) -> bytes:
    import numpy as np

    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadPredictions(tell("It is not a plain .npy array: {error}", error=error)) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise BadPredictions(tell("It is not an array of numbers."))
    if rows is not None and (array.ndim == 0 or len(array) != rows):
        raise BadPredictions(
            tell("It has the shape {shape}; {needed:,} rows are needed.", shape=array.shape, needed=rows)
        )
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def parse_scores(content: bytes, config: AssignmentConfig) -> dict[str, float]:
    """Every declared metric, finite, and nothing else. Raises BadScores."""
    if len(content) > 100_000:
        raise BadScores("scores.json is larger than 100 kB.")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise BadScores("scores.json is not JSON.") from None
    if not isinstance(value, dict):
        raise BadScores("scores.json is not an object.")
    names = {metric.name for metric in config.metrics}
    if set(value) != names:
        raise BadScores(f"scores.json must have exactly the keys {', '.join(sorted(names))}.")
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not _finite(number):
            raise BadScores(f"{key} is {str(number)[:40]!r}, not a finite number.")
    return {key: float(number) for key, number in value.items()}


def _finite(number: int | float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number of hundreds of digits
        return False


FRAME = re.compile(r'^\s*File "/code/(?P<file>[\w./-]{1,200})", line (?P<line>\d{1,6})', re.MULTILINE)
RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]{0,80}(?:Error|Exception|Interrupt|Exit|Warning))\b", re.MULTILINE)
STANDARD_ERRORS = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)


def where_it_failed(log_tail: str, own_files: Mapping[str, int]) -> str:
    """``infer.py:31 KeyError`` of a traceback: the type if it is a standard one, and the line of their own file.

    The message is left out since it may hold test data. So might a made-up type, file or line number in a forged
    traceback: types are the standard ones, files are ``own_files``, and the line is one that the file has: as many
    lines as it has.
    """
    frames = [
        frame for frame in FRAME.finditer(log_tail) if 1 <= int(frame["line"][:9]) <= own_files.get(frame["file"], 0)
    ]
    raised = list(RAISED.finditer(log_tail))
    kind = raised[-1]["type"] if raised else ""
    place = f"{frames[-1]['file']}:{frames[-1]['line']}" if frames else ""
    return " ".join(part for part in (place, kind if kind in STANDARD_ERRORS else "an error" if kind else "") if part)
