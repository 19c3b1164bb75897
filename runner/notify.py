"""Live events by Postgres NOTIFY, in the caller's transaction: viewers hear of it when it is committed, or never."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

LIVE = "seodang_live"
JOBS = "seodang_jobs"
ATTEMPTS = "seodang_attempts"


def send(group: str, message: dict[str, Any]) -> None:
    """Send ``message`` to a channel-layer group. Keep it below 7,500 bytes: an id, not a document."""
    signal(LIVE, json.dumps({"g": group, "m": message}))


def signal(channel: str, payload: str = "") -> None:
    """Wake whoever listens on ``channel``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])
