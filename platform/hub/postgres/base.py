"""As Django's own, and each connection is asked whether it lives before a request gets it.

The pool's ``check`` (``CONN_HEALTH_CHECKS``) does the same with a growing pause after each dead one: 1, 2, 4, 8 s. After a
restart of Postgres all that a pool keeps are dead, so the first requests would wait until they give up.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        if self.pool is None:
            return connection
        for _ in range(self.pool.max_size):  # what it keeps; then it makes new ones, or says that it cannot
            if _lives(connection):
                break
            self.pool.putconn(connection)  # which discards it
            connection = super().get_new_connection(conn_params)
        return connection


def _lives(connection: Any) -> bool:
    autocommit = connection.autocommit
    try:
        connection.set_autocommit(True)
        connection.execute("")  # answered by the server, and by nothing less
        connection.set_autocommit(autocommit)
    except psycopg.OperationalError:
        return False
    return True
