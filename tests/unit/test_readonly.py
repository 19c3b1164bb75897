"""What of MLflow's server a course's staff may call."""

from __future__ import annotations

import pytest

from hub.tracking.readonly import ARTIFACT_POLICY, UI_POLICY, may_call, policy

READS = [
    ("GET", ""),
    ("GET", "static-files/static/js/main.js"),
    ("GET", "ajax-api/2.0/mlflow/runs/get"),
    ("GET", "ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"),
    ("GET", "ajax-api/3.0/mlflow/server-info"),
    ("GET", "get-artifact"),
    ("POST", "ajax-api/2.0/mlflow/experiments/search"),
    ("POST", "ajax-api/2.0/mlflow/runs/search"),
    ("POST", "graphql"),
]
REST = [
    ("POST", "ajax-api/2.0/mlflow/runs/delete"),
    ("POST", "ajax-api/2.0/mlflow/runs/log-metric"),
    ("POST", "ajax-api/2.0/mlflow/experiments/create"),
    ("PATCH", "ajax-api/2.0/mlflow/runs/search"),
    ("DELETE", "ajax-api/3.0/mlflow/workspaces/course-1"),
    ("GET", "api/2.0/mlflow-artifacts/artifacts/1/x"),
    ("GET", "ajax-api/2.0/mlflow-artifacts/artifacts"),
    ("GET", "ajax-api/2.0/mlflow/gateway-proxy"),
    ("GET", "ajax-api/2.0/mlflow/users/current"),
    ("GET", "static-files/../../etc/passwd"),
    ("GET", "static-files/%2e%2e/secret"),
    ("POST", "graphql/x"),
]


@pytest.mark.parametrize(("method", "path"), READS)
def test_reads(method: str, path: str) -> None:
    assert may_call(method, path)


@pytest.mark.parametrize(("method", "path"), REST)
def test_the_rest_is_refused(method: str, path: str) -> None:
    assert not may_call(method, path)


def test_a_runs_files_run_no_script() -> None:
    assert policy("get-artifact") == ARTIFACT_POLICY
    assert policy("ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files") == ARTIFACT_POLICY
    assert policy("") == UI_POLICY
    assert "script" not in ARTIFACT_POLICY
