"""The channel layer on a real Postgres: what arrives, and that what is missed is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from hub.live.layer import APPLICATION, PAYLOAD_BYTES_MAX, QUEUE_MAX, RESYNC, PostgresLayer
from runner import notify

pytestmark = pytest.mark.django_db(transaction=True)


async def heard(layer: PostgresLayer, channel: str) -> dict[str, Any]:
    return await asyncio.wait_for(layer.receive(channel), 10)


def run(scenario: Any) -> None:
    """In a loop of its own, as a server would; closed afterwards."""

    async def whole() -> None:
        one, two = PostgresLayer(), PostgresLayer()
        try:
            await scenario(one, two)
        finally:
            await one.close()
            await two.close()

    asyncio.run(whole())


def test_a_message_reaches_each_process_that_joined() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        here, there, outside = await one.new_channel(), await two.new_channel(), await two.new_channel()
        await one.group_add("board.1", here)
        await two.group_add("board.1", there)
        await two.group_add("board.2", outside)
        await one.group_send("board.1", {"type": "board.changed", "seq": 3})
        assert await heard(one, here) == {"type": "board.changed", "seq": 3}
        assert await heard(two, there) == {"type": "board.changed", "seq": 3}
        await one.group_send("board.2", {"type": "board.changed", "seq": 4})
        assert (await heard(two, outside))["seq"] == 4

    run(scenario)


def test_what_django_sends_on_commit_arrives() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        channel = await one.new_channel()
        await one.group_add("run.x", channel)
        await asyncio.to_thread(_send, "run.x", {"type": "run.changed"})
        assert await heard(one, channel) == {"type": "run.changed"}

    run(scenario)


def _send(group: str, message: dict[str, Any]) -> None:
    notify.send(group, message)
    connection.close()


def test_a_long_message_becomes_a_resync() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        channel = await one.new_channel()
        await one.group_add("run.x", channel)
        await two.group_send("run.x", {"type": "run.points", "points": "가" * PAYLOAD_BYTES_MAX})
        assert await heard(one, channel) == RESYNC

    run(scenario)


def test_a_slow_reader_loses_the_lot_and_is_told() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        channel = await one.new_channel()
        for number in range(QUEUE_MAX + 1):
            await one.send(channel, {"type": "x", "number": number})
        assert await heard(one, channel) == RESYNC
        await one.send(channel, {"type": "x", "number": 0})
        assert (await heard(one, channel))["number"] == 0

    run(scenario)


def test_lost_connections_come_back_and_each_viewer_is_told() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        channel, alone = await one.new_channel(), await one.new_channel()
        await one.group_add("run.x", channel)
        await one.group_send("run.x", {"type": "run.changed"})
        assert (await heard(one, channel))["type"] == "run.changed"
        await asyncio.to_thread(_cut)
        assert await heard(one, channel) == RESYNC
        await one.group_send("run.x", {"type": "run.changed"})  # the sender's own connection was cut too
        assert (await heard(one, channel))["type"] == "run.changed"
        with pytest.raises(TimeoutError):  # not in a group: nothing to catch up with
            await asyncio.wait_for(one.receive(alone), 0.2)

    run(scenario)


def _cut() -> None:
    """The layers' connections alone: Django's, of this thread and in the pool, serve the next tests."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = %s",
            [APPLICATION],
        )
        assert cursor.fetchone()[0] >= 2, "a listener and a sender"
    connection.close()


def test_payloads_that_are_no_messages_are_passed_over() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        channel = await one.new_channel()
        await one.group_add("run.x", channel)
        for payload in ("", "{", "[]", '{"g": 1}', "null"):
            await asyncio.to_thread(_signal, payload)
        await one.group_send("run.x", {"type": "run.changed"})
        assert (await heard(one, channel))["type"] == "run.changed"

    run(scenario)


def _signal(payload: str) -> None:
    notify.signal(notify.LIVE, payload)
    connection.close()


def test_a_consumer_that_ends_leaves_nothing_behind() -> None:
    async def scenario(one: PostgresLayer, two: PostgresLayer) -> None:
        channel = await one.new_channel()
        await one.group_add("run.x", channel)
        waiting = asyncio.create_task(one.receive(channel))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        hub = one._hub()
        assert not hub.groups
        assert not hub.queues

    run(scenario)


def test_one_layer_serves_loop_after_loop() -> None:
    layer = PostgresLayer()

    async def round_trip() -> dict[str, Any]:
        channel = await layer.new_channel()
        await layer.group_add("run.x", channel)
        await layer.group_send("run.x", {"type": "run.changed"})
        found = await heard(layer, channel)
        await layer.close()
        return found

    for _ in range(2):
        assert async_to_sync(round_trip)() == {"type": "run.changed"}
        assert asyncio.run(round_trip()) == {"type": "run.changed"}
