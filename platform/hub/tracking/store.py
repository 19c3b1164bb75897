"""The SQL of the gateway: the rows of one run, durable before the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from hub.tracking.parsing import Point, Refusal, Text

POINTS_MAX = 5_000_000  # a run
TEXTS_MAX = 2_000  # of each kind a run
# The lock makes the ids of one run's points appear in order, so that a cursor on them (the mirror's) skips none.
# It is taken before an id is drawn: ids are made above the join.
ADD_POINTS = """
WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended(%(run)s, 7316003))),
     run AS MATERIALIZED (SELECT run_uuid FROM tracking_trackedrun WHERE run_uuid = %(run)s FOR KEY SHARE)
INSERT INTO tracking_metricpoint (run_id, key, value, is_nan, timestamp_ms, step)
SELECT run.run_uuid, new.* FROM held, run, unnest(
    %(keys)b::text[], %(values)b::float8[], %(nans)b::boolean[], %(stamps)b::bigint[], %(steps)b::bigint[]) AS new
ON CONFLICT DO NOTHING
"""
EXISTS = "SELECT 1 FROM tracking_trackedrun WHERE run_uuid = %s"
PUT_TEXTS = """
INSERT INTO tracking_runtext (run_id, kind, key, value, mirrored)
SELECT %(run)s, %(kind)s, new.*, false FROM unnest(%(keys)s::text[], %(values)s::text[]) AS new
"""
REPLACE = """
ON CONFLICT (run_id, kind, key) DO UPDATE SET value = excluded.value, mirrored = false
WHERE tracking_runtext.value <> excluded.value
"""
LATEST = """
SELECT DISTINCT ON (key) key, value, is_nan, timestamp_ms, step FROM tracking_metricpoint
WHERE run_id = %s ORDER BY key, step DESC, timestamp_ms DESC, value DESC
"""


class RunStore:
    """One run's rows."""

    def __init__(self, pool: AsyncConnectionPool[Any], run_uuid: str) -> None:
        self.pool, self.run_uuid = pool, run_uuid
        self._points: int | None = None  # counted from the rows once, then added to

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """The pool's connections commit each statement by themselves: a metric is one statement and one round trip."""
        async with self.pool.connection() as connection, connection.transaction():
            yield connection

    async def _fetch(self, query: str, values: Any) -> list[Any]:
        async with self.pool.connection() as connection:
            rows: list[Any] = await (await connection.execute(query, values)).fetchall()
        return rows

    async def open(self, experiment_id: str, experiment: str, name: str, user: str, now_ms: int) -> int:
        """Make the run's row unless it is there; returns when it began, in ms."""
        async with self.pool.connection() as connection:
            await connection.execute(
                'INSERT INTO tracking_trackedrun (run_uuid, experiment_id, experiment_name, name, "user", started_ms,'
                " mirror_run_id, mirror_cursor) VALUES (%s, %s, %s, %s, %s, %s, '', 0) ON CONFLICT DO NOTHING",
                [self.run_uuid, experiment_id, experiment, name, user, now_ms],
            )
            query = "SELECT started_ms FROM tracking_trackedrun WHERE run_uuid = %s"
            row = await (await connection.execute(query, [self.run_uuid])).fetchone()
        return int(row[0]) if row else now_ms

    async def add_points(self, points: Sequence[Point]) -> None:
        """Raises Refusal at the run's limit. A point that is there already stays one, as in MLflow."""
        if not points:
            return
        if self._points is None:
            counted = await self._fetch("SELECT count(*) FROM tracking_metricpoint WHERE run_id = %s", [self.run_uuid])
            self._points = int(counted[0][0])
        if self._points + len(points) > POINTS_MAX:
            raise Refusal(f"A run may log {POINTS_MAX:,} metric values; log less often.", "RESOURCE_EXHAUSTED", 429)
        columns = [list(column) for column in zip(*points, strict=True)]
        values = dict(zip(("keys", "values", "nans", "stamps", "steps"), columns, strict=True), run=self.run_uuid)
        async with self.pool.connection() as connection:
            added = (await connection.execute(ADD_POINTS, values)).rowcount
        if not added and not await self._fetch(EXISTS, [self.run_uuid]):
            raise Refusal("This run is gone; its course or its team was removed.", "RESOURCE_DOES_NOT_EXIST", 404)
        self._points += added

    async def add_params(self, params: Sequence[Text]) -> None:
        """Raises Refusal when one is there with another value: params do not change."""
        if not params:
            return
        values = self._columns("param", params)
        async with self._transaction() as connection:
            await connection.execute(PUT_TEXTS + "ON CONFLICT DO NOTHING", values)
            query = "SELECT key, value FROM tracking_runtext WHERE run_id = %(run)s AND kind = 'param' AND key = ANY(%(keys)s)"
            kept = dict(await (await connection.execute(query, values)).fetchall())
            for key, value in params:
                if kept[key] != value:
                    raise Refusal(
                        f"Changing param values is not allowed. Param with key={key!r} was already logged with"
                        f" value={kept[key]!r} for run ID={self.run_uuid!r}. Attempted logging new value {value!r}."
                    )
            await self._bound(connection, "param")

    async def put_texts(self, kind: str, texts: Sequence[Text]) -> None:
        """Tags, and the JSON of datasets (input), logged models (model) and their links (output)."""
        if texts:
            async with self._transaction() as connection:
                await connection.execute(PUT_TEXTS + REPLACE, self._columns(kind, texts))
                await self._bound(connection, kind)

    def _columns(self, kind: str, texts: Sequence[Text]) -> dict[str, Any]:
        rows = sorted(texts)  # one order for all, so that two calls at once cannot deadlock
        return {
            "run": self.run_uuid,
            "kind": kind,
            "keys": [key for key, _ in rows],
            "values": [one for _, one in rows],
        }

    async def _bound(self, connection: Any, kind: str) -> None:
        query = "SELECT count(*) FROM tracking_runtext WHERE run_id = %s AND kind = %s"
        count = (await (await connection.execute(query, [self.run_uuid, kind])).fetchone())[0]
        if count > TEXTS_MAX:
            raise Refusal(f"A run may have {TEXTS_MAX} of {kind}.", "RESOURCE_EXHAUSTED", 429)

    async def delete_tag(self, key: str) -> bool:
        """Whether it was there. A row of kind ``untag`` tells the mirror."""
        async with self._transaction() as connection:
            query = "DELETE FROM tracking_runtext WHERE run_id = %s AND kind = 'tag' AND key = %s"
            gone = (await connection.execute(query, [self.run_uuid, key])).rowcount
            if gone:
                again = "ON CONFLICT (run_id, kind, key) DO UPDATE SET mirrored = false"
                await connection.execute(PUT_TEXTS + again, self._columns("untag", [Text(key, "")]))
        return bool(gone)

    async def texts(self, kind: str | None = None) -> list[tuple[str, str, str]]:
        """(kind, key, value) of each."""
        query = "SELECT kind, key, value FROM tracking_runtext WHERE run_id = %s AND (kind = %s OR %s::text IS NULL) ORDER BY id"
        return await self._fetch(query, [self.run_uuid, kind, kind])

    async def latest(self) -> list[Point]:
        """MLflow's last value of each metric: of the highest step."""
        return [Point(*row) for row in await self._fetch(LATEST, [self.run_uuid])]

    async def history(self, key: str, after: int, most: int) -> list[tuple[int, Point]]:
        """(id, point) in the order of arrival, after the id ``after``."""
        rows = await self._fetch(
            "SELECT id, key, value, is_nan, timestamp_ms, step FROM tracking_metricpoint"
            " WHERE run_id = %s AND key = %s AND id > %s ORDER BY id LIMIT %s",
            [self.run_uuid, key, after, most],
        )
        return [(row[0], Point(*row[1:])) for row in rows]
