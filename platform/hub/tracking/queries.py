"""Reads of what runs logged."""

from __future__ import annotations

from typing import Any

from courses.submissions.models import Run
from hub.tracking.models import MetricPoint

POINTS_MAX = 2_000


def metrics(run_uuid: str, key: str | None = None) -> dict[str, list[list[float]]]:
    """key → [[step, value, milliseconds], …], thinned to at most 2,000 a key."""
    rows = MetricPoint.objects.filter(run_id=run_uuid, is_nan=False)
    if key:
        rows = rows.filter(key=key)
    found: dict[str, list[list[float]]] = {}
    for name, step, value, stamp in rows.order_by("id").values_list("key", "step", "value", "timestamp_ms"):
        found.setdefault(name, []).append([step, value, stamp])
    return {name: points[:: max(1, len(points) // POINTS_MAX)] for name, points in found.items()}


def live_for_board(assignment_id: int) -> dict[int, dict[str, Any]]:
    """What each team's newest running run logged last."""
    running = Run.objects.filter(assignment_id=assignment_id, state="running").select_related("team", "assignment")
    by_uuid = {run.id.hex: run for run in running}
    last = (
        MetricPoint.objects.filter(run_id__in=by_uuid, is_nan=False).order_by("run_id", "-id").distinct("run_id")
        if by_uuid
        else []
    )
    found = {}
    for point in last:
        run = by_uuid[point.run_id]
        found[run.team_id] = {
            "run": run.session, "number": run.number, "key": point.key, "value": point.value, "step": point.step,
        }  # fmt: skip
    return found
