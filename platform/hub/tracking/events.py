"""Word of new points to viewers: at most ten a second a group, from a connection of its own.

A NOTIFY in every insert costs two thirds of the throughput: all commits that notify stand in one line.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

import psycopg

from hub.live.layer import RESYNC, connect, payload_of
from hub.tracking.parsing import Point
from runner import notify

log = logging.getLogger("seodang.tracking")
FLUSH_SECONDS = 0.1
POINTS_KEPT = 200  # a key, between two flushes
KEYS_KEPT = 200  # a run, between two flushes
TEAMS_A_MESSAGE = 40
Waiting = dict[str, dict[str, deque[list[float]]]]


@dataclass(frozen=True)
class Subject:
    """Whose calls come in on one socket."""

    run_uuid: str  # MLflow's id of it
    run: str  # the course's run, for its group
    assignment: str
    team: str
    number: int
    session: str
    experiment_id: str
    experiment: str

    @classmethod
    def from_env(cls, env: dict[str, str]) -> Subject:
        """From a job's environment. Raises KeyError or ValueError where it is none of a tracked run."""
        assignment, team, number, session = env["SEODANG_BOARD"].split(":", 3)
        return cls(
            env["MLFLOW_RUN_ID"], env["SEODANG_RUN"], assignment, team, int(number), session,
            env["MLFLOW_EXPERIMENT_ID"], env["SEODANG_EXPERIMENT"],
        )  # fmt: skip


class Events:
    """Points wait here for the next flush."""

    def __init__(self) -> None:
        self._points: Waiting = defaultdict(dict)
        self._live: dict[str, dict[str, Any]] = defaultdict(dict)
        self._missed: set[str] = set()  # groups that lost a message with the connection
        self._woken = asyncio.Event()

    def heard(self, subject: Subject, points: list[Point]) -> None:
        """Remember points that are committed. NaN has no place on a chart."""
        keys = self._points[subject.run]
        shown = [point for point in points if not point.is_nan]
        for point in shown:
            if point.key in keys or len(keys) < KEYS_KEPT:
                waiting = keys.setdefault(point.key, deque(maxlen=POINTS_KEPT))
                waiting.append([point.step, point.value, point.timestamp_ms])
        if shown:
            last = shown[-1]
            self._live[subject.assignment][subject.team] = {
                "run": subject.session, "number": subject.number, "key": last.key, "value": last.value,
                "step": last.step,
            }  # fmt: skip
            self._woken.set()

    async def flush_forever(self) -> None:
        while True:
            try:
                async with await connect() as sender:
                    while True:
                        await self._woken.wait()
                        self._woken.clear()
                        await self.flush(sender)
                        await asyncio.sleep(FLUSH_SECONDS)
            except (psycopg.Error, OSError) as error:
                log.warning("action=flush_lost error=%s", error)
                self._woken.set()
                await asyncio.sleep(1)

    async def flush(self, sender: psycopg.AsyncConnection[Any]) -> None:
        """Send what waits, each group once. What cannot be sent becomes a resync of its group."""
        points, self._points = self._points, defaultdict(dict)
        live, self._live = self._live, defaultdict(dict)
        payloads = {f"run.{run}": [points_payload(f"run.{run}", keys)] for run, keys in points.items() if keys}
        payloads |= {f"board.{board}": _board_payloads(f"board.{board}", teams) for board, teams in live.items()}
        payloads |= {group: [payload_of(group, RESYNC)] for group in self._missed}
        self._missed = set(payloads)
        for group, parts in payloads.items():
            for payload in parts:
                await sender.execute("SELECT pg_notify(%s, %s)", [notify.LIVE, payload])
            self._missed.discard(group)


def points_payload(group: str, keys: dict[str, deque[list[float]]]) -> str:
    """All points, thinned until they fit: the last of each key stays, and a snapshot has them all."""
    rows = {key: list(points) for key, points in keys.items()}
    while True:
        payload = payload_of(group, {"type": "run.points", "points": rows})
        if payload != payload_of(group, RESYNC) or all(len(points) == 1 for points in rows.values()):
            return payload
        rows = {key: points[::-1][::2][::-1] for key, points in rows.items()}


def _board_payloads(group: str, teams: dict[str, Any]) -> list[str]:
    rows = list(teams.items())
    parts = [dict(rows[start : start + TEAMS_A_MESSAGE]) for start in range(0, len(rows), TEAMS_A_MESSAGE)]
    return [payload_of(group, {"type": "board.live", "points": part}) for part in parts]
