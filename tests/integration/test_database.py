"""Django's pool after Postgres went away and came back."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_thread(work: object) -> list[object]:
    """What ``work`` returns, or raises, in a thread of its own, which gives its connection back to the pool."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(work())  # type: ignore[operator]
        except Exception as error:
            found.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_dead_connection_is_not_handed_out() -> None:
    assert isinstance(in_a_thread(pid)[0], int)
    with connection.cursor() as cursor:  # as a restart does to all that the pool keeps; it returns once they are gone
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = '' AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 1
    assert [type(in_a_thread(pid)[0]) for _ in range(5)] == [int] * 5
