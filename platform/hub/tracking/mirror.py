"""Copies what runs logged to MLflow's own store, so that its UI shows it. The only module that imports mlflow.

Each step may be cut off anywhere and done again: the run is found by its tag before one is made, MLflow's key
(key, timestamp, step, value, is_nan) makes a second copy of a point nothing, and the cursor moves afterwards.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.entities.workspace import Workspace
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlRun
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as WorkspaceStore
from mlflow.utils.workspace_context import ServerWorkspaceContext

from courses.submissions.models import ACTIVE_RUN_STATES, Run
from hub.tracking.mlflow_database import DATABASE, ensure_database, store_uri, workspace_of
from hub.tracking.models import MetricPoint, RunText, TrackedRun

log = logging.getLogger("seodang.mirror")
Rest = Callable[[float], bool]
MLFLOW_ENABLE_WORKSPACES.set(True)  # type: ignore[no-untyped-call]  # without it the store sees one workspace, whatever is said
RUN_TAG = "seodang.run"
POINTS_A_BATCH = 1_000
TEXTS_A_BATCH = 100
BATCHES_A_STEP = 20  # then the next run has its turn
RETRY_SECONDS = (2.0, 300.0)  # first and longest wait of a run whose copy fails
LATE_SECONDS = 600  # a last call may arrive after the run's end
ENDINGS = {"succeeded": RunStatus.FINISHED, "stopped": RunStatus.KILLED, "preempted": RunStatus.KILLED}
KINDS = ["param", "tag", "untag", "input", "official"]  # of texts, that MLflow's store keeps
UNMIRRORED_TAGS = frozenset({"mlflow.runName", "mlflow.user"})  # the platform's own name and team stay on show
WORK = """
SELECT t.run_uuid FROM tracking_trackedrun t
WHERE t.run_uuid <> ALL(%(waiting)s) AND (
    EXISTS (SELECT 1 FROM tracking_runtext x WHERE x.run_id = t.run_uuid AND NOT x.mirrored AND x.kind = ANY(%(kinds)s))
    OR (t.ended_ms IS NULL OR t.ended_ms > %(late)s) AND (
        t.mirror_run_id = ''
        OR EXISTS (SELECT 1 FROM tracking_metricpoint p WHERE p.run_id = t.run_uuid AND p.id > t.mirror_cursor))
    OR t.ended_ms IS NULL AND EXISTS (SELECT 1 FROM submissions_run r
        WHERE r.id = t.run_uuid::uuid AND r.state <> ALL(%(active)s)))
ORDER BY t.started_ms LIMIT %(limit)s
"""


class Mirror:
    """One at a time: the command holds a lock."""

    def __init__(self, database: str = DATABASE) -> None:
        self.database = database
        self._failed: dict[str, tuple[float, float]] = {}  # run → when to try again, the wait after that
        self._workspaces: set[str] = set()

    @cached_property
    def store(self) -> Any:  # mlflow has no types
        ensure_database(self.database)
        return WorkspaceAwareSqlAlchemyStore(  # type: ignore[no-untyped-call]
            store_uri(self.database), (Path(settings.VAR) / "artifacts").as_uri()
        )

    @cached_property
    def workspaces(self) -> Any:
        assert self.store is not None  # it makes the tables of both
        return WorkspaceStore(store_uri(self.database))

    def workspace(self, name: str) -> ServerWorkspaceContext:
        """Within it the store sees one course. Made at its first run."""
        if name not in self._workspaces:
            try:
                self.workspaces.get_workspace(name)
            except MlflowException:
                self.workspaces.create_workspace(Workspace(name))
            self._workspaces.add(name)
        return ServerWorkspaceContext(name)

    def once(self, limit: int = 20, rest: Rest | None = None) -> bool:
        """Copy some of what is new, of at most ``limit`` runs. Returns whether anything was copied.

        ``rest`` is called after each run with the seconds that it took, and returns True to end here.
        """
        copied = False
        for run_uuid in self._work(limit):
            began = time.monotonic()
            try:
                self._copy(TrackedRun.objects.get(pk=run_uuid))
            except Exception as error:  # one bad run must not stop the others; it waits
                wait = self._failed.get(run_uuid, (0.0, RETRY_SECONDS[0]))[1]
                self._failed[run_uuid] = (time.monotonic() + wait, min(wait * 2, RETRY_SECONDS[1]))
                log.warning("action=mirror_failed run=%s wait=%s error=%s", run_uuid, wait, error)
            else:
                self._failed.pop(run_uuid, None)
                copied = True
            if rest and rest(time.monotonic() - began):
                break
        return copied

    def _work(self, limit: int) -> list[str]:
        now = time.monotonic()
        values: dict[str, Any] = {
            "late": (time.time() - LATE_SECONDS) * 1000,
            "waiting": [run for run, (until, _) in self._failed.items() if until > now],
            "active": [str(state) for state in ACTIVE_RUN_STATES],
            "kinds": KINDS,
            "limit": limit,
        }
        with connection.cursor() as cursor:
            cursor.execute(WORK, values)
            return [row[0] for row in cursor.fetchall()]

    def _copy(self, tracked: TrackedRun) -> None:
        query = Run.objects.select_related("assignment").filter(pk=tracked.run_uuid)
        run = query.first()  # before the points: what ended logs no more
        if run is None:
            raise LookupError("its run is gone")
        with self.workspace(workspace_of(run.assignment.course_id)):
            self._copy_into(tracked, run)

    def _copy_into(self, tracked: TrackedRun, run: Run) -> None:
        if not tracked.mirror_run_id:
            tracked.mirror_run_id = self._find(tracked) or self._create(tracked)
            TrackedRun.objects.filter(pk=tracked.pk).update(mirror_run_id=tracked.mirror_run_id)
        self._copy_texts(tracked)
        done = self._copy_points(tracked)
        if done and tracked.ended_ms is None and not run.is_active:
            ended = run.ended_at or run.created_at
            self._end(tracked, ENDINGS.get(run.state, RunStatus.FAILED), int(ended.timestamp() * 1000))

    # --- the run ---

    def _experiment(self, name: str) -> str:
        found = self.store.get_experiment_by_name(name)
        if found is None:
            return str(self.store.create_experiment(name))
        if found.lifecycle_stage == LifecycleStage.DELETED:
            self.store.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _find(self, tracked: TrackedRun) -> str:
        """The run that a mirror made before it was cut off."""
        wanted = f"tags.`{RUN_TAG}` = '{tracked.run_uuid}'"
        found = self.store.search_runs([self._experiment(tracked.experiment_name)], wanted, ViewType.ALL, 1)
        if not found:
            return ""
        self._place(found[0].info.run_id, tracked)
        return str(found[0].info.run_id)

    def _create(self, tracked: TrackedRun) -> str:
        experiment = self._experiment(tracked.experiment_name)
        tags = [RunTag(RUN_TAG, tracked.run_uuid), RunTag("mlflow.user", tracked.user)]
        made = self.store.create_run(experiment, tracked.user, tracked.started_ms, tags, tracked.name)
        self._place(made.info.run_id, tracked)
        return str(made.info.run_id)

    def _place(self, mirror_run_id: str, tracked: TrackedRun) -> None:
        """MLflow makes up an artifact folder of its own; the files lie in the gateway's."""
        uri = (Path(settings.VAR) / "artifacts" / tracked.run_uuid).as_uri()
        with self.store.ManagedSessionMaker(read_only=False) as session:
            session.query(SqlRun).filter(SqlRun.run_uuid == mirror_run_id).update({"artifact_uri": uri})

    def _end(self, tracked: TrackedRun, status: int, ended_ms: int) -> None:
        self.store.update_run_info(tracked.mirror_run_id, status, ended_ms, None)
        TrackedRun.objects.filter(pk=tracked.pk).update(ended_ms=ended_ms)

    # --- what it logged ---

    def _copy_points(self, tracked: TrackedRun) -> bool:
        """Whether nothing is left."""
        for _ in range(BATCHES_A_STEP):
            rows = list(
                MetricPoint.objects.filter(run_id=tracked.pk, id__gt=tracked.mirror_cursor).order_by("id")[
                    :POINTS_A_BATCH
                ]
            )
            if not rows:
                return True
            self.store.log_batch(tracked.mirror_run_id, [_metric(row) for row in rows], [], [])
            tracked.mirror_cursor = rows[-1].id
            TrackedRun.objects.filter(pk=tracked.pk).update(mirror_cursor=tracked.mirror_cursor)
        return False

    def _copy_texts(self, tracked: TrackedRun) -> None:
        waiting = RunText.objects.filter(run_id=tracked.pk, mirrored=False, kind__in=KINDS)
        rows = list(waiting.order_by("id"))
        for batch in _batches(rows, TEXTS_A_BATCH):
            params = [Param(row.key, row.value) for row in batch if row.kind == "param"]
            tags = [RunTag(row.key, row.value) for row in batch if row.kind == "tag" and _shown(row.key)]
            scores = [_official(json.loads(row.value)) for row in batch if row.kind == "official"]
            if params or tags or scores:
                self.store.log_batch(tracked.mirror_run_id, scores, params, tags)
            self._copy_rare(tracked, batch)
            for row in batch:  # one that changed meanwhile goes again
                RunText.objects.filter(pk=row.pk, value=row.value).update(mirrored=True)

    def _copy_rare(self, tracked: TrackedRun, batch: list[RunText]) -> None:
        inputs = [_input(json.loads(row.value)) for row in batch if row.kind == "input"]
        if inputs:
            self.store.log_inputs(tracked.mirror_run_id, inputs)
        there = self.store.get_run(tracked.mirror_run_id).data.tags if any(row.kind == "untag" for row in batch) else {}
        set_again = set(RunText.objects.filter(run_id=tracked.pk, kind="tag").values_list("key", flat=True))
        for row in batch:
            if row.kind == "untag" and row.key in there and row.key not in set_again and _shown(row.key):
                self.store.delete_tag(tracked.mirror_run_id, row.key)


def _shown(key: str) -> bool:
    return key not in UNMIRRORED_TAGS


def _metric(row: MetricPoint) -> Metric:
    return Metric(row.key, float("nan") if row.is_nan else row.value, row.timestamp_ms, row.step)


def _official(raw: dict[str, Any]) -> Metric:
    return Metric(raw["key"], raw["value"], raw["timestamp_ms"], 0)


def _input(raw: dict[str, Any]) -> DatasetInput:
    """A dataset as a run described it, within MLflow's bounds."""
    dataset = raw["dataset"]
    bounds = {"name": 500, "digest": 36, "source_type": 36, "source": 60_000, "schema": 60_000, "profile": 60_000}
    fields = {name: str(dataset[name])[:most] for name, most in bounds.items() if dataset.get(name) is not None}
    required = dict.fromkeys(("name", "digest", "source_type", "source"), "")
    tags = [
        InputTag(str(one.get("key"))[:255], str(one.get("value"))[:500])
        for one in raw.get("tags") or []
        if isinstance(one, dict)
    ]
    return DatasetInput(Dataset(**{**required, **fields}), tags)


def _batches(rows: list[RunText], size: int) -> Iterable[list[RunText]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


_mirror = Mirror()


def mirror_once(limit: int = 20, rest: Rest | None = None) -> bool:
    """One step of this process's mirror, as ``Mirror.once``."""
    return _mirror.once(limit, rest)
