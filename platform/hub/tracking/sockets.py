"""The gateway: one Unix socket an attempt, behind which stands as much of MLflow's API as a run may use.

The socket is the credential: what comes in on it is of that attempt's run, whatever it says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web
from django.conf import settings
from psycopg_pool import AsyncConnectionPool

from hub.tracking import allowlist
from runner import notify
from runner.loop import parameters
from runner.spec import CONTAINER_UID

log = logging.getLogger("seodang.tracking")
BODY_BYTES_MAX = 4 << 20
BATCH_MAX = 1_000
KEY_CHARS_MAX = 250
VALUE_CHARS_MAX = 6_000
FLUSH_SECONDS = 0.1
RECONCILE_SECONDS = 2.0
ARTIFACT_BYTES_MAX = 256 << 20
ARTIFACTS_MAX = 2_000


@dataclass(frozen=True)
class Subject:
    """Whose calls come in on one socket."""

    attempt: str
    run_uuid: str
    run: str  # the course's run, for its group
    board: tuple[str, str, int, str]  # assignment, team, number, session
    experiment_id: str
    experiment: str
    user: str


class Refusal(Exception):
    """An answer in MLflow's own form."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Gateway:
    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.pool = pool
        self.runners: dict[str, web.AppRunner] = {}
        self.points: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
        self.live: dict[str, dict[str, Any]] = defaultdict(dict)

    # --- sockets ---

    async def reconcile(self) -> None:
        """Open a socket for each live attempt that tracks, close those of attempts that ended."""
        async with self.pool.connection() as connection:
            rows = await (
                await connection.execute(
                    "SELECT a.id, j.spec->'env' FROM runner_attempt a JOIN runner_job j ON j.id = a.job_id"
                    " WHERE a.state <> 'ended' AND (j.spec->>'tracking')::boolean"
                )
            ).fetchall()
        wanted = {str(key): env for key, env in rows}
        for key in set(self.runners) - set(wanted):
            await self.runners.pop(key).cleanup()
            self._path(key).unlink(missing_ok=True)
        for key in set(wanted) - set(self.runners):
            await self._open(key, wanted[key])

    def _path(self, attempt: str) -> Path:
        return Path(settings.SOCKETS) / attempt.replace("-", "")[:12] / "t.sock"

    async def _open(self, attempt: str, env: dict[str, str]) -> None:
        board = env["SEODANG_BOARD"].split(":", 3)
        subject = Subject(
            attempt, env["MLFLOW_RUN_ID"], env["SEODANG_RUN"], (board[0], board[1], int(board[2]), board[3]),
            env["MLFLOW_EXPERIMENT_ID"], env["SEODANG_EXPERIMENT"], board[3].split("/")[0],
        )  # fmt: skip
        async with self.pool.connection() as connection:
            await connection.execute(
                'INSERT INTO tracking_trackedrun (run_uuid, experiment_id, experiment_name, name, "user", started_ms,'
                " mirror_run_id, mirror_cursor) VALUES (%s, %s, %s, %s, %s, %s, '', 0) ON CONFLICT DO NOTHING",
                [subject.run_uuid, subject.experiment_id, subject.experiment, board[3], subject.user, _now_ms()],
            )
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", Calls(self, subject).handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        path = self._path(attempt)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        path.unlink(missing_ok=True)
        await web.UnixSite(runner, str(path)).start()
        if os.geteuid() == 0:
            os.chown(path, CONTAINER_UID, CONTAINER_UID)
            path.chmod(0o600)
        else:
            path.chmod(0o666)
        self.runners[attempt] = runner

    # --- events ---

    def heard(self, subject: Subject, points: list[tuple[str, float, int, int]]) -> None:
        """Remember points until the next flush."""
        for key, value, step, stamp in points[-200:]:
            self.points[subject.run][key].append([step, value, stamp])
            assignment, team, number, session = subject.board
            self.live[assignment][team] = {
                "run": session, "number": number, "key": key, "value": value, "step": step,
            }  # fmt: skip

    async def flush_forever(self) -> None:
        """At most ten events a second a group, from a connection of its own."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as sender:  # type: ignore[arg-type]
                    while True:
                        await asyncio.sleep(FLUSH_SECONDS)
                        await self._flush(sender)
            except psycopg.Error as error:
                log.warning("action=flush_lost error=%s", error)
                await asyncio.sleep(1)

    async def _flush(self, sender: psycopg.AsyncConnection[Any]) -> None:
        points, self.points = self.points, defaultdict(lambda: defaultdict(list))
        live, self.live = self.live, defaultdict(dict)
        for run, keys in points.items():
            await _notify(sender, f"run.{run}", {"type": "run.points", "points": keys})
        for assignment, teams in live.items():
            for chunk in _chunks(list(teams.items()), 40):
                await _notify(sender, f"board.{assignment}", {"type": "board.live", "points": dict(chunk)})


async def _notify(sender: psycopg.AsyncConnection[Any], group: str, message: dict[str, Any]) -> None:
    payload = json.dumps({"g": group, "m": message}, allow_nan=True)
    if len(payload.encode()) > 7_500 or "NaN" in payload or "Infinity" in payload:
        payload = json.dumps({"g": group, "m": {"type": "resync"}})
    await sender.execute("SELECT pg_notify(%s, %s)", [notify.LIVE, payload])


def _chunks(rows: list[Any], size: int) -> list[list[Any]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Calls:
    """The calls of one attempt."""

    def __init__(self, gateway: Gateway, subject: Subject) -> None:
        self.gateway, self.subject = gateway, subject

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            if "/mlflow-artifacts/artifacts" in request.path:
                return await self._artifact(request)
            if request.path in {"/health", "/version"}:
                return web.Response(text="OK" if request.path == "/health" else "3.17.2")
            name = allowlist.action(request.method, request.path)
            body = await self._body(request)
            if name is None:
                raise Refusal("PERMISSION_DENIED", f"A run may not call {request.path}.", 403)
            if not allowlist.names_only(self.subject.run_uuid, body, dict(request.query)):
                raise Refusal("PERMISSION_DENIED", "A run may speak of itself only.", 403)
            return web.json_response(await getattr(self, name)(body, request.query))
        except Refusal as error:
            return web.json_response({"error_code": error.code, "message": error.message}, status=error.status)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        if request.method == "GET" or not request.can_read_body:
            return {}
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            raise Refusal("BAD_REQUEST", "The body is not JSON.") from None
        if not isinstance(body, dict):
            raise Refusal("BAD_REQUEST", "The body is not an object.")
        return body

    async def get_run(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        async with self.gateway.pool.connection() as connection:
            texts = await (
                await connection.execute(
                    "SELECT kind, key, value FROM tracking_runtext WHERE run_id = %s", [self.subject.run_uuid]
                )
            ).fetchall()
            metrics = await (
                await connection.execute(
                    "SELECT DISTINCT ON (key) key, value, timestamp_ms, step, is_nan FROM tracking_metricpoint"
                    " WHERE run_id = %s ORDER BY key, step DESC, timestamp_ms DESC",
                    [self.subject.run_uuid],
                )
            ).fetchall()
        return {
            "run": {
                "info": self._info(),
                "data": {
                    "params": [{"key": key, "value": value} for kind, key, value in texts if kind == "param"],
                    "tags": [{"key": key, "value": value} for kind, key, value in texts if kind == "tag"],
                    "metrics": [
                        {"key": key, "value": "NaN" if nan else value, "timestamp": stamp, "step": step}
                        for key, value, stamp, step, nan in metrics
                    ],
                },
            }
        }

    def _info(self) -> dict[str, Any]:
        own = self.subject
        return {
            "run_id": own.run_uuid, "run_uuid": own.run_uuid, "experiment_id": own.experiment_id,
            "run_name": own.board[3], "user_id": own.user, "status": "RUNNING", "start_time": _now_ms(),
            "lifecycle_stage": "active",
            "artifact_uri": f"mlflow-artifacts:/{own.experiment_id}/{own.run_uuid}/artifacts",
        }  # fmt: skip

    async def update_run(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        return {"run_info": self._info()}  # the platform alone knows how it ended

    async def get_experiment(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        own = self.subject
        return {
            "experiment": {
                "experiment_id": own.experiment_id, "name": query.get("experiment_name", own.experiment),
                "artifact_location": f"mlflow-artifacts:/{own.experiment_id}", "lifecycle_stage": "active",
            }
        }  # fmt: skip

    async def server_info(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        return {"store_type": "SqlStore", "workspaces_enabled": False}

    async def accept(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        return {}

    async def log_metric(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        await self._store_metrics([body])
        return {}

    async def log_batch(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        metrics = _list(body, "metrics")
        if len(metrics) > BATCH_MAX:
            raise Refusal("INVALID_PARAMETER_VALUE", f"A batch may have {BATCH_MAX} metrics, this has {len(metrics)}.")
        if metrics:
            await self._store_metrics(metrics)
        texts = [("param", one) for one in _list(body, "params")] + [("tag", one) for one in _list(body, "tags")]
        if texts:
            await self._store_texts(texts)
        return {}

    async def log_parameter(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        await self._store_texts([("param", body)])
        return {}

    async def set_tag(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        await self._store_texts([("tag", body)])
        return {}

    async def get_history(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        async with self.gateway.pool.connection() as connection:
            rows = await (
                await connection.execute(
                    "SELECT value, is_nan, timestamp_ms, step FROM tracking_metricpoint WHERE run_id = %s AND key = %s"
                    " ORDER BY id LIMIT 25000",
                    [self.subject.run_uuid, query.get("metric_key", "")],
                )
            ).fetchall()
        key = query.get("metric_key", "")
        return {
            "metrics": [
                {"key": key, "value": "NaN" if nan else value, "timestamp": stamp, "step": step}
                for value, nan, stamp, step in rows
            ]
        }

    async def list_artifacts(self, body: dict[str, Any], query: Any) -> dict[str, Any]:
        root = self._artifact_root()
        folder = _inside(root, query.get("path", ""))
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return {
            "root_uri": self._info()["artifact_uri"],
            "files": [
                {"path": one.relative_to(root).as_posix(), "is_dir": one.is_dir(), "file_size": one.stat().st_size}
                for one in files
            ],
        }

    async def _store_metrics(self, metrics: list[Any]) -> None:
        rows = [_point(one) for one in metrics]
        columns = list(zip(*rows, strict=True))
        async with self.gateway.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO tracking_metricpoint (run_id, key, value, is_nan, timestamp_ms, step)"
                " SELECT %s, * FROM unnest(%s::text[], %s::float8[], %s::boolean[], %s::bigint[], %s::bigint[])"
                " ON CONFLICT DO NOTHING",
                [self.subject.run_uuid, *(list(column) for column in columns)],
            )
        self.gateway.heard(
            self.subject, [(key, value, step, stamp) for key, value, nan, stamp, step in rows if not nan]
        )

    async def _store_texts(self, texts: list[tuple[str, Any]]) -> None:
        rows = [(self.subject.run_uuid, kind, *_text(one)) for kind, one in texts[:200]]
        async with self.gateway.pool.connection() as connection, connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO tracking_runtext (run_id, kind, key, value, mirrored) VALUES (%s, %s, %s, %s, false)"
                " ON CONFLICT (run_id, kind, key) DO UPDATE SET value = excluded.value, mirrored = false",
                rows,
            )

    # --- artifacts ---

    def _artifact_root(self) -> Path:
        return Path(settings.VAR) / "artifacts" / self.subject.run_uuid

    async def _artifact(self, request: web.Request) -> web.StreamResponse:
        prefix = f"/{self.subject.experiment_id}/{self.subject.run_uuid}/artifacts"
        _, _, rest = request.path.partition("/mlflow-artifacts/artifacts")
        if request.method == "GET" and rest in {"", "/"}:
            return await self._artifact_listing(request, prefix)
        if not rest.startswith(prefix + "/"):
            raise Refusal("PERMISSION_DENIED", "A run may write its own artifacts only.", 403)
        path = _inside(self._artifact_root(), rest[len(prefix) + 1 :])
        if request.method == "GET":
            if not path.is_file():
                raise Refusal("RESOURCE_DOES_NOT_EXIST", "There is no such artifact.", 404)
            return web.FileResponse(path)
        if request.method != "PUT":
            raise Refusal("PERMISSION_DENIED", "Artifacts can be put and read.", 403)
        await self._receive(request, path)
        return web.json_response({})

    async def _artifact_listing(self, request: web.Request, prefix: str) -> web.Response:
        asked = "/" + request.query.get("path", "").strip("/")
        if not (asked + "/").startswith(prefix + "/"):
            raise Refusal("PERMISSION_DENIED", "A run may list its own artifacts only.", 403)
        listed = await self.list_artifacts({}, {"path": asked[len(prefix) + 1 :]})
        files = [{**one, "path": Path(one["path"]).name} for one in listed["files"]]
        return web.json_response({"files": files})

    async def _receive(self, request: web.Request, path: Path) -> None:
        root = self._artifact_root()
        existing = [one for one in root.rglob("*") if one.is_file()] if root.exists() else []
        room = ARTIFACT_BYTES_MAX - sum(one.stat().st_size for one in existing)
        if len(existing) >= ARTIFACTS_MAX or room <= 0:
            raise Refusal("RESOURCE_EXHAUSTED", "This run's artifacts are at their limit.", 413)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.urandom(4).hex()}"[:250])
        try:
            with fresh.open("wb") as sink:
                async for block in request.content.iter_chunked(1 << 16):
                    room -= len(block)
                    if room < 0:
                        raise Refusal("RESOURCE_EXHAUSTED", "This run's artifacts are at their limit.", 413)
                    sink.write(block)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def _inside(root: Path, name: str) -> Path:
    parts = [part for part in name.split("/") if part]
    if any(part in {".", ".."} or "\0" in part or len(part) > 200 for part in parts) or len(parts) > 20:
        raise Refusal("INVALID_PARAMETER_VALUE", "That is no path of an artifact.")
    return root.joinpath(*parts)


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key) or []
    if not isinstance(value, list):
        raise Refusal("INVALID_PARAMETER_VALUE", f"{key} is not a list.")
    return value


def _key(raw: Any) -> str:
    key = raw.get("key") if isinstance(raw, dict) else None
    if not isinstance(key, str) or not key or len(key) > KEY_CHARS_MAX or "\0" in key:
        raise Refusal("INVALID_PARAMETER_VALUE", f"A key has 1 to {KEY_CHARS_MAX} characters.")
    return key


def _text(raw: Any) -> tuple[str, str]:
    return _key(raw), str(raw.get("value", ""))[:VALUE_CHARS_MAX].replace("\0", "")


def _point(raw: Any) -> tuple[str, float, bool, int, int]:
    """(key, value, is_nan, timestamp, step), with MLflow's own treatment of what is no number: NaN is stored as 0
    with a flag, the infinities as the largest floats."""
    key = _key(raw)
    try:
        value = float(raw["value"])
        stamp, step = int(raw.get("timestamp") or _now_ms()), int(raw.get("step") or 0)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Refusal("INVALID_PARAMETER_VALUE", f"The metric {key[:60]!r} has no number.") from None
    if not (abs(stamp) < 1 << 62 and abs(step) < 1 << 62):
        raise Refusal("INVALID_PARAMETER_VALUE", "A step or a timestamp is out of range.")
    if math.isnan(value):
        return key, 0.0, True, stamp, step
    if math.isinf(value):
        value = math.copysign(1.7976931348623157e308, value)
    return key, value, False, stamp, step


async def serve() -> None:
    """Until SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(kwargs=parameters(), min_size=2, max_size=8, open=False)
    await pool.open()
    gateway = Gateway(pool)
    tasks = [asyncio.create_task(gateway.flush_forever()), asyncio.create_task(watch(gateway))]
    await stopping.wait()
    for task in tasks:
        task.cancel()
    for runner in gateway.runners.values():
        await runner.cleanup()
    await pool.close()


async def watch(gateway: Gateway) -> None:
    """Reconcile when an attempt changes, and every two seconds."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as listener:  # type: ignore[arg-type]
                await listener.execute(f"LISTEN {notify.ATTEMPTS}")
                while True:
                    await gateway.reconcile()
                    async for _ in listener.notifies(timeout=RECONCILE_SECONDS, stop_after=1):
                        pass
        except (psycopg.Error, OSError) as error:
            log.warning("action=watch_lost error=%s", error)
            await asyncio.sleep(0.5)
