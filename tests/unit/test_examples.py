"""The example assignments: their bundles are sound, their scorers judge rightly, and better beats the baseline."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from courses.assignments import bundle

EXAMPLES = Path(__file__).parents[2] / "examples"
SLUGS = ("digits", "diabetes", "mnist-torch", "cuda-warmup")
SECONDS_MAX = 120  # a baseline takes a few seconds; a busy CI machine gets room
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Scored:
    """What a scorer said: its exit code, its words and, when it has any, its scores."""

    code: int
    words: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Example:
    """One example and a folder to work in."""

    slug: str
    folder: Path
    labels: Path
    work: Path

    @property
    def column(self) -> str:
        return "value" if self.slug == "diabetes" else "label"

    def truth(self) -> list[list[str]]:
        """Perfect predictions: the labels themselves, header first."""
        with (self.labels / "labels.csv").open(newline="") as file:
            return list(csv.reader(file))

    def score(self, content: str | bytes) -> Scored:
        predictions, out = self.work / "predictions.csv", self.work / "scores.json"
        predictions.write_bytes(content.encode() if isinstance(content, str) else content)
        return run_scorer(self.folder, predictions, self.labels, out)


def run_scorer(folder: Path, predictions: Path, labels: Path, out: Path) -> Scored:
    arguments = ["--predictions", str(predictions), "--labels", str(labels), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-I", "-B", str(folder / "scorer/score.py"), *arguments],
        capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    scores = json.loads(out.read_text()) if out.exists() else {}
    return Scored(done.returncode, done.stderr, scores)


def as_csv(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


@pytest.fixture(params=[slug for slug in SLUGS if slug != "cuda-warmup"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    """Each example that needs no GPU. MNIST's data is made by a script, so its labels here are made up."""
    slug: str = request.param
    folder = EXAMPLES / slug
    if slug != "mnist-torch":
        return Example(slug, folder, folder / "data/labels", tmp_path)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "labels.csv").write_text(as_csv([["id", "label"], *([str(i), str(i % 10)] for i in range(1, 101))]))
    return Example(slug, folder, labels, tmp_path)


def test_perfect_predictions_get_the_best_score(example: Example) -> None:
    best = {"rmse": 0.0, "mae": 0.0} if example.slug == "diabetes" else {"macro_f1": 1.0, "accuracy": 1.0}
    assert example.score(as_csv(example.truth())) == Scored(0, "", best)


def test_order_blank_lines_and_a_byte_order_mark_do_not_matter(example: Example) -> None:
    header, *rows = example.truth()
    windows = "\ufeff" + as_csv([header, *reversed(rows)]).replace("\n", "\r\n") + "\r\n"
    assert example.score(windows).scores == example.score(as_csv([header, *rows])).scores


def _edit(line: int, replace: Callable[[list[str]], list[str]]) -> Callable[[list[list[str]]], list[list[str]]]:
    return lambda rows: [replace(row) if at == line else row for at, row in enumerate(rows, start=1)]


FAULTS: dict[str, tuple[Callable[[list[list[str]]], list[list[str]]], str]] = {
    "wrong header": (_edit(1, lambda row: ["id", "guess"]), "line 1: the header must be"),
    "id twice": (lambda rows: [*rows[:5], rows[2], *rows[5:]], "line 6: id '{2}' is there already, on line 3"),
    "id extra": (lambda rows: [*rows, ["nobody", "1"]], "line {last+1}: id 'nobody' is not among the test ids"),
    "id missing": (lambda rows: rows[:-1], "ends at line {last-1}: there is no line for id '{last}'"),
    "no number": (_edit(4, lambda row: [row[0], "cat"]), "line 4: {column} 'cat' is not a"),
    "nan": (_edit(4, lambda row: [row[0], "nan"]), "line 4: {column} 'nan' is not a"),
    "infinite": (_edit(4, lambda row: [row[0], "1e999"]), "line 4: {column} '1e999' is not a"),
    "nothing": (_edit(4, lambda row: [row[0], ""]), "line 4: {column} '' is not a"),
    "a field too many": (_edit(4, lambda row: [*row, "1"]), "line 4: has 3 fields, needs 2"),
    "empty": (lambda rows: [], "line 1: the header must be"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused_and_the_line_named(example: Example, fault: str) -> None:
    change, words = FAULTS[fault]
    rows = example.truth()
    words = words.replace("{column}", example.column).replace("{2}", rows[2][0])
    words = words.replace("{last}", rows[-1][0]).replace("{last+1}", str(len(rows) + 1))
    words = words.replace("{last-1}", str(len(rows) - 1))
    scored = example.score(as_csv(change(rows)))
    assert (scored.code, scored.scores) == (65, {})
    assert words in scored.words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,label\n1,\xff\n", "line 2: is not UTF-8"),
        (b"id,label\n1,2\n2,\0\n", "line 3: holds a NUL byte"),
        (b"x" * 5_000_001, "larger than 5,000,000 bytes"),
        (b'id,label\n1,"' + b"7" * 200_000 + b'"\n', "line 2: is not CSV"),
    ],
)  # fmt: skip
def test_hostile_bytes_are_refused_in_words(example: Example, content: bytes, words: str) -> None:
    scored = example.score(content)
    assert scored.code == 65
    assert words in scored.words and "Traceback" not in scored.words


def test_a_missing_file_is_the_students_fault(example: Example) -> None:
    scored = run_scorer(example.folder, example.work / "none.csv", example.labels, example.work / "scores.json")
    assert scored.code == 65 and "cannot be read" in scored.words


def test_macro_f1_is_scikit_learns(tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    folder = EXAMPLES / "digits"
    digits = Example("digits", folder, folder / "data/labels", tmp_path)
    header, *rows = digits.truth()
    guess = [[name, str((int(label) + int(name) % 3) % 10)] for name, label in rows]
    expected = metrics.f1_score([row[1] for row in rows], [row[1] for row in guess], average="macro")
    assert digits.score(as_csv([header, *guess])).scores["macro_f1"] == pytest.approx(expected)


def _read(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("slug", SLUGS)
def test_the_bundle_is_complete(slug: str) -> None:
    folder = EXAMPLES / slug
    raw = bundle.parse((folder / "assignment.yaml").read_bytes())
    config = bundle.AssignmentConfig.from_raw(raw)
    assert config.slug == slug
    assert (EXAMPLES.parent / "environments" / config.environment).is_dir() or config.environment == "base"
    for name in ("README.md", "make_data.py", "scorer/score.py", "baseline/train.py", "baseline/predict.py"):
        assert (folder / name).is_file()
    for name in ("better/train.py", "better/predict.py"):
        assert (folder / name).is_file()
    assert set(config.title) == {"en", "ko"} == set(config.summary)


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if slug != "mnist-torch"])
def test_no_label_of_the_test_leaks(slug: str) -> None:
    data = EXAMPLES / slug / "data"
    raw = bundle.parse((EXAMPLES / slug / "assignment.yaml").read_bytes())
    target = raw["predictions"]["columns"][1]
    train, test, sample = (
        _read(data / name) for name in ("train/train.csv", "test/test.csv", "sample/inputs/test.csv")
    )
    ids = [{row["id"] for row in rows} for rows in (train, test, sample)]
    assert [len(one) for one in ids] == [len(train), len(test), len(sample)]
    assert ids[0].isdisjoint(ids[1]) and ids[0].isdisjoint(ids[2]) and ids[1].isdisjoint(ids[2])
    assert target in train[0] and target not in test[0] and target not in sample[0]
    assert {row["id"] for row in _read(data / "labels/labels.csv")} == ids[1]
    assert {row["id"] for row in _read(data / "sample/labels/labels.csv")} == ids[2]
    assert len(test) == raw["predictions"]["rows"] and len(sample) <= 20


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models' processes share compiled modules: most of their time would go to compiling MLflow again."""
    return tmp_path_factory.mktemp("bytecode")


def _train_and_score(slug: str, folder: str, work: Path, bytecode: Path) -> dict[str, float]:
    """Runs a model as the platform would, with stock MLflow writing to a store of its own."""
    example, work = EXAMPLES / slug, work / folder
    work.mkdir()
    mine = {"SEODANG_DATA": str(example / "data/train"), "SEODANG_OUT": str(work), "OMP_NUM_THREADS": "1"}
    # MLflow asks for this word before it writes to plain files, which spares each run the making of a database.
    store = {"MLFLOW_TRACKING_URI": (work / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    env = {**kept, **mine, **store, "PYTHONPYCACHEPREFIX": str(bytecode)}
    predictions = work / "predictions.csv"
    files = ["--data", str(example / "data/test"), "--checkpoint", str(work / "checkpoints/best")]
    for command in (["train.py"], ["predict.py", *files, "--out", str(predictions)]):
        done = subprocess.run(
            [sys.executable, *command], cwd=example / folder, env=env,
            capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    points = [path for path in (work / "mlruns").glob("*/*/metrics/train/*") if path.is_file()]
    assert points and all(len(path.read_text().splitlines()) == 20 for path in points)
    scored = run_scorer(example, predictions, example / "data/labels", work / "scores.json")
    assert scored.code == 0, scored.words
    return scored.scores


@pytest.mark.parametrize(
    ("slug", "metric", "sign", "margin"), [("digits", "macro_f1", 1, 0.02), ("diabetes", "rmse", -1, 3)]
)
def test_better_beats_the_baseline(
    slug: str, metric: str, sign: int, margin: float, tmp_path: Path, bytecode: Path
) -> None:
    pytest.importorskip("sklearn")
    baseline, better = (_train_and_score(slug, folder, tmp_path, bytecode)[metric] for folder in ("baseline", "better"))
    assert sign * (better - baseline) > margin


def test_the_nsml_script_trains_and_predicts_at_home(tmp_path: Path) -> None:
    """As docs/how-to/bring-nsml-code.md has it, with nothing of the platform but its SDK."""
    digits = EXAMPLES / "digits"
    client = Path(__file__).parents[2] / "client" / "src"
    home = {"PATH": os.environ["PATH"], "PYTHONPATH": str(client), "SEODANG_OUT": "out", "PYTHONDONTWRITEBYTECODE": "1"}
    sample = {
        "SEODANG_DATA": str(digits / "data/sample/inputs"), "SEODANG_PREDICTIONS": "out/predictions.csv",
        "SEODANG_PREDICTIONS_COLUMNS": '["id","label"]',
    }  # fmt: skip
    for env, words in (
        ({"SEODANG_DATA": str(digits / "data/train")}, ["--epochs", "3"]),
        (sample, ["--mode", "test", "--pause", "1", "--iteration", "2"]),
    ):
        subprocess.run(
            [sys.executable, str(digits / "nsml/main.py"), *words],
            cwd=tmp_path, env=home | env, check=True, timeout=SECONDS_MAX,
        )  # fmt: skip
    scored = run_scorer(
        digits, tmp_path / "out/predictions.csv", digits / "data/sample/labels", tmp_path / "scores.json"
    )
    assert scored.scores["macro_f1"] > 0.8, scored.words
