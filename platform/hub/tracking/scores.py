"""Official scores on their way to MLflow's store: rows for the mirror, beside what the run itself logged."""

from __future__ import annotations

import json

from courses.submissions.models import ScoreEvent
from hub.tracking.models import RunText, TrackedRun
from hub.tracking.parsing import OFFICIAL

KIND = "official"


def keep(event: ScoreEvent) -> None:
    """Once a score: called again, it changes nothing."""
    run = event.submission.run_id.hex
    if not TrackedRun.objects.filter(pk=run).exists():
        return  # it never began to log, so MLflow does not know it
    RunText.objects.bulk_create(
        [
            RunText(
                run_id=run,
                kind=KIND,
                key=f"{event.pk}:{name}"[:250],
                value=json.dumps(
                    {"key": f"{OFFICIAL}{name}", "value": value, "timestamp_ms": int(event.at.timestamp() * 1000)}
                ),
            )
            for name, value in event.scores.items()
        ],
        ignore_conflicts=True,
    )
