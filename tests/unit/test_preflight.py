"""The look at pushed code: real small scripts, looked at by the program that the container runs."""

from __future__ import annotations

import ast
import importlib.util
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from courses.submissions import preflight as shown
from runner.sentences import read

SOURCE = Path(__file__).resolve().parents[2] / "runner/inside/preflight.py"
ARGPARSE = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\n"
PARSED = "p.parse_args()\n"
TRAINS = "open('/tmp/never', 'x')\nraise SystemExit('it was run')\n"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program as a module, whose /code is a folder of the test's."""
    spec = importlib.util.spec_from_file_location("inside_preflight", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CODE", str(tmp_path / "code"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path / "code")
    return module


def looked(inside: ModuleType, files: dict[str, str], command: str = "python3 train.py") -> list[str]:
    for name, content in files.items():
        path = Path(inside.CODE) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    words = shlex.split(command)
    entry = next((word for word in words if word.endswith(".py")), "")
    return list(inside.faults(entry, words))


@pytest.mark.parametrize(
    "name, source, command, fault",
    [
        ("answers", ARGPARSE + PARSED + TRAINS, "python3 train.py", ""),
        ("answers with its own arguments", ARGPARSE + PARSED + TRAINS, "python3 train.py --lr 0.1", ""),
        ("a wrong value", ARGPARSE + PARSED, "python3 train.py --lr fast",
         "train.py does not take these arguments: argument --lr: invalid float value: 'fast'"),
        ("a missing value", ARGPARSE + PARSED, "python3 train.py --lr",
         "train.py does not take these arguments: argument --lr: expected one argument"),
        ("words after --, which are not read as options", ARGPARSE + PARSED, "python3 train.py -- --lr fast", ""),
        ("a parser without help", "import argparse\np = argparse.ArgumentParser(add_help=False)\n" + PARSED,
         "python3 train.py", ""),
        ("a typo before it parses", ARGPARSE + "p.add_arg('--x')\n" + PARSED, "python3 train.py",
         "train.py:4 AttributeError: 'ArgumentParser' object has no attribute 'add_arg'"),
        ("a name that is not there", "import argparse\nprint(epochs)\n", "python3 train.py",
         "train.py:2 NameError: name 'epochs' is not defined"),
        ("the last frame of ours", "import argparse\ndef f():\n    return len(3)\nf()\n", "python3 train.py",
         "train.py:3 TypeError: object of type 'int' has no len()"),
        ("the same option twice", ARGPARSE + "p.add_argument('--lr')\n", "python3 train.py",
         "train.py:4 argparse.ArgumentError: argument --lr: conflicting option string: --lr"),
        ("a name that a module has not", "import argparse\nfrom os import nothing\n", "python3 train.py",
         "train.py:2 ImportError: cannot import name 'nothing' from 'os'"),
        ("a % in a help text", ARGPARSE + "p.add_argument('--keep', help='keep 50% data')\n" + PARSED,
         "python3 train.py", ""),
        ("no data here", "import argparse\nopen('/data/train.csv')\n", "python3 train.py", ""),
        ("no variable here", "import argparse, os\nos.environ['MLFLOW_RUN_ID']\n", "python3 train.py", ""),
        ("no GPU here", "import argparse\nraise RuntimeError('No CUDA GPUs are available')\n", "python3 train.py", ""),
        ("a GPU's library", "import argparse\nraise ImportError('libcuda.so.1: cannot open')\n", "python3 train.py", ""),
        ("a library's own error", "import argparse\nclass Own(Exception): pass\nraise Own('x')\n", "python3 train.py", ""),
        ("its own way out", "import argparse, sys\nsys.exit('set --data')\n", "python3 train.py", ""),
        ("no parser: it would train", "print(epochs)\n" + TRAINS, "python3 train.py", ""),
        ("run by another program", "import argparse\n" + TRAINS, "env python3 train.py", ""),
        ("a program that is not there", "", "no-such-program train.py",
         "The program 'no-such-program' is not in this environment."),
        ("a module that is not there", "import os\nimport timm_of_nobody.models\n", "python3 train.py",
         "train.py:2 No module named 'timm_of_nobody'."),
        ("one that may be missing", "try:\n    import timm_of_nobody\nexcept ImportError:\n    pass\n", "python3 train.py", ""),
        ("no syntax", "def f(:\n", "python3 train.py", "train.py:1 SyntaxError: invalid syntax"),
    ],
)  # fmt: skip
def test_look(inside: ModuleType, name: str, source: str, command: str, fault: str) -> None:
    found = looked(inside, {"train.py": source}, command)
    assert len(found) == bool(fault), (name, found)
    assert not fault or found[0].startswith(fault), (name, found)


def test_an_entry_that_is_no_python(inside: ModuleType) -> None:
    assert looked(inside, {"run.sh": "echo"}, "bash run.sh") == []
    assert looked(inside, {}, "./run.sh") == [
        "The file './run.sh' is no program here. Name what runs it too: bash ./run.sh"
    ]
    assert looked(inside, {}, "./nothing") == ["The program './nothing' is not in this environment."]
    assert "is not in the folder" in looked(inside, {}, "python3 none.py")[0]


def test_no_answer_in_time_is_no_fault(inside: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "ANSWER_SECONDS", 0.3)
    assert looked(inside, {"train.py": "import argparse, time\ntime.sleep(60)\n"}) == []


def test_others_are_asked_without_the_runs_arguments(inside: ModuleType) -> None:
    """fire calls what the arguments name."""
    looked(inside, {"f.py": "import fire", "a.py": "import argparse", "b.py": "import argparse, fire"}, "true")
    assert inside.question("f.py", ["python3", "f.py", "train", "--lr", "1"]) == ["python3", "f.py", "--help"]
    assert inside.question("b.py", ["python3", "b.py", "train"]) == ["python3", "b.py", "--help"]
    assert inside.question("a.py", ["python3", "-u", "a.py", "x"]) == ["python3", "-u", "a.py", "x", "--help"]
    assert inside.question("a.py", ["torchrun", "a.py"]) is None
    assert inside.question("a.py", []) is None  # a job that was queued before the platform's last upgrade


def test_a_mistake_in_an_imported_file_is_named_there(inside: ModuleType) -> None:
    files = {"train.py": "import argparse\nimport lib.model\n", "lib/__init__.py": "", "lib/model.py": "\n\nLayer()\n"}
    assert looked(inside, files) == ["lib/model.py:3 NameError: name 'Layer' is not defined"]


@pytest.mark.parametrize("name", ["preflight.py", "launcher.py"])
def test_it_is_python_3_8(name: str) -> None:
    tree = ast.parse(SOURCE.with_name(name).read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {one.split(".")[0] for one in imported} <= sys.stdlib_module_names
    newer = {"removeprefix", "removesuffix"}  # of str, since 3.9
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & newer


def test_the_program_prints_its_lines_and_fails(inside: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(inside.CODE) / "train.py").write_text("import timm_of_nobody\n")
    sys_argv = ["preflight.py", "--entry", "train.py", "--command", json.dumps(["python3", "train.py"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys_argv)
        assert inside.main() == 1
    assert capsys.readouterr().out == "train.py:1 No module named 'timm_of_nobody'.\n"


KO = {
    "{place} No module named '{module}'.": "{place} '{module}' 모듈이 없습니다.",
    "The program '{program}' is not in this environment.": "'{program}' 없음",
}


def test_the_lines_are_said_in_the_readers_language() -> None:
    lines = "train.py:12 No module named 'timm'.\nmodel.py:3 SyntaxError: invalid syntax\n"
    english = read(shown.said(lines))
    assert english.startswith(
        "train.py:12 No module named 'timm'.\nmodel.py:3 SyntaxError: invalid syntax\nUse what the"
    )
    korean = read(shown.said(lines), lambda text: KO.get(text, text))
    assert korean.startswith("train.py:12 'timm' 모듈이 없습니다.\nmodel.py:3 SyntaxError: invalid syntax\n")
    assert shown.said("\n") == ""


def test_a_line_that_looks_like_a_stored_sentence_is_text() -> None:
    line = '[["Finished.", {}]]'
    assert read(shown.said(line), lambda _: "translated") == line
    assert read(shown.said("train.py:1 No module named '{x}'."), lambda text: text).startswith(
        "train.py:1 No module named '{x}'."
    )


@pytest.mark.parametrize(
    "line", [
        "a b.py is not in the folder. Push the folder that has it, or name another entry with -e.",
        "The program 'x' is not in this environment.",
        "The file './run.sh' is no program here. Name what runs it too: bash ./run.sh",
        "train.py does not take these arguments: argument --lr: invalid float value: 'fast'",
        "train.py:3 NameError: name 'x' is not defined",
    ],
)  # fmt: skip
def test_in_english_a_line_is_what_the_program_printed(line: str) -> None:
    assert read(shown.said(line)) == line
