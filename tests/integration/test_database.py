"""Django's pool after Postgres went away and came back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)
KEPT = 8
POOL_SECONDS = 20  # after which the pool gives up


def side_by_side(work: Callable[[], int], count: int) -> list[int]:
    """What ``work`` returns in so many threads that hold their connections at once, and then give them back."""
    together = threading.Barrier(count)

    def run() -> int:
        try:
            found = work()
            together.wait(10)
            return found
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return [one.result() for one in [threads.submit(run) for _ in range(count)]]


def pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_dead_connection_is_not_handed_out() -> None:
    kept = side_by_side(pid, KEPT)
    assert len(set(kept)) == KEPT
    with connection.cursor() as cursor:  # as a restart does to all that the pool keeps; it returns once they are gone
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = '' AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= KEPT - 1  # this thread may hold one of them
    began = time.monotonic()
    fresh = side_by_side(pid, KEPT)
    assert len(set(fresh)) == KEPT and not set(fresh) & set(kept)
    assert time.monotonic() - began < POOL_SECONDS, "nobody waits until the pool gives up"
