"""A notebook becomes a script: code in order, magics as comments, and what is no notebook is refused."""

from __future__ import annotations

import json

import pytest

from courses.submissions import notebooks


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
