"""The SDK inside a container: mounted, importable by both names, and of the standard library alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from courses.submissions import queries
from courses.submissions.models import Run
from hub.tracking.queries import metrics
from tests.stack import drive, make_worker, push, running_gateway
from tests.world import World, push_example

SCRIPT = """
import json, os
import nsml
from nsml import DATASET_PATH, GPU_NUM, HAS_DATASET, IS_ON_NSML, SESSION_NAME

def save(path):
    with open(os.path.join(path, "model.json"), "w") as sink:
        json.dump({"w": 7}, sink)

nsml.bind(save=save)
for epoch in range(3):
    nsml.report(summary=True, step=epoch, train__loss=1.0 / (epoch + 1), note="not a number")
nsml.save("last")
import seodang
print("SDK", json.dumps([IS_ON_NSML, HAS_DATASET, GPU_NUM, SESSION_NAME, seodang.save is nsml.save]))
try:
    open(os.path.join(os.path.dirname(nsml.__file__), "x"), "w")
except OSError as error:
    print("READ ONLY", error.errno)
"""
# What a script imports, imported with nothing on the path but the standard library and the SDK.
IMPORTED = """
import sys, sysconfig
sys.path.insert(0, sys.argv[1])
import nsml, nsml.constants
homes = (sysconfig.get_path("stdlib"), sys.argv[1])
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print([name for name, file in files.items() if file and not file.startswith(homes) and name != "__main__"])
print([name for name in files if name.startswith("seodang")])
"""


@pytest.mark.docker
@pytest.mark.django_db(transaction=True)
def test_a_script_binds_reports_and_saves(world: World, tmp_path: Path, gateway: None) -> None:
    assignment = push_example(world, "digits", tmp_path)
    made = push(world, assignment, {"train.py": SCRIPT, "predict.py": ""}, tmp_path, submit=False)
    drive(make_worker())
    run = Run.objects.get(pk=made.pk)
    text = queries.log(run, 0).text
    assert run.state == "succeeded", (run.sentence, text)
    assert json.loads(text.split("SDK ")[1].splitlines()[0]) == [True, True, 0, run.session, True]
    assert "READ ONLY 30" in text and "not being logged" not in text
    assert [one.name for one in run.checkpoints.all()] == ["last"]
    assert [point[:2] for point in metrics(run.id.hex)["train/loss"]] == [[0, 1.0], [1, 0.5], [2, 1 / 3]]


def test_it_needs_the_standard_library_alone() -> None:
    words = [sys.executable, "-I", "-S", "-c", IMPORTED, str(settings.SDK)]
    others, ours = map(ast.literal_eval, subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines())  # fmt: skip
    assert others == []
    assert sorted(ours) == ["seodang", "seodang._predictions", "seodang._sdk"]


@pytest.mark.parametrize(
    "name",
    ["nsml/__init__.py", "nsml/constants.py", "seodang/__init__.py", "seodang/_predictions.py", "seodang/_sdk.py"],
)
def test_it_is_python_3_8(name: str) -> None:
    tree = ast.parse((settings.SDK / name).read_text(), name, feature_version=(3, 8))
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body), "annotations"
    names = {"Callable", "Iterable", "Iterator", "Mapping", "Sequence", "list", "dict", "tuple", "set", "type"}
    assigned = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    late = [ast.unparse(value) for value in assigned for node in ast.walk(value)
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in names]  # fmt: skip
    assert late == [], "3.8 cannot subscript these at run time"


@pytest.fixture
def gateway(transactional_db: object) -> Iterator[None]:
    with running_gateway():
        yield
