"""Which MLflow calls pass, and that none passes which names another run."""

from __future__ import annotations

from typing import Any

import pytest

from hub.tracking import allowlist
from hub.tracking.allowlist import Call

MODEL = "m-" + "a" * 32


@pytest.mark.parametrize(
    "prefix", ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/3.0/mlflow"]
)
@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("GET", "runs/get", Call("get_run")),
        ("POST", "runs/log-batch", Call("log_batch")),
        ("POST", "runs/log-batch/", Call("log_batch")),
        ("POST", "logged-models", Call("create_model")),
        ("POST", "logged-models/search", Call("search_models")),
        ("GET", f"logged-models/{MODEL}", Call("get_model", MODEL)),
        ("PATCH", f"logged-models/{MODEL}/tags", Call("set_model_tags", MODEL)),
        ("GET", "server-info", Call("server_info")),
        ("POST", "runs/get", None),
        ("POST", "runs/delete", None),
        ("POST", "runs/restore", None),
        ("POST", "experiments/delete", None),
        ("GET", "metrics/get-history-bulk", None),
        ("DELETE", f"logged-models/{MODEL}", None),
        ("GET", "logged-models/../runs", None),
        ("POST", "registered-models/create", None),
        ("GET", "runs/get/../delete", None),
        ("GET", "", None),
    ],
)
def test_calls(prefix: str, method: str, path: str, call: Call | None) -> None:
    assert allowlist.find(method, f"{prefix}/{path}") == call


@pytest.mark.parametrize(
    "path", ["/runs/get", "/api/2.0/runs/get", "/x/api/2.0/mlflow/runs/get", "/api/1.2/mlflow/runs/get"]
)
def test_other_addresses_are_no_calls(path: str) -> None:
    assert allowlist.find("GET", path) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/2.0/mlflow-artifacts/artifacts", ""),
        ("/api/2.0/mlflow-artifacts/artifacts/", ""),
        ("/ajax-api/2.0/mlflow-artifacts/artifacts/3/ab/artifacts/x.txt", "3/ab/artifacts/x.txt"),
        ("/api/2.0/mlflow-artifacts/artifactsx/3", None),
        ("/api/2.0/mlflow-artifacts/mpu/create/3", None),
        ("/x/api/2.0/mlflow-artifacts/artifacts/3", None),
    ],
)
def test_artifact_addresses(path: str, found: str | None) -> None:
    assert allowlist.artifact_path(path) == found


@pytest.mark.parametrize(
    ("source", "runs"),
    [
        ({}, set()),
        ({"run_id": ""}, set()),
        ({"run_id": "own", "run_uuid": "other"}, {"own", "other"}),
        ({"metrics": [{"key": "a", "run_id": "other"}]}, {"other"}),
        ({"metrics": [{"key": "a", "run_uuid": "other"}, {"run_id": "third"}]}, {"other", "third"}),
        ({"source_run_id": "other"}, {"other"}),
        ({"run_ids": ["own", "other"]}, {"own", "other"}),
        ({"run_id": ["other"]}, {"other"}),
        ({"run_id": {"x": 1}}, {"{'x': 1}"}),
        ({"run_id": 7}, {"7"}),
        ([{"run_id": "own"}, {"run_id": "other"}], {"own", "other"}),  # a query's key that comes twice
        ({"a": {"b": [[{"c": {"run_id": "deep"}}]]}}, {"deep"}),
        ({"tags": [{"key": "run_id", "value": "other"}]}, set()),  # a tag is text, not a name
    ],
)
def test_runs_that_a_call_names(source: Any, runs: set[str]) -> None:
    assert allowlist.runs_named(source) == runs


def test_models_that_a_call_names() -> None:
    body = {"model_id": "a", "metrics": [{"key": "x", "model_id": "b"}], "models": [{"model_id": "c", "step": 0}]}
    assert allowlist.models_named(body, {"model_id": "d"}) == {"a", "b", "c", "d"}


def test_a_deep_body_is_no_recursion() -> None:
    body: Any = {"run_id": "deep"}
    for _ in range(5_000):
        body = {"a": [body]}
    assert allowlist.runs_named(body) == {"deep"}
