"""Stock MLflow against the gateway, on a real Postgres and through a real socket."""

from __future__ import annotations

import asyncio
import math
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from courses.assignments.models import Assignment
from hub.live.layer import PostgresLayer
from hub.tracking import artifacts, queries, store
from hub.tracking.models import MetricPoint, RunText, TrackedRun
from runner import notify
from tests.gateway import Running, Tracked, make_tracked, running, until
from tests.world import World, make_world, push_example

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/2.0/mlflow"


@dataclass
class Scene:
    world: World
    assignment: Assignment
    tracked: Tracked
    gateway: Running
    address: str

    def post(self, path: str, body: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.address}{API}/{path}", **({"json": body} if body is not None else {}), **options)

    def get(self, path: str, **query: str) -> httpx.Response:
        return httpx.get(f"{self.address}{API}/{path}", params=query)


@pytest.fixture
def scene(transactional_db: object, tmp_path: Path) -> Iterator[Scene]:
    world = make_world()
    assignment = push_example(world, "digits", tmp_path)
    tracked = make_tracked(world, assignment)
    with running() as gateway:
        yield Scene(world, assignment, tracked, gateway, gateway.relay(tracked))


CLIENTS = {"mlflow 3.17": Path(sys.executable), "mlflow-skinny 2.22": Path(sys.prefix) / "mlflow2" / "bin" / "python"}


def script(
    scene: Scene, tmp_path: Path, code: str, python: Path = CLIENTS["mlflow 3.17"]
) -> subprocess.CompletedProcess[str]:
    """Run a student's script as its container would: a process of its own, with the run's environment."""
    path = tmp_path / "train.py"
    path.write_text(code)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_TRACKING_URI": scene.address,
        "MLFLOW_RUN_ID": scene.tracked.id, "MLFLOW_EXPERIMENT_ID": str(scene.assignment.pk),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    return subprocess.run(
        [str(python), str(path)], cwd=tmp_path, env=env, text=True, capture_output=True, timeout=240, check=False
    )


def texts(scene: Scene, kind: str) -> dict[str, str]:
    return dict(RunText.objects.filter(run_id=scene.tracked.id, kind=kind).values_list("key", "value"))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_stock_script_logs_everything(scene: Scene, tmp_path: Path, client: str) -> None:
    done = script(
        scene,
        tmp_path,
        """
import mlflow, os
mlflow.set_experiment("my own name")
with mlflow.start_run() as run:
    mlflow.log_params({"lr": 0.1, "layers": [1, 2]})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"acc": 0.5, "bad": float("nan"), "huge": float("inf")}, step=4)
    mlflow.set_tag("note", "한글")
    mlflow.set_tag("gone", "1")
    mlflow.delete_tag("gone")
    mlflow.log_text("hello", "notes/a.txt")
    mlflow.log_dict({"a": 1}, "b.json")
with mlflow.start_run():
    mlflow.log_metric("after", 1)
client = mlflow.MlflowClient()
run = client.get_run(run.info.run_id)
assert run.data.params == {"lr": "0.1", "layers": "[1, 2]"}, run.data.params
assert run.data.metrics["loss"] == 0.2
assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [0, 1, 2, 3, 4]
assert sorted(f.path for f in client.list_artifacts(run.info.run_id)) == ["b.json", "notes"]
assert [f.path for f in client.list_artifacts(run.info.run_id, "notes")] == ["notes/a.txt"]
assert mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/a.txt") == "hello"
assert len(client.search_runs([run.info.experiment_id])) == 1
print("RUN", run.info.run_id)
""",
        CLIENTS[client],
    )
    assert f"RUN {scene.tracked.id}" in done.stdout, done.stderr
    assert "WARNING" not in done.stderr
    found = queries.metrics(scene.tracked.id)
    assert [point[:2] for point in found["loss"]] == [[step, 1 / (step + 1)] for step in range(5)]
    assert "bad" not in found
    assert found["huge"][0][1] == 1.7976931348623157e308
    assert MetricPoint.objects.get(run_id=scene.tracked.id, key="bad").is_nan
    assert texts(scene, "tag")["note"] == "한글"
    assert "gone" not in texts(scene, "tag")
    assert (Path(settings.VAR) / "artifacts" / scene.tracked.id / "notes" / "a.txt").read_text() == "hello"
    assert queries.latest([scene.tracked.id])[scene.tracked.id]["loss"] == (0.2, 4)
    live = queries.live_for_board(scene.assignment.pk)[scene.world.team.pk]
    assert (live["run"], live["key"]) == ("maple/digits/1", "after")


def test_autolog_and_log_model_work_unchanged(scene: Scene, tmp_path: Path) -> None:
    done = script(
        scene,
        tmp_path,
        """
import mlflow, numpy as np
from sklearn.linear_model import LogisticRegression
mlflow.sklearn.autolog(log_models=False)
x, y = np.random.default_rng(0).random((60, 3)), np.arange(60) % 2
with mlflow.start_run() as run:
    model = LogisticRegression().fit(x, y)
    model.score(x, y)
    info = mlflow.sklearn.log_model(
        model, name="model", pip_requirements=["scikit-learn"], skops_trusted_types=None, serialization_format="pickle"
    )
loaded = mlflow.sklearn.load_model(info.model_uri)
assert (loaded.predict(x) == model.predict(x)).all()
print("MODEL", info.model_id)
""",
    )
    assert "MODEL m-" in done.stdout, done.stderr
    model_id = done.stdout.split("MODEL ")[1].strip()
    assert "training_accuracy_score" in queries.metrics(scene.tracked.id)
    assert texts(scene, "param")["C"] == "1.0"
    assert len(texts(scene, "input")) == 2, "the training and the evaluation set"
    assert "LOGGED_MODEL_READY" in texts(scene, "model")[model_id]
    assert list(texts(scene, "output")) == [model_id]
    assert (Path(settings.VAR) / "artifacts" / scene.tracked.id / "models" / model_id / "MLmodel").is_file()


def test_another_run_cannot_be_named(scene: Scene) -> None:
    own, other = scene.tracked.id, "f" * 32
    refused = [
        scene.get("runs/get", run_id=other),
        httpx.get(f"{scene.address}/ajax-api/2.0/mlflow/runs/get?run_id={own}&run_id={other}"),
        scene.post("runs/log-metric", {"run_id": own, "run_uuid": other, "key": "a", "value": 1}),
        scene.post("runs/log-batch", {"run_id": own, "metrics": [{"key": "a", "value": 1, "run_id": other}]}),
        scene.post("runs/delete", {"run_id": own}),
        scene.post("runs/create", {"tags": [{"key": "mlflow.parentRunId", "value": own}]}),
        httpx.put(f"{scene.address}/api/2.0/mlflow-artifacts/artifacts/1/{other}/artifacts/x", content=b"x"),
        httpx.get(f"{scene.address}/api/2.0/mlflow-artifacts/artifacts?path=1/{other}/artifacts"),
    ]
    assert [(one.status_code, one.json()["error_code"]) for one in refused] == [(403, "PERMISSION_DENIED")] * len(
        refused
    )
    model = scene.post("runs/log-metric", {"key": "a", "value": 1, "model_id": "m-" + "0" * 32})
    assert model.status_code == 404
    assert not MetricPoint.objects.exists()


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("runs/log-metric", {"key": "k" * 251, "value": 1}, "the limit is 250"),
        ("runs/log-metric", {"key": "a\x00b", "value": 1}, "letters, digits"),
        ("runs/log-metric", {"key": "../up", "value": 1}, "not a plain path"),
        ("runs/log-metric", {"key": "a", "value": "abc"}, "needs a number"),
        ("runs/log-metric", {"key": "a", "value": 1, "step": 1 << 64}, "out of range"),
        ("runs/log-metric", {"key": "a", "value": 1, "timestamp": -1}, "out of range"),
        ("runs/log-metric", {"value": 1}, "missing"),
        ("runs/log-batch", {"metrics": [{"key": "a", "value": 1}] * 1001}, "at most 1000 metrics"),
        ("runs/log-batch", {"metrics": {"key": "a"}}, "not a list"),
        ("runs/log-batch", {"metrics": [1]}, "not a list of objects"),
        ("runs/log-parameter", {"key": "p" * 251, "value": 1}, "the limit is 250"),
        ("runs/set-tag", {"key": "seodang.run", "value": "x"}, "the platform's"),
        ("runs/search", {"filter": "metrics.a > 1"}, "no filter"),
    ],
)
def test_what_is_refused_says_why(scene: Scene, path: str, body: dict[str, Any], part: str) -> None:
    answer = scene.post(path, body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert part in answer.json()["message"]
    assert not MetricPoint.objects.exists()


def test_bodies_that_are_no_calls(scene: Scene) -> None:
    assert scene.post("runs/log-metric", content=b"{").json()["error_code"] == "BAD_REQUEST"
    assert scene.post("runs/log-metric", content=b"[" * 100_000).json()["error_code"] == "BAD_REQUEST"
    assert scene.post("runs/log-batch", content=b" " * (5 << 20)).status_code == 413
    bare = scene.post("runs/log-metric", content=b'{"key": "a", "value": NaN, "step": 3}')
    assert bare.json() == {}
    assert scene.get("metrics/get-history", metric_key="a").json()["metrics"][0]["value"] == "NaN"
    surrogate = scene.post("runs/set-tag", content=rb'{"key": "t", "value": "\ud800\u0000x"}')
    assert surrogate.json() == {}
    assert texts(scene, "tag")["t"] == "?x"


def test_params_do_not_change_and_points_stay_one(scene: Scene) -> None:
    assert scene.post("runs/log-parameter", {"key": "lr", "value": "1"}).status_code == 200
    assert scene.post("runs/log-parameter", {"key": "lr", "value": "1"}).status_code == 200
    changed = scene.post("runs/log-batch", {"params": [{"key": "b", "value": "2"}, {"key": "lr", "value": "2"}]})
    assert "Changing param values is not allowed" in changed.json()["message"]
    assert texts(scene, "param") == {"lr": "1"}
    for _ in range(2):
        scene.post("runs/log-metric", {"key": "a", "value": 1, "timestamp": 5, "step": 1})
    assert MetricPoint.objects.count() == 1


def test_what_a_script_marks_for_its_line_in_ps(scene: Scene) -> None:
    """As ``nsml.report(summary=True, …)`` calls it; the platform's other tags stay its own."""
    for step, value in enumerate((0.5, 0.75)):
        scene.post("runs/log-metric", {"key": "acc", "value": value, "step": step, "timestamp": step})
    assert scene.post("runs/set-tag", {"key": "seodang.summary", "value": "acc,none"}).status_code == 200
    assert scene.post("runs/set-tag", {"key": "seodang.run", "value": "x"}).status_code == 400
    assert queries.summaries([scene.tracked.id, "0" * 32]) == {scene.tracked.id: {"acc": 0.75}}


def test_no_point_is_acknowledged_for_a_run_that_is_gone(scene: Scene) -> None:
    TrackedRun.objects.all().delete()
    answer = scene.post("runs/log-metric", {"key": "a", "value": 1})
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert not MetricPoint.objects.exists()


def test_bounds_of_a_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "POINTS_MAX", 3)
    many = {"metrics": [{"key": "a", "value": n, "step": n} for n in range(3)]}
    assert scene.post("runs/log-batch", many).status_code == 200
    full = scene.post("runs/log-metric", {"key": "a", "value": 9})
    assert (full.status_code, full.json()["error_code"]) == (429, "RESOURCE_EXHAUSTED")
    monkeypatch.setattr(store, "TEXTS_MAX", 1)
    assert scene.post("runs/set-tag", {"key": "a", "value": "1"}).status_code == 200
    assert scene.post("runs/set-tag", {"key": "b", "value": "1"}).status_code == 429


def test_artifacts_stay_inside_and_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = f"{scene.address}/api/2.0/mlflow-artifacts/artifacts/{scene.assignment.pk}/{scene.tracked.id}/artifacts"

    def put(name: str, content: bytes = b"x") -> int:
        return httpx.put(f"{base}/{name}", content=content).status_code

    assert put("a/b.txt") == 200
    assert put("a/b.txt", b"newer") == 200
    assert httpx.get(f"{base}/a/b.txt").content == b"newer"
    for name in ("%2e%2e/x", "a/%2e%2e/%2e%2e/x", "a%00b", "n" * 201, "/".join("d" * 21), "a/b.txt/c", "a", ""):
        assert put(name) in {400, 403}, name
    assert httpx.get(f"{base}/missing").status_code == 404
    assert httpx.delete(f"{base}/a/b.txt").status_code == 403
    monkeypatch.setattr(artifacts, "BYTES_MAX", 10)
    assert put("big", b"x" * 11) == 413
    monkeypatch.setattr(artifacts, "FILES_MAX", 1)
    assert put("second") == 413
    files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["b.txt"], "nothing half written stays"


def test_a_socket_lives_as_long_as_its_attempt(scene: Scene) -> None:
    path = scene.gateway.socket(scene.tracked)
    mode = path.stat()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711
    if os.geteuid() == 0:
        assert (mode.st_uid, stat.S_IMODE(mode.st_mode)) == (10001, 0o600)
    second = make_tracked(scene.world, scene.assignment, 2)
    notify.signal(notify.ATTEMPTS, str(second.attempt.id))
    until(scene.gateway.socket(second).exists, 1.5)  # by the notice, before the next look
    type(second.attempt).objects.filter(pk=second.attempt.pk).update(state="ended")
    notify.signal(notify.ATTEMPTS, str(second.attempt.id))
    until(lambda: not scene.gateway.socket(second).exists(), 1.5)
    assert path.exists()
    assert scene.get("runs/get", run_id=scene.tracked.id).status_code == 200


def test_one_bad_job_does_not_close_the_gateway(scene: Scene) -> None:
    bad = make_tracked(scene.world, scene.assignment, 2)
    type(bad.attempt.job).objects.filter(pk=bad.attempt.job.pk).update(spec={"env": {}, "tracking": True})
    third = make_tracked(scene.world, scene.assignment, 3)
    until(scene.gateway.socket(third).exists)
    assert not scene.gateway.socket(bad).exists()


def test_a_restarted_gateway_goes_on_in_the_same_folder(scene: Scene) -> None:
    scene.post("runs/log-metric", {"key": "a", "value": 1})
    folder = scene.gateway.socket(scene.tracked).parent.stat().st_ino
    scene.gateway.stop()
    with running() as again:
        until(again.socket(scene.tracked).exists)
        assert again.socket(scene.tracked).parent.stat().st_ino == folder, "containers hold the folder mounted"
        address = again.relay(scene.tracked)
        found = httpx.get(f"{address}{API}/runs/get", params={"run_id": scene.tracked.id}).json()["run"]
        assert found["info"]["start_time"] == TrackedRun.objects.get().started_ms
        assert found["data"]["metrics"][0]["key"] == "a"
    scene.gateway._thread.join(0)
    scene.gateway = again


def test_points_are_thinned_with_both_ends(scene: Scene) -> None:
    count = 5_001
    MetricPoint.objects.bulk_create(
        MetricPoint(run_id=scene.tracked.id, key="a", value=math.sqrt(n), timestamp_ms=n, step=n) for n in range(count)
    )
    MetricPoint.objects.bulk_create(
        MetricPoint(run_id=scene.tracked.id, key="b", value=n, timestamp_ms=n, step=n) for n in range(2_000)
    )
    found = queries.metrics(scene.tracked.id)
    assert 1_000 < len(found["a"]) <= 2_000
    assert (found["a"][0][0], found["a"][-1][0]) == (0, count - 1)
    assert len(found["b"]) == 2_000
    assert list(queries.metrics(scene.tracked.id, "b")) == ["b"]
    assert queries.latest([scene.tracked.id, "f" * 32]) == {
        scene.tracked.id: {"a": (math.sqrt(count - 1), count - 1), "b": (1999.0, 1999)}
    }


def test_viewers_hear_of_points_in_few_messages(scene: Scene) -> None:
    """A thousand points and more than a message can hold: thinned, never silent, at most ten messages a second."""

    async def scenario() -> list[dict[str, Any]]:
        layer = PostgresLayer()
        channel, board = await layer.new_channel(), await layer.new_channel()
        await layer.group_add(f"run.{scene.tracked.run.id}", channel)
        await layer.group_add(f"board.{scene.assignment.pk}", board)
        for start in range(0, 1_000, 100):
            metrics = [{"key": "loss", "value": n, "step": n, "timestamp": n} for n in range(start, start + 100)]
            await asyncio.to_thread(scene.post, "runs/log-batch", {"metrics": metrics})
        heard = []
        while not heard or heard[-1]["points"]["loss"][-1][0] != 999:
            heard.append(await asyncio.wait_for(layer.receive(channel), 5))
        live: dict[str, Any] = {}
        while live.get("step") != 999:
            message = await asyncio.wait_for(layer.receive(board), 5)
            live = message["points"][str(scene.world.team.pk)]
        assert (message["type"], live["run"], live["key"]) == ("board.live", "maple/digits/1", "loss")
        await layer.close()
        return heard

    heard = asyncio.run(scenario())
    assert {message["type"] for message in heard} == {"run.points"}
    assert len(heard) <= 10
