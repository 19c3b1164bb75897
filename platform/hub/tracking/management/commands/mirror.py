"""Copies what runs logged to MLflow's own store, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import Error, connection

from runner.loop import parameters

log = logging.getLogger("seodang.mirror")
MIRROR_LOCK = 7_316_004  # a second mirror would make a run twice
TICK_SECONDS = 1.0
REST = 3.0  # of the time that a run's copy took; the rest is a quarter of a core and some thousand points a second


class Command(BaseCommand):
    help = "Mirror tracked runs to MLflow's own database."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--once", action="store_true", help="copy what is there now and leave")

    def handle(self, *args: Any, **options: Any) -> None:
        from hub.tracking.mirror import mirror_once  # mlflow takes seconds to import

        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        while not stopping.is_set():
            try:
                with psycopg.connect(**parameters(), autocommit=True) as held:
                    while not held.execute("SELECT pg_try_advisory_lock(%s)", [MIRROR_LOCK]).fetchone()[0]:  # type: ignore[index]
                        if stopping.wait(TICK_SECONDS):
                            return
                    while not stopping.is_set():
                        if options["once"]:
                            while mirror_once():
                                pass
                            return
                        # It rests after each run and between two rounds: what runs log then goes in few large batches,
                        # and those who log have the machine.
                        mirror_once(rest=lambda took: stopping.wait(REST * took))
                        held.execute("SELECT 1")  # the lock is gone when this connection is
                        stopping.wait(TICK_SECONDS)
            except (Error, psycopg.Error) as error:
                log.warning("action=mirror_interrupted error=%s", error)
                connection.close()
                stopping.wait(TICK_SECONDS)
