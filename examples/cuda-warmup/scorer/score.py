"""Scores predicted classes by macro-F1 and accuracy. Standard library only: a bundle's scorer stands alone.

Exits 0 with scores.json written, or 65 where the predictions are at fault, with the line to mend as the last one that it prints.
Anything else (a traceback, exit 1) is the fault of the scorer or the labels, not of the student.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
from pathlib import Path

PREDICTIONS_AT_FAULT = 65  # EX_DATAERR of sysexits.h
CLASSES = range(3)
COLUMNS = ["id", "label"]
BYTES_MAX = 5_000_000  # far above any honest file; bounds what a hostile one can make us read
CHARS_SHOWN = 40


class Refused(Exception):
    """The predictions cannot be scored; the message is for the student."""


def shown(text: str) -> str:
    """A student's text, cut and escaped: it goes to a log that people read."""
    return ascii(text if len(text) <= CHARS_SHOWN else text[:CHARS_SHOWN] + "...")


def read_table(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, fields) of each line that is not blank, after a checked header."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise Refused(f"{path.name} is larger than {BYTES_MAX:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path.name} cannot be read ({error.strerror}); predict.py must write it to --out") from None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise Refused(f"{path.name} line {line}: holds a NUL byte; write a CSV text file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"{path.name} line {line}: is not UTF-8 text") from None
    reader = csv.reader(io.StringIO(text, newline=""))  # only real line ends count, so numbers match an editor's
    table = []
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                table.append((reader.line_num, [field.strip() for field in fields]))
    except csv.Error as error:
        raise Refused(f"{path.name} line {reader.line_num}: is not CSV ({error})") from None
    if not table or table[0][1] != COLUMNS:
        found = shown(",".join(table[0][1])) if table else "an empty file"
        line = table[0][0] if table else 1
        raise Refused(f"{path.name} line {line}: the header must be '{','.join(COLUMNS)}', found {found}")
    return table[1:]


def parse_class(text: str) -> int:
    """A class as a whole number; ``3.0`` counts as 3, since pandas writes it so. Raises ValueError."""
    value = float(text)
    if not math.isfinite(value) or not value.is_integer() or int(value) not in CLASSES:
        raise ValueError(text)
    return int(value)


def read_predictions(path: Path, ids: set[str]) -> dict[str, int]:
    """The class of each id. Raises Refused where an id is missing, extra or twice, or a class is none."""
    found: dict[str, int] = {}
    lines: dict[str, int] = {}
    for line, fields in read_table(path):
        where = f"{path.name} line {line}"
        if len(fields) != len(COLUMNS):
            raise Refused(f"{where}: has {len(fields)} fields, needs {len(COLUMNS)} ({','.join(COLUMNS)})")
        name, value = fields
        if name in found:
            raise Refused(f"{where}: id {shown(name)} is there already, on line {lines[name]}")
        if name not in ids:
            raise Refused(
                f"{where}: id {shown(name)} is not among the test ids; copy ids from the test file as they are"
            )
        try:
            found[name] = parse_class(value)
        except ValueError:
            span = f"{CLASSES[0]} to {CLASSES[-1]}"
            raise Refused(f"{where}: label {shown(value)} is not a whole number from {span}") from None
        lines[name] = line
    missing = sorted(ids - found.keys(), key=lambda name: (len(name), name))
    if missing:
        last = max(lines.values(), default=1)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise Refused(f"{path.name} ends at line {last}: there is no line for id {shown(missing[0])}{more}")
    return found


def read_labels(folder: Path) -> dict[str, int]:
    """The truth, as the teacher's bundle has it."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: int(row["label"]) for row in csv.DictReader(file)}


def macro_f1(truth: list[int], guess: list[int]) -> float:
    """The mean F1 over the classes that occur in either list, as scikit-learn's ``f1_score(average="macro")``."""
    scores = []
    for one in sorted(set(truth) | set(guess)):
        hits = sum(t == g == one for t, g in zip(truth, guess))
        scores.append(2 * hits / (truth.count(one) + guess.count(one)))
    return sum(scores) / len(scores)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("predictions", "labels", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    labels = read_labels(args.labels)
    try:
        predictions = read_predictions(args.predictions, set(labels))
    except Refused as refused:
        print(f"Not scored. {refused}.", file=sys.stderr)
        return PREDICTIONS_AT_FAULT
    truth = list(labels.values())
    guess = [predictions[name] for name in labels]
    accuracy = sum(t == g for t, g in zip(truth, guess)) / len(truth)
    args.out.write_text(json.dumps({"macro_f1": macro_f1(truth, guess), "accuracy": accuracy}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
