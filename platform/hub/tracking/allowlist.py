"""Which MLflow calls a run may make, and of which run they speak. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PREFIX = re.compile(r"^/(?:ajax-)?api/(?:2\.0|3\.0)/mlflow/")
ALLOWED: Mapping[tuple[str, str], str] = {
    ("GET", "runs/get"): "get_run",
    ("POST", "runs/update"): "update_run",
    ("POST", "runs/log-metric"): "log_metric",
    ("POST", "runs/log-batch"): "log_batch",
    ("POST", "runs/log-parameter"): "log_parameter",
    ("POST", "runs/set-tag"): "set_tag",
    ("POST", "runs/log-inputs"): "accept",
    ("POST", "runs/outputs"): "accept",
    ("POST", "runs/log-model"): "accept",
    ("GET", "experiments/get"): "get_experiment",
    ("GET", "experiments/get-by-name"): "get_experiment",
    ("GET", "metrics/get-history"): "get_history",
    ("GET", "server-info"): "server_info",
    ("GET", "artifacts/list"): "list_artifacts",
}
RUN_KEYS = ("run_id", "run_uuid")


def action(method: str, path: str) -> str | None:
    """The name of the call, or None when runs may not make it."""
    found = PREFIX.match(path)
    return ALLOWED.get((method, path[found.end() :].strip("/"))) if found else None


def names_only(own: str, *sources: Mapping[str, Any]) -> bool:
    """Whether every run that the call names is the caller's own; both of MLflow's spellings are read."""
    for source in sources:
        for key in RUN_KEYS:
            value = source.get(key)
            if value not in (None, "", own):
                return False
    return True
