"""Where MLflow's own store is: a database beside ours on the same server, a workspace of it for each course."""

from __future__ import annotations

import psycopg
import psycopg.sql
from sqlalchemy import URL

from runner.loop import parameters

DATABASE = "mlflow"


def workspace_of(course_id: int) -> str:
    """MLflow allows lower case letters, digits and hyphens, so it is not the course's slug."""
    return f"course-{course_id}"


def store_uri(database: str = DATABASE) -> str:
    """SQLAlchemy's address of MLflow's own database, on our server."""
    chosen = parameters()
    host = chosen["host"]
    socket = {"host": host} if host.startswith("/") else {}
    url = URL.create(
        "postgresql+psycopg2", chosen["user"], chosen["password"], None if socket else host, int(chosen["port"] or 5432),
        database, query=socket,
    )  # fmt: skip
    return url.render_as_string(hide_password=False)


def ensure_database(database: str = DATABASE) -> None:
    """Make the database unless it is there."""
    with psycopg.connect(**parameters(), autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            try:
                server.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
            except psycopg.errors.DuplicateDatabase:
                pass


def is_ready(database: str = DATABASE) -> bool:
    """Whether the tables are there."""
    try:
        with psycopg.connect(**{**parameters(), "dbname": database}, connect_timeout=5) as server:
            return server.execute("SELECT to_regclass('alembic_version')").fetchone() != (None,)
    except psycopg.OperationalError:
        return False
