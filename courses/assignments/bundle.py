"""assignment.yaml: its shape, and a parser that names file, line and key of every fault at once. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import yaml

SIZE = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
YAML_BYTES_MAX = 100_000
_text = {"type": "string", "maxLength": 2000}
_words = {"oneOf": [_text, {"type": "object", "additionalProperties": _text, "required": ["en"]}]}
_path = {"type": "string", "pattern": r"^(?!/)(?!.*\.\.)[\w./-]+$", "maxLength": 200}
_title = {"type": "string", "minLength": 1, "maxLength": 200}
_titles = {"oneOf": [_title, {"type": "object", "additionalProperties": _title, "required": ["en"]}]}
_spdx = {
    "type": "string",
    "maxLength": 64,
    "pattern": r"^[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*$",
}
_size = {"type": "string", "pattern": "^[1-9][0-9]{0,5}[KMG]$"}
_positive = {"type": "integer", "minimum": 1, "maximum": 10_000_000}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Seodang assignment",
    **_object(
        ["version", "slug", "title", "data", "predictions", "metrics", "schedule"],
        version={"const": 1},
        slug={"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
        title=_titles,
        summary=_words,
        environment={"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"},
        entry={"type": "string", "minLength": 1, "maxLength": 300},
        resources=_object(
            [], gpus={"type": "integer", "minimum": 0, "maximum": 64}, cpus={"type": "number", "exclusiveMinimum": 0, "maximum": 1024},
            memory=_size, minutes={**_positive, "maximum": 10080}, output=_size, isolation={"enum": ["container", "gvisor"]},
        ),
        data=_object(
            ["license", "train", "test", "labels"], license=_spdx, source={"type": "string", "maxLength": 300}, train=_path, test=_path, labels=_path,
            sample=_path,
        ),
        predictions=_object(
            ["format", "file"], format={"enum": ["csv", "jsonl", "npy"]}, file={"type": "string", "pattern": r"^[\w.-]+$"},
            columns={"type": "array", "items": _text, "minItems": 1, "maxItems": 100}, rows=_positive,
        ),
        metrics={
            "type": "array", "minItems": 1, "maxItems": 20,
            "items": _object(
                ["name", "goal"], name={"type": "string", "pattern": r"^[\w./-]{1,60}$"}, goal={"enum": ["min", "max"]},
                precision={"type": "integer", "minimum": 0, "maximum": 10}, primary={"type": "boolean"},
            ),
        },
        limits=_object([], submissions_per_day=_positive, running_at_once=_positive, team_size=_positive),
        schedule=_object(["opens", "due"], opens={}, due={}),
        board=_object([], visibility={"enum": ["names", "staff"]}),
        baseline=_path,
        **{"pass": {"type": "number"}},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One fault of a bundle, for the person who wrote it."""

    file: str
    line: int
    key: str
    message: str


class BundleError(Exception):
    """The bundle cannot be used. ``problems`` has all its faults, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.file}:{p.line} {p.key}: {p.message}" for p in problems))
        self.problems = problems


@dataclass(frozen=True)
class Metric:
    name: str
    goal: str  # min, max
    precision: int = 4
    primary: bool = False


@dataclass(frozen=True)
class AssignmentConfig:
    """What the platform needs of assignment.yaml, with the defaults filled in."""

    slug: str
    title: Mapping[str, str]
    summary: Mapping[str, str]
    environment: str
    entry: str
    gpus: int
    cpus: float
    memory_bytes: int
    minutes: int
    output_bytes: int
    isolation: str  # container, or gvisor: a kernel of its own between the code and the node's
    license: str
    source: str
    paths: Mapping[str, str]  # train, test, labels, sample, baseline
    predictions_format: str
    predictions_file: str
    columns: tuple[str, ...]
    rows: int | None
    metrics: tuple[Metric, ...]
    submissions_per_day: int
    running_at_once: int
    team_size: int
    opens_at: dt.datetime
    due_at: dt.datetime
    visibility: str
    pass_score: float | None

    @property
    def primary(self) -> Metric:
        return next((metric for metric in self.metrics if metric.primary), self.metrics[0])

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> AssignmentConfig:
        """``raw`` has passed the schema. Times are ISO strings or datetimes with an offset."""
        resources, data, limits = raw.get("resources", {}), raw["data"], raw.get("limits", {})
        paths = {name: data[name] for name in ("train", "test", "labels", "sample") if name in data}
        if "baseline" in raw:
            paths["baseline"] = raw["baseline"]
        return cls(
            slug=raw["slug"],
            title=_by_language(raw["title"]),
            summary=_by_language(raw.get("summary", "")),
            environment=raw.get("environment", "base"),
            entry=raw.get("entry", "python3 train.py"),
            gpus=resources.get("gpus", 0),
            cpus=float(resources.get("cpus", 1)),
            memory_bytes=size_bytes(resources.get("memory", "1G")),
            minutes=resources.get("minutes", 10),
            output_bytes=size_bytes(resources.get("output", "256M")),
            isolation=resources.get("isolation", "container"),
            license=data["license"],
            source=data.get("source", ""),
            paths=paths,
            predictions_format=raw["predictions"]["format"],
            predictions_file=raw["predictions"]["file"],
            columns=tuple(raw["predictions"].get("columns", ())),
            rows=raw["predictions"].get("rows"),
            metrics=tuple(Metric(**metric) for metric in raw["metrics"]),
            submissions_per_day=limits.get("submissions_per_day", 20),
            running_at_once=limits.get("running_at_once", 2),
            team_size=limits.get("team_size", 1),
            opens_at=_moment(raw["schedule"]["opens"]),
            due_at=_moment(raw["schedule"]["due"]),
            visibility=raw.get("board", {}).get("visibility", "names"),
            pass_score=raw.get("pass"),
        )


def size_bytes(words: str) -> int:
    """``512M`` in bytes."""
    return int(words[:-1]) * SIZE[words[-1]]


def _by_language(words: Any) -> Mapping[str, str]:
    return words if isinstance(words, dict) else {"en": words}


def _moment(value: Any) -> dt.datetime:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError("needs a time zone offset, as in 2027-03-01T23:59:00+09:00")
    return moment


def parse(content: bytes, file: str = "assignment.yaml") -> dict[str, Any]:
    """The document as JSON-able data. Raises BundleError with every fault."""
    if len(content) > YAML_BYTES_MAX:
        raise BundleError([Problem(file, 1, "", f"is larger than {YAML_BYTES_MAX:,} bytes")])
    try:
        source = content.decode()
    except UnicodeDecodeError as error:
        raise BundleError([Problem(file, 1, "", f"is not UTF-8 at byte {error.start}; save it as UTF-8")]) from None
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
        if node is None:
            raise BundleError([Problem(file, 1, "", "is empty")])
        lines = _lines(node)
        raw = yaml.safe_load(source)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise BundleError([Problem(file, line, "", str(getattr(error, "problem", error)))]) from None
    except (ValueError, OverflowError) as error:  # of a value that YAML itself reads, such as the 45th of a month
        raise BundleError([Problem(file, 1, "", f"a value cannot be read: {error}")]) from None
    except RecursionError:
        raise BundleError([Problem(file, 1, "", "is nested too deeply")]) from None
    if problems := [Problem(file, lines.get(path, 1), _key(path), words) for path, words in _unstorable(raw)]:
        raise BundleError(problems)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    found = [(tuple(error.absolute_path), error.message) for error in map(_closest, validator.iter_errors(raw))]
    problems = [Problem(file, lines.get(path, 1), _key(path), _short(words)) for path, words in found]
    if not problems:
        problems = _beyond_schema(raw, lines, file)
    if problems:
        raise BundleError(sorted(problems, key=lambda problem: problem.line))
    for key in ("opens", "due"):
        raw["schedule"][key] = _moment(raw["schedule"][key]).isoformat()
    return dict(raw)


def _closest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of a choice (text, or text by language) what is wrong with the one that was meant."""
    return jsonschema.exceptions.best_match([error]) or error


def _short(words: str) -> str:
    """The start and the end: a message quotes the value, however long, and then says what is wrong with it."""
    return words if len(words) <= 300 else f"{words[:140]} … {words[-140:]}"


def key_lines(content: bytes) -> dict[str, int]:
    """The line of each key, as ``data.train``, of a document that was parsed before."""
    node = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    return {_key(path): line for path, line in _lines(node).items()} if node else {}


def _key(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def _unstorable(raw: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """What YAML takes and JSON or the database does not: (path, what is wrong)."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            if not isinstance(key, str):
                yield path, f"the key {str(key)[:40]} is no text; put it in quotes"
            else:
                yield from _unstorable(value, (*path, key))
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from _unstorable(value, (*path, index))
    elif isinstance(raw, float) and not math.isfinite(raw):
        yield path, "is not a finite number"
    elif isinstance(raw, str) and any(letter == "\0" or 0xD800 <= ord(letter) < 0xE000 for letter in raw):
        yield path, "has a character that no text may have (NUL or half of a pair)"
    elif isinstance(raw, bytes | set):
        yield path, "is neither text, number, list nor mapping"


def _beyond_schema(raw: dict[str, Any], lines: dict[tuple[Any, ...], int], file: str) -> list[Problem]:
    problems = []
    moments: dict[str, dt.datetime] = {}
    for key in ("opens", "due"):
        try:
            moments[key] = _moment(raw["schedule"][key])
        except ValueError as error:
            problems.append(Problem(file, lines.get(("schedule", key), 1), f"schedule.{key}", str(error)))
    if len(moments) == 2 and moments["due"] <= moments["opens"]:
        problems.append(Problem(file, lines.get(("schedule", "due"), 1), "schedule.due", "is not after schedule.opens"))
    if sum(bool(metric.get("primary")) for metric in raw["metrics"]) > 1:
        problems.append(Problem(file, lines.get(("metrics",), 1), "metrics", "more than one is primary"))
    return problems


def _lines(node: yaml.Node) -> dict[tuple[Any, ...], int]:
    """The line of each key. An anchor that holds itself is refused: no document of ours needs one."""
    found: dict[tuple[Any, ...], int] = {}

    def walk(at: yaml.Node, path: tuple[Any, ...], above: frozenset[int]) -> None:
        if id(at) in above:
            problem = Problem("assignment.yaml", at.start_mark.line + 1, ".".join(map(str, path)), "contains itself")
            raise BundleError([problem])
        if len(found) > 5000:
            raise BundleError(
                [Problem("assignment.yaml", 1, "", "has too many entries (aliases expand to over 5,000)")]
            )
        found.setdefault(path, at.start_mark.line + 1)
        inner = above | {id(at)}
        if isinstance(at, yaml.MappingNode):
            for key, value in at.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else ""
                if (*path, name) in found:
                    raise BundleError(
                        [Problem("assignment.yaml", key.start_mark.line + 1, _key((*path, name)), "is there twice")]
                    )
                found[(*path, name)] = key.start_mark.line + 1
                walk(value, (*path, name), inner)
        elif isinstance(at, yaml.SequenceNode):
            for index, value in enumerate(at.value):
                walk(value, (*path, index), inner)

    walk(node, (), frozenset())
    return found
