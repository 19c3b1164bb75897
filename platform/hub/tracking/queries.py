"""Reads of what runs logged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection

from courses.submissions.models import Run
from hub.tracking.models import RunText
from hub.tracking.parsing import SUMMARY_TAG

POINTS_MAX = 2_000  # a key
KEYS_MAX = 500  # a run
SUMMARY_MAX = 20  # metrics of a run's line
# Each key's first and last point and every n-th between them. Thinned in the database: a run may have millions.
METRICS = """
WITH numbered AS (
    SELECT key, step, value, timestamp_ms, id, row_number() OVER (PARTITION BY key ORDER BY id) - 1 AS place,
        count(*) OVER (PARTITION BY key) AS count
    FROM tracking_metricpoint WHERE run_id = %(run)s AND NOT is_nan AND (key = %(key)s OR %(key)s::text IS NULL)
)
SELECT key, step, value, timestamp_ms FROM numbered
WHERE place %% GREATEST(1, ceil((count - 1) / (%(most)s - 1)::float8)::bigint) = 0 OR place = count - 1
ORDER BY id
"""
# A loose index scan: one probe a key, however many points it has.
LATEST = """
WITH RECURSIVE keys(run, key) AS (
    SELECT run, (SELECT min(key) FROM tracking_metricpoint WHERE run_id = run) FROM unnest(%(runs)s::text[]) AS run
    UNION ALL
    SELECT run, (SELECT min(p.key) FROM tracking_metricpoint p WHERE p.run_id = run AND p.key > keys.key)
    FROM keys WHERE key IS NOT NULL
)
SELECT keys.run, keys.key, last.value, last.step FROM keys, LATERAL (
    SELECT value, step FROM tracking_metricpoint p WHERE p.run_id = keys.run AND p.key = keys.key AND NOT is_nan
    ORDER BY timestamp_ms DESC, step DESC LIMIT 1
) AS last WHERE keys.key IS NOT NULL
"""
LAST = """
SELECT run, last.key, last.value, last.step FROM unnest(%(runs)s::text[]) AS run, LATERAL (
    SELECT key, value, step FROM tracking_metricpoint p WHERE p.run_id = run AND NOT is_nan ORDER BY id DESC LIMIT 1
) AS last
"""


def _rows(query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


def metrics(run_uuid: str, key: str | None = None) -> dict[str, list[list[float]]]:
    """key → [[step, value, milliseconds], …] in the order of arrival, thinned to at most 2,000 a key."""
    found: dict[str, list[list[float]]] = {}
    for name, step, value, stamp in _rows(METRICS, {"run": run_uuid, "key": key, "most": POINTS_MAX}):
        if name in found or len(found) < KEYS_MAX:
            found.setdefault(name, []).append([step, value, stamp])
    return found


def latest(run_uuids: Iterable[str]) -> dict[str, dict[str, tuple[float, int]]]:
    """run → {key: (value, step)}, each key's newest by its time."""
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for run, key, value, step in _rows(LATEST, {"runs": list(run_uuids)}):
        found.setdefault(run, {})[key] = (value, step)
    return found


def summaries(run_uuids: Iterable[str]) -> dict[str, dict[str, float]]:
    """run → {key: newest value} of the metrics that it marked with ``nsml.report(summary=True)``."""
    marked = RunText.objects.filter(run_id__in=list(run_uuids), kind="tag", key=SUMMARY_TAG)
    wanted = {run: value.split(",")[:SUMMARY_MAX] for run, value in marked.values_list("run_id", "value")}
    values = latest(wanted) if wanted else {}
    return {
        run: {key: values[run][key][0] for key in keys if key in values.get(run, {})} for run, keys in wanted.items()
    }


def live_for_board(assignment_id: int) -> dict[int, dict[str, Any]]:
    """What each team's newest running run logged last."""
    running = Run.objects.filter(assignment_id=assignment_id, state="running").select_related("team", "assignment")
    by_uuid = {run.id.hex: run for run in running.order_by("number")}
    found: dict[int, dict[str, Any]] = {}
    last = {row[0]: row[1:] for row in _rows(LAST, {"runs": list(by_uuid)})} if by_uuid else {}
    for uuid, run in by_uuid.items():  # a team's newest comes last
        if uuid in last:
            key, value, step = last[uuid]
            found[run.team_id] = {
                "run": run.session, "number": run.number, "key": key, "value": value, "step": step,
            }  # fmt: skip
    return found
