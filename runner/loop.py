"""The runner process: one scheduler, a pool of threads for the attempts, one for the outbox, woken by NOTIFY."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from django.db import close_old_connections, connection

from runner import notify, queue
from runner.builds import Builder
from runner.engines.base import EngineUnavailable
from runner.images import EngineAway
from runner.models import Attempt
from runner.sampler import Sampler
from runner.worker import INSTANCE_LABEL, Worker

log = logging.getLogger("seodang.runner")
RUNNER_LOCK = 7_316_002  # advisory: a second runner on the same database waits for the first to end
TICK_SECONDS = 1.0  # the slowest that anything is looked at when no event came
LOG_SECONDS = 0.1  # between two looks for what runs printed
SWEEP_SECONDS = 60.0  # between two looks for what nobody owns
THREADS = 12


class Loop:
    """Call ``once`` again and again; ``wake`` makes the next call come at once."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.builder = Builder()
        self.stopping = threading.Event()
        self.woken = threading.Event()
        self._outbox_woken = threading.Event()
        self._busy: set[uuid.UUID] = set()
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="attempt")
        self._again: set[uuid.UUID] = set()

    def wake(self) -> None:
        self.woken.set()
        self._outbox_woken.set()

    def once(self) -> None:
        """Plan, then advance every live attempt that no thread is at work on."""
        queue.schedule(self.builder.gate)
        for attempt in Attempt.objects.exclude(state="ended").select_related("job", "node"):
            with self._guard:
                if attempt.id in self._busy:
                    self._again.add(attempt.id)
                    continue
                self._busy.add(attempt.id)
            self._pool.submit(self._advance, attempt.id)

    def _advance(self, key: uuid.UUID) -> None:
        ended = False
        try:
            attempt = Attempt.objects.select_related("job", "node").get(id=key)
            before = attempt.state
            if before != "ended":
                ended = self.worker.step(attempt)
        except EngineUnavailable as error:
            log.warning("action=engine_unavailable attempt=%s error=%s", key, error)
        except Exception:  # one bad attempt must not stop the others; it is looked at again
            log.exception("action=step_failed attempt=%s", key)
        finally:
            with self._guard:
                self._busy.discard(key)
                again = key in self._again
                self._again.discard(key)
            close_old_connections()
            connection.close()
            if ended or again:
                self.wake()

    def run(self) -> None:
        """Until ``stop``. Containers go on running; the next runner adopts them."""
        threads = [
            threading.Thread(target=_closing, args=(target,), name=name, daemon=True)
            for name, target in [
                ("listen", self._listen),
                ("events", self._watch),
                ("outbox", self._deliver),
                ("usage", self._measure),
                ("logs", self._tell_logs),
                ("builds", self._build),
                ("sweep", self._sweep),
            ]  # fmt: skip
        ]
        guard = self._only_runner()
        for thread in threads:
            thread.start()
        swept = False
        while not self.stopping.is_set():
            self.woken.clear()
            try:
                if not swept:
                    self.worker.register()
                    self.worker.sweep()
                    swept = True
                self.once()
            except EngineUnavailable as error:
                log.warning("action=engine_unavailable error=%s", error)
            except Exception:  # the database may be away for a moment
                log.exception("action=tick_failed")
                connection.close()
                if guard.closed or guard.broken:
                    guard = self._only_runner()
            self.woken.wait(TICK_SECONDS)
        self._pool.shutdown(wait=True)
        guard.close()

    def stop(self) -> None:
        self.stopping.set()
        self.wake()

    def _only_runner(self) -> psycopg.Connection[Any]:
        while True:
            try:
                held = psycopg.connect(**parameters(), autocommit=True)
                held.execute("SELECT pg_advisory_lock(%s)", [RUNNER_LOCK])
                return held
            except psycopg.Error as error:
                log.warning("action=database_unavailable error=%s", error)
                if self.stopping.wait(1):
                    raise

    def _listen(self) -> None:
        while not self.stopping.is_set():
            try:
                with psycopg.connect(**parameters(), autocommit=True) as listener:
                    listener.execute(f"LISTEN {notify.JOBS}")
                    self.wake()  # what was sent while nobody listened
                    while not self.stopping.is_set():
                        for _ in listener.notifies(timeout=TICK_SECONDS, stop_after=1):
                            self.wake()
            except psycopg.Error as error:
                log.warning("action=listen_lost error=%s", error)
                self.stopping.wait(1)

    def _watch(self) -> None:
        from django.conf import settings

        while not self.stopping.is_set():
            try:
                for _name in self.worker.engine.events({INSTANCE_LABEL: settings.INSTANCE}):
                    self.wake()
            except Exception as error:  # the engine restarts; ticks go on meanwhile
                log.warning("action=events_lost error=%s", error)
            self.worker.doubt()
            self.stopping.wait(1)

    def _build(self) -> None:
        verified = False
        while not self.stopping.is_set():
            self.builder.wanted.clear()
            try:
                if not verified:
                    self.builder.verify()
                    verified = True
                while self.builder.once():
                    pass
            except EngineAway as error:
                log.warning("action=engine_unavailable error=%s", error)
            except Exception:
                log.exception("action=build_loop_failed")
                connection.close()
            self.builder.wanted.wait(TICK_SECONDS)

    def _sweep(self) -> None:
        while not self.stopping.wait(SWEEP_SECONDS):
            try:
                self.worker.sweep()
            except EngineUnavailable as error:
                log.warning("action=engine_unavailable error=%s", error)
            except Exception:
                log.exception("action=sweep_failed")
                connection.close()

    def _measure(self) -> None:
        sampler = Sampler(self.worker.engine)
        while not self.stopping.wait(TICK_SECONDS):
            try:
                sampler.once()
            except EngineUnavailable as error:
                log.warning("action=engine_unavailable error=%s", error)
            except Exception:
                log.exception("action=measure_failed")
                connection.close()

    def _tell_logs(self) -> None:
        while not self.stopping.wait(LOG_SECONDS):
            try:
                self.worker.logs.once()
            except Exception:
                log.exception("action=logs_failed")
                connection.close()

    def _deliver(self) -> None:
        while not self.stopping.is_set():
            self._outbox_woken.clear()
            try:
                while queue.deliver_one():
                    pass
            except Exception:
                log.exception("action=outbox_loop_failed")
                connection.close()
            self._outbox_woken.wait(TICK_SECONDS)


def _closing(target: Callable[[], None]) -> None:
    """A thread that leaves no connection behind."""
    try:
        target()
    finally:
        connection.close()


def parameters() -> dict[str, Any]:
    """psycopg's words for Django's default database."""
    chosen = connection.settings_dict
    return {
        "dbname": chosen["NAME"], "user": chosen["USER"], "password": chosen["PASSWORD"], "host": chosen["HOST"],
        "port": chosen["PORT"],
    }  # fmt: skip
