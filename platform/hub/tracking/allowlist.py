"""Which MLflow calls a run may make, and of which runs and models they speak. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = re.compile(r"^/(?:ajax-)?api/(?:2\.0|3\.0)/mlflow/")
ARTIFACTS = re.compile(r"^/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts(?:/(?P<path>.*))?$", re.DOTALL)
ALLOWED: Mapping[tuple[str, str], str] = {
    ("GET", "runs/get"): "get_run",
    ("POST", "runs/create"): "create_run",
    ("POST", "runs/update"): "update_run",
    ("POST", "runs/search"): "search_runs",
    ("POST", "runs/log-metric"): "log_metric",
    ("POST", "runs/log-batch"): "log_batch",
    ("POST", "runs/log-parameter"): "log_parameter",
    ("POST", "runs/set-tag"): "set_tag",
    ("POST", "runs/delete-tag"): "delete_tag",
    ("POST", "runs/log-inputs"): "log_inputs",
    ("POST", "runs/outputs"): "log_outputs",
    ("POST", "runs/log-model"): "log_model",
    ("GET", "experiments/get"): "get_experiment",
    ("GET", "experiments/get-by-name"): "get_experiment",
    ("GET", "experiments/search"): "search_experiments",
    ("POST", "experiments/search"): "search_experiments",
    ("POST", "experiments/create"): "create_experiment",
    ("GET", "metrics/get-history"): "get_history",
    ("GET", "artifacts/list"): "list_artifacts",
    ("GET", "server-info"): "server_info",
    ("POST", "logged-models"): "create_model",
    ("POST", "logged-models/search"): "search_models",
}
ALLOWED_MODEL: Mapping[tuple[str, str], str] = {
    ("GET", ""): "get_model",
    ("PATCH", ""): "finalize_model",
    ("POST", "params"): "set_model_params",
    ("PATCH", "tags"): "set_model_tags",
    ("GET", "artifacts/directories"): "list_model_artifacts",
}
MODEL_PATH = re.compile(r"^logged-models/(?P<model>m-[0-9a-f]{32})(?:/(?P<rest>.*))?$")
RUN_KEYS = frozenset({"run_id", "run_uuid", "source_run_id", "parent_run_id", "run_ids", "run_uuids"})
MODEL_KEYS = frozenset({"model_id", "model_ids"})


@dataclass(frozen=True)
class Call:
    name: str
    model: str = ""  # the logged model that the path names


def find(method: str, path: str) -> Call | None:
    """The call, or None when runs may not make it."""
    prefix = PREFIX.match(path)
    if prefix is None:
        return None
    rest = path[prefix.end() :].strip("/")
    if (method, rest) in ALLOWED:
        return Call(ALLOWED[method, rest])
    model = MODEL_PATH.match(rest)
    if model is None:
        return None
    name = ALLOWED_MODEL.get((method, model["rest"] or ""))
    return Call(name, model["model"]) if name else None


def artifact_path(path: str) -> str | None:
    """What follows the artifacts' address; None for any other address."""
    found = ARTIFACTS.match(path)
    return (found["path"] or "") if found else None


def runs_named(*sources: Any) -> set[str]:
    """Every run that a call names, at any depth: MLflow reads both spellings, and metrics have a run of their own."""
    return set(_named(RUN_KEYS, sources))


def models_named(*sources: Any) -> set[str]:
    """Every logged model that a call names, each metric's included."""
    return set(_named(MODEL_KEYS, sources))


NESTED = (dict, list, tuple)  # what JSON is parsed to, and our own pairs: an abstract type asks ten times as long


def _named(keys: frozenset[str], sources: Any) -> Iterator[str]:
    todo = [sources]
    while todo:  # no recursion: the depth is the caller's choice
        one = todo.pop()
        if isinstance(one, dict):
            for key, value in one.items():
                if key in keys:
                    # What is no name counts as one, so that it is refused.
                    yield from (str(name) for name in _many(value) if name not in (None, ""))
                elif isinstance(value, NESTED):
                    todo.append(value)
        elif isinstance(one, NESTED):
            todo.extend(item for item in one if isinstance(item, NESTED))


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
