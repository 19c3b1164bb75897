"""Tells viewers that a run printed something. It looks at files alone: the database is asked nothing while all is quiet."""

from __future__ import annotations

import os
import threading
import uuid

from runner import attempts, notify
from runner.models import Attempt

Look = tuple[int, int]  # inode, time of the last write in ns


class LogWatch:
    """The logs of the attempts that run on this node. Safe to call from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running: dict[uuid.UUID, Attempt] = {}
        self._looks: dict[uuid.UUID, Look] = {}
        self._totals: dict[uuid.UUID, int] = {}

    def watch(self, attempt: Attempt) -> None:
        with self._guard:
            self._running.setdefault(attempt.id, attempt)

    def forget(self, attempt: Attempt) -> None:
        with self._guard:
            for kept in (self._running, self._looks, self._totals):
                kept.pop(attempt.id, None)

    def once(self) -> int:
        """How many logs had grown since the last call."""
        with self._guard:
            running = list(self._running.values())
        return sum(self._tell(attempt) for attempt in running)

    def _tell(self, attempt: Attempt) -> bool:
        look = _look(attempt)
        with self._guard:
            if look is None or attempt.id not in self._running or self._looks.get(attempt.id) == look:
                return False
            self._looks[attempt.id] = look
        total = attempts.log_state(attempt).get("total")
        with self._guard:
            if not isinstance(total, int) or self._totals.get(attempt.id) == total:
                return False
            self._totals[attempt.id] = total
        if run := attempt.job.spec["env"].get("SEODANG_RUN"):
            notify.send(f"run.{run}", {"type": "run.log", "total": total})
        return True


def _look(attempt: Attempt) -> Look | None:
    """The launcher replaces the file at each word of its log."""
    try:
        seen = os.stat(attempts.folders(attempt).io / "log.json", follow_symlinks=False)
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns
