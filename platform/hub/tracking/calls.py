"""As much of MLflow's REST API as a run may use, answered for one run.

Nothing here reads which run a call is about: a call that names another is refused, and all others are about this one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web
from psycopg_pool import PoolTimeout

from hub.tracking import allowlist, artifacts, parsing
from hub.tracking.artifacts import Artifacts
from hub.tracking.events import Events, Subject
from hub.tracking.parsing import Point, Refusal, Text
from hub.tracking.store import RunStore

log = logging.getLogger("seodang.tracking")
BODY_BYTES_MAX = 4 << 20
AT_ONCE_MAX = 4  # calls of one run at once, so that one run cannot take the whole pool
HISTORY_MAX = 25_000  # points a page, as in MLflow
MODELS_MAX = 100  # logged models a run
VERSION = "3.17.2"
MODEL_STATES = {"LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"}
MODEL_FILTER = re.compile(r"name\s*=\s*(?P<quote>['\"])(?P<name>[^'\"]*)(?P=quote)")
MODEL_HISTORY_TAG = "mlflow.log-model.history"
Body = dict[str, Any]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Calls:
    """The calls of one attempt."""

    def __init__(self, store: RunStore, events: Events, subject: Subject, started_ms: int, folder: Path) -> None:
        self.store, self.events, self.subject, self.started_ms = store, events, subject, started_ms
        self.artifacts = Artifacts(folder, subject.run_uuid)
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._models_lock = asyncio.Lock()
        self._handlers = {name: getattr(self, name) for name in self._names()}

    @staticmethod
    def _names() -> set[str]:
        return {*allowlist.ALLOWED.values(), *allowlist.ALLOWED_MODEL.values()}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request. All faults are answered in MLflow's form, and retried by its client where it says 503."""
        try:
            return await self._answer(request)
        except Refusal as error:
            return _error(error.code, error.message, error.status)
        except web.HTTPRequestEntityTooLarge:
            return _error(
                "INVALID_PARAMETER_VALUE", f"A call may have {BODY_BYTES_MAX >> 20} MiB; send less at once.", 413
            )
        except (psycopg.OperationalError, PoolTimeout) as error:
            log.warning("action=store_unavailable run=%s error=%s", self.subject.run_uuid, error)
            return _error("TEMPORARILY_UNAVAILABLE", "The tracking store is away for a moment.", 503)
        except web.HTTPException:
            raise
        except Exception:  # a bug of ours must not look like the student's
            log.exception("action=call_failed run=%s path=%s", self.subject.run_uuid, request.path[:200])
            return _error("INTERNAL_ERROR", "The platform failed at this call; it is in its log.", 500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in {"/health", "/version"}:
            return web.Response(text="OK" if request.path == "/health" else VERSION)
        if (path := allowlist.artifact_path(request.path)) is not None:
            return await self._artifact(request, path)
        call = allowlist.find(request.method, request.path)
        if call is None:
            raise Refusal(f"A run may not call {request.method} {request.path[:200]}.", "PERMISSION_DENIED", 403)
        async with self._slots:
            body = parsing.body(await request.read()) if request.can_read_body else {}
            query = dict(request.query)
            pairs = [{key: value} for key, value in request.query.items()]  # a key that comes twice counts twice
            if allowlist.runs_named(body, pairs) - {self.subject.run_uuid}:
                raise Refusal("A run may speak of itself only: leave out other run ids.", "PERMISSION_DENIED", 403)
            named = allowlist.models_named(body, pairs) | ({call.model} if call.model else set())
            if named and not named <= set(await self._models()):
                raise Refusal("This run has no such logged model.", "RESOURCE_DOES_NOT_EXIST", 404)
            if call.model:
                body["model_id"] = call.model
            return web.json_response(await self._handlers[call.name](body, query))

    # --- the run ---

    async def get_run(self, body: Body, query: Mapping[str, str]) -> Body:
        return {"run": await self._run()}

    async def create_run(self, body: Body, query: Mapping[str, str]) -> Body:
        """The platform makes the runs. A second ``start_run()`` of a script goes on with its own."""
        tags = parsing.records(body, "tags", parsing.TEXTS_MAX)
        if any(one.get("key") == "mlflow.parentRunId" for one in tags):
            raise Refusal(
                "Nested runs are not kept here: each push is one run. Log to the run itself, with a prefix such as"
                " 'fold-1/loss', or leave out nested=True.",
                "PERMISSION_DENIED",
                403,
            )
        await self.store.put_texts("tag", parsing.tags(tags))
        return {"run": await self._run()}

    async def update_run(self, body: Body, query: Mapping[str, str]) -> Body:
        """The name is kept. The platform alone knows how a run ended, so a status changes nothing."""
        if body.get("run_name"):
            await self.store.put_texts("tag", parsing.tags([{"key": "mlflow.runName", "value": body["run_name"]}]))
        status = body.get("status") if body.get("status") in {"RUNNING", "FINISHED", "FAILED", "KILLED"} else "RUNNING"
        return {"run_info": {**self._info(), "status": status}}

    async def search_runs(self, body: Body, query: Mapping[str, str]) -> Body:
        if body.get("filter"):
            raise Refusal("A run's own search sees this run only and takes no filter: use mlflow.get_run().")
        return {"runs": [await self._run()]}

    async def _run(self) -> Body:
        texts = await self.store.texts()
        kinds: dict[str, list[Any]] = {}
        for kind, key, value in texts:
            kinds.setdefault(kind, []).append((key, value))
        return {
            "info": self._info(),
            "data": {
                "params": _pairs(kinds.get("param", [])),
                "tags": _pairs(kinds.get("tag", [])),
                "metrics": [_metric(point) for point in await self.store.latest()],
            },
            "inputs": {"dataset_inputs": [json.loads(value) for _, value in kinds.get("input", [])]},
            "outputs": {"model_outputs": [json.loads(value) for _, value in kinds.get("output", [])]},
        }

    def _info(self) -> Body:
        own = self.subject
        return {
            "run_id": own.run_uuid, "run_uuid": own.run_uuid, "experiment_id": own.experiment_id,
            "run_name": own.session, "user_id": own.session.split("/")[0], "status": "RUNNING",
            "start_time": self.started_ms, "lifecycle_stage": "active", "artifact_uri": self._artifact_uri(),
        }  # fmt: skip

    # --- metrics, params, tags ---

    async def log_metric(self, body: Body, query: Mapping[str, str]) -> Body:
        await self._log_points([body])
        return {}

    async def log_batch(self, body: Body, query: Mapping[str, str]) -> Body:
        metrics = parsing.records(body, "metrics", parsing.METRICS_MAX)
        params = parsing.params(parsing.records(body, "params", parsing.TEXTS_MAX))
        tags = parsing.tags(parsing.records(body, "tags", parsing.TEXTS_MAX))
        points = parsing.points(metrics, now_ms())  # all is read before anything is written
        await self.store.add_params(params)
        await self.store.put_texts("tag", tags)
        await self._add(points)
        return {}

    async def log_parameter(self, body: Body, query: Mapping[str, str]) -> Body:
        await self.store.add_params(parsing.params([body]))
        return {}

    async def set_tag(self, body: Body, query: Mapping[str, str]) -> Body:
        await self.store.put_texts("tag", parsing.tags([body]))
        return {}

    async def delete_tag(self, body: Body, query: Mapping[str, str]) -> Body:
        key = parsing.tag_key(body)
        if not await self.store.delete_tag(key):
            raise Refusal(f"The run has no tag {key!r}.", "RESOURCE_DOES_NOT_EXIST", 404)
        return {}

    async def _log_points(self, raw: list[Body]) -> None:
        await self._add(parsing.points(raw, now_ms()))

    async def _add(self, points: list[Point]) -> None:
        await self.store.add_points(points)
        self.events.heard(self.subject, points)

    async def get_history(self, body: Body, query: Mapping[str, str]) -> Body:
        key = parsing.name(query.get("metric_key"), "metric")
        most = min(max(_number(query.get("max_results"), HISTORY_MAX), 1), HISTORY_MAX)
        rows = await self.store.history(key, _number(query.get("page_token"), 0), most)
        answer: Body = {"metrics": [_metric(point) for _, point in rows]}
        return answer | ({"next_page_token": str(rows[-1][0])} if len(rows) == most else {})

    # --- the experiment ---

    async def get_experiment(self, body: Body, query: Mapping[str, str]) -> Body:
        """Whatever name a script gives to ``set_experiment()``, it is the run's own."""
        return {"experiment": self._experiment(query.get("experiment_name", ""))}

    async def search_experiments(self, body: Body, query: Mapping[str, str]) -> Body:
        return {"experiments": [self._experiment()]}

    async def create_experiment(self, body: Body, query: Mapping[str, str]) -> Body:
        return {"experiment_id": self.subject.experiment_id}

    def _experiment(self, name: str = "") -> Body:
        own = self.subject
        return {
            "experiment_id": own.experiment_id, "name": name or own.experiment, "lifecycle_stage": "active",
            "artifact_location": f"mlflow-artifacts:/{own.experiment_id}", "tags": [],
            "creation_time": self.started_ms, "last_update_time": self.started_ms,
        }  # fmt: skip

    async def server_info(self, body: Body, query: Mapping[str, str]) -> Body:
        return {"store_type": "SqlStore", "workspaces_enabled": False}

    # --- datasets and models ---

    async def log_inputs(self, body: Body, query: Mapping[str, str]) -> Body:
        rows = []
        for one in parsing.records(body, "datasets", parsing.TEXTS_MAX):
            dataset = one.get("dataset")
            if not isinstance(dataset, dict) or not isinstance(one.get("tags") or [], list):
                raise Refusal("A dataset input has a dataset and a list of tags.")
            key = parsing.plain(f"{dataset.get('name')}:{dataset.get('digest')}", parsing.KEY_CHARS_MAX)
            rows.append(Text(key, parsing.document(one, "dataset")))
        await self.store.put_texts("input", list({row.key: row for row in rows}.values()))
        return {}

    async def log_outputs(self, body: Body, query: Mapping[str, str]) -> Body:
        rows = {
            str(one["model_id"]): {"model_id": str(one["model_id"]), "step": _number(one.get("step"), 0)}
            for one in parsing.records(body, "models", parsing.TEXTS_MAX)
            if one.get("model_id")
        }
        await self.store.put_texts("output", [Text(key, json.dumps(value)) for key, value in rows.items()])
        return {}

    async def log_model(self, body: Body, query: Mapping[str, str]) -> Body:
        """MLflow 2's record of a model: the newest, and those before it while a tag has room."""
        record = parsing.body(str(body.get("model_json") or "{}").encode("utf-8", "replace"))
        async with self._models_lock:
            kept = [json.loads(one) for kind, key, one in await self.store.texts("tag") if key == MODEL_HISTORY_TAG]
            known = kept[0] if kept and isinstance(kept[0], list) else []
            for models in ([*known, record], [record]):
                if len(value := json.dumps(models)) <= parsing.TAG_CHARS_MAX:
                    await self.store.put_texts("tag", [Text(MODEL_HISTORY_TAG, value)])
                    break
        return {}

    async def _models(self) -> dict[str, Body]:
        return {key: json.loads(value) for _, key, value in await self.store.texts("model")}

    async def create_model(self, body: Body, query: Mapping[str, str]) -> Body:
        """A logged model of MLflow 3. Its files lie among the run's own artifacts."""
        model_id = f"m-{secrets.token_hex(16)}"
        info = {
            "model_id": model_id, "experiment_id": self.subject.experiment_id,
            "name": parsing.plain(body.get("name") or model_id, parsing.KEY_CHARS_MAX),
            "creation_timestamp_ms": now_ms(), "last_updated_timestamp_ms": now_ms(),
            "artifact_uri": f"{self._artifact_uri()}/models/{model_id}", "status": "LOGGED_MODEL_PENDING",
            "model_type": parsing.plain(body.get("model_type"), parsing.KEY_CHARS_MAX),
            "source_run_id": self.subject.run_uuid, "tags": _texts(body, "tags"),
        }  # fmt: skip
        model = {"info": info, "data": {"params": _texts(body, "params")}}
        async with self._models_lock:
            if len(await self._models()) >= MODELS_MAX:
                raise Refusal(f"A run may log {MODELS_MAX} models; save checkpoints.", "RESOURCE_EXHAUSTED", 429)
            await self._put_model(model)
        return {"model": model}

    async def _put_model(self, model: Body) -> None:
        model["info"]["last_updated_timestamp_ms"] = now_ms()
        await self.store.put_texts("model", [Text(model["info"]["model_id"], parsing.document(model, "logged model"))])

    async def get_model(self, body: Body, query: Mapping[str, str]) -> Body:
        return {"model": (await self._models())[body["model_id"]]}

    async def search_models(self, body: Body, query: Mapping[str, str]) -> Body:
        """Its own models, of one name where the client asks so: that is how it finds a model by its name."""
        models = list((await self._models()).values())
        if asked := body.get("filter"):
            named = MODEL_FILTER.fullmatch(str(asked).strip())
            if named is None:
                raise Refusal("A run's own search of models takes the filter name = '…' and no other.")
            models = [one for one in models if one["info"]["name"] == named["name"]]
        return {"models": models}

    async def finalize_model(self, body: Body, query: Mapping[str, str]) -> Body:
        if body.get("status") not in MODEL_STATES:
            raise Refusal(f"A model's status is one of {', '.join(sorted(MODEL_STATES))}.")
        async with self._models_lock:
            model = (await self._models())[body["model_id"]]
            model["info"]["status"] = body["status"]
            await self._put_model(model)
        return {"model": model}

    async def set_model_tags(self, body: Body, query: Mapping[str, str]) -> Body:
        return await self._merge_model(body["model_id"], "info", "tags", _texts(body, "tags"))

    async def set_model_params(self, body: Body, query: Mapping[str, str]) -> Body:
        return await self._merge_model(body["model_id"], "data", "params", _texts(body, "params"))

    async def _merge_model(self, model_id: str, part: str, field: str, texts: list[dict[str, str]]) -> Body:
        async with self._models_lock:
            model = (await self._models())[model_id]
            merged = {one["key"]: one["value"] for one in [*model[part][field], *texts]}
            model[part][field] = _pairs(list(merged.items()))
            await self._put_model(model)
        return {"model": model}

    # --- artifacts ---

    def _artifact_uri(self) -> str:
        return f"mlflow-artifacts:/{self._artifact_prefix()}"

    def _artifact_prefix(self) -> str:
        return f"{self.subject.experiment_id}/{self.subject.run_uuid}/artifacts"

    async def list_artifacts(self, body: Body, query: Mapping[str, str]) -> Body:
        files = await asyncio.to_thread(self.artifacts.listing, query.get("path", ""))
        return {"root_uri": self._artifact_uri(), "files": files}

    async def list_model_artifacts(self, body: Body, query: Mapping[str, str]) -> Body:
        root = f"models/{body['model_id']}"
        asked = f"{root}/{query.get('artifact_directory_path', '')}"
        files = await asyncio.to_thread(self.artifacts.listing, asked)
        files = [{**one, "path": one["path"][len(root) + 1 :]} for one in files]
        return {"root_uri": f"{self._artifact_uri()}/{root}", "files": files}

    async def _artifact(self, request: web.Request, path: str) -> web.StreamResponse:
        listing = request.method == "GET" and not path.strip("/")
        full = (request.query.get("path", "") if listing else path).strip("/")
        own = self._artifact_prefix()
        if full != own and not full.startswith(own + "/"):
            raise Refusal(f"A run has its own artifacts only, under {own}.", "PERMISSION_DENIED", 403)
        name = full[len(own) + 1 :]
        if listing:
            files = await asyncio.to_thread(self.artifacts.listing, name)
            return web.json_response({"files": [{**one, "path": Path(one["path"]).name} for one in files]})
        if request.method == "PUT":
            await self.artifacts.receive(name, request.content.iter_chunked(artifacts.BLOCK_BYTES))
            return web.json_response({})
        if request.method != "GET":
            raise Refusal("Artifacts can be put, read and listed; they stay.", "PERMISSION_DENIED", 403)
        target = self.artifacts.path(name)
        if not target.is_file():
            raise Refusal(f"There is no artifact {name[:80]!r}.", "RESOURCE_DOES_NOT_EXIST", 404)
        return web.FileResponse(target, headers={"Content-Type": "application/octet-stream"})


def _error(code: str, message: str, status: int) -> web.Response:
    return web.json_response({"error_code": code, "message": message}, status=status)


def _pairs(rows: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in rows]


def _texts(body: Body, field: str) -> list[dict[str, str]]:
    """A model's tags or params."""
    rows = parsing.records(body, field, parsing.TEXTS_MAX)
    return [
        {"key": parsing.name(one.get("key")), "value": parsing.plain(one.get("value"), parsing.PARAM_CHARS_MAX)}
        for one in rows
    ]


def _metric(point: Point) -> Body:
    value = "NaN" if point.is_nan else point.value  # as JSON of protobuf writes it
    return {"key": point.key, "value": value, "timestamp": point.timestamp_ms, "step": point.step}


def _number(raw: Any, default: int) -> int:
    try:
        return min(max(int(raw), 0), parsing.INTEGER_MAX) if raw not in (None, "") else default
    except (TypeError, ValueError, OverflowError):
        raise Refusal(f"{str(raw)[:40]!r} is no whole number.") from None
