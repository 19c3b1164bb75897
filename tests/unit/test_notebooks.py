"""A notebook becomes a script: code in order, magics as comments, and what is no notebook is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from courses.submissions import notebooks
from courses.submissions.jobs import entry_file


def notebook(*cells: object) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": one} for one in cells]}).encode()


def test_code_cells_in_order_without_magics() -> None:
    content = notebook(
        ["%matplotlib inline\n", "!pip install x\n", "said = []\n"], "%%bash\nexit 3", "said.append(1)\nassert said"
    )
    script = notebooks.to_script(content, "n.ipynb")
    exec(compile(script, "n.py", "exec"), {})
    assert "# %matplotlib inline" in script and "jupytext" not in script


def test_other_cells_are_left_out() -> None:
    raw = {"cells": [{"cell_type": "markdown", "source": "# Title"}, {"cell_type": "code", "source": "x = 1"}]}
    assert notebooks.to_script(json.dumps(raw).encode(), "n.ipynb").strip() == "x = 1"


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"\xff", b'{"cells": 3}', b'{"cells": [{"cell_type": "code"}]}', b'{"cells": [{"cell_type": "code", "source": [1]}]}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_notebook(content: bytes) -> None:
    with pytest.raises(notebooks.BadNotebook, match=r"n\.ipynb is no notebook"):
        notebooks.to_script(content, "n.ipynb")


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "NOTEBOOK_BYTES_MAX", 10)
    with pytest.raises(notebooks.BadNotebook, match="Clear its outputs"):
        notebooks.to_script(notebook("x = 1"), "n.ipynb")


@pytest.mark.parametrize(
    ("entry", "script", "file"),
    [
        ("n.ipynb", "n.py", "n.py"),
        ("'my notes/a b.ipynb'", "'my notes/a b.py'", "my notes/a b.py"),
        ("python3 -O n.ipynb", "python3 -O n.py", "n.py"),
        ("python3 train.py", "python3 train.py", "train.py"),
        ("bash run.sh", "bash run.sh", ""),
    ],
)
def test_the_entry(entry: str, script: str, file: str) -> None:
    assert (notebooks.script_of(entry), entry_file(entry)) == (script, file)


def test_a_script_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_bytes(notebook("x = 1"))
    (tmp_path / "n.py").write_text("mine")
    with pytest.raises(notebooks.BadNotebook, match=r"run as n\.py, and there is one already"):
        notebooks.write_scripts("n.ipynb", tmp_path)
    assert (tmp_path / "n.py").read_text() == "mine"
    (tmp_path / "n.py").unlink()
    assert notebooks.write_scripts("n.ipynb", tmp_path) == ["n.py"]
