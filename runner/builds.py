"""Environments are built in the background: a row an image, one build at a time, and jobs that wait for theirs.

A job whose image is not ready leases nothing. A build that failed ends the jobs that need it; it is tried again when
the folder changes, since that is another image, or when a job wants it after a while.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import threading
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F

from runner import images, notify, queue
from runner.models import EnvironmentBuild
from runner.sentences import Written, tell

log = logging.getLogger("seodang.builds")
LINE_MAX = 120
LOG_MAX = 20_000
NOTE_SECONDS = 2.0  # between two writes of what a build says
TOLD_SECONDS = 10  # the time so far is told in such steps: each is an event to all who wait
BACKOFF_SECONDS = (60, 3600)  # after the first failure, and at most
_STEP = re.compile(r"Step (\d+)/(\d+) : ")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Environment:
    """An environment of this installation as it is now, for a page."""

    name: str
    tag: str
    state: str  # absent (nobody wanted it yet), building, ready, failed
    sentence: Written | str


def environments() -> list[Environment]:
    """All that have a folder, by name."""
    tags = {images.tag(path.name): path.name for path in images.ROOT.iterdir() if path.is_dir()}
    rows = {row.tag: row for row in EnvironmentBuild.objects.filter(tag__in=tags)}
    now = queue.database_now()
    found = [
        Environment(name, tag, rows[tag].state, _why(rows[tag], now).reason if rows[tag].state != "ready" else "")
        if tag in rows
        else Environment(name, tag, "absent", "")
        for tag, name in tags.items()
    ]
    return sorted(found, key=lambda one: one.name)


def mark_ready(environment: str) -> None:
    """Its image is there: somebody built it outside the runner."""
    EnvironmentBuild.objects.update_or_create(
        tag=images.tag(environment), defaults={"environment": environment, "state": "ready", "error": "", "failures": 0}
    )


def forget(tag: str) -> None:
    """The image is gone from the engine; it is built again when a job wants it."""
    EnvironmentBuild.objects.filter(tag=tag, state="ready").delete()


def clean(line: str) -> str:
    """One line that a build wrote, fit for a row and a sentence; of one that redraws itself, its last form."""
    shown = _TERMINAL.sub("", line).strip().splitlines()
    last = "".join(letter if letter.isprintable() else " " for letter in shown[-1]).strip() if shown else ""
    return last if len(last) <= LINE_MAX else f"{last[: LINE_MAX - 1]}…"


def error_of(said: str, log_text: str) -> str:
    """The line that says why: the tools' own, rather than that a command returned 1."""
    lines = [clean(line) for line in log_text.splitlines()]
    named = [line for line in lines if line.startswith(("ERROR", "E: ", "error:"))]
    return named[-1] if named else clean(said)


class Builder:
    """``gate`` says which environments are not ready and has them built; ``once`` builds one."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address or settings.DOCKER_HOST
        self.wanted = threading.Event()
        self._notes: _Notes | None = None

    def gate(self, asked: set[str]) -> dict[str, queue.Blocked]:
        """Called in the plan's transaction."""
        if self._notes is not None:
            self._notes.write()
        tags = {images.tag(name): name for name in asked}
        rows = {row.tag: row for row in EnvironmentBuild.objects.filter(tag__in=tags)}
        now = queue.database_now()
        blocked = {}
        for tag, name in tags.items():
            row = rows.get(tag) or EnvironmentBuild.objects.get_or_create(tag=tag, defaults={"environment": name})[0]
            if row.state == "failed" and row.try_again_at and row.try_again_at <= now:
                row.state = "absent"
                EnvironmentBuild.objects.filter(id=row.id, state="failed").update(state="absent", started_at=None)
            if row.state == "absent":
                self.wanted.set()
            if row.state != "ready":
                blocked[name] = _why(row, now)
        return blocked

    def verify(self) -> None:
        """Forget images that the engine has no more. Raises EngineAway."""
        for row in EnvironmentBuild.objects.filter(state="ready"):
            if not images.is_there(row.tag, self.address):
                row.delete()

    def once(self) -> bool:
        """Build one that is wanted, first one that a killed runner left; whether there was one. Raises EngineAway."""
        row = EnvironmentBuild.objects.filter(state="building").first()
        row = row or EnvironmentBuild.objects.filter(state="absent").order_by("wanted_at").first()
        if row is None:
            return False
        if row.tag != images.tag(row.environment):
            row.delete()  # its folder changed before it was begun: who waits wants another image
            return True
        self._build(row)
        return True

    def _build(self, row: EnvironmentBuild) -> None:
        mine = EnvironmentBuild.objects.filter(id=row.id)
        now = queue.database_now()
        mine.update(state="building", step=0, steps=0, line="", log="", error="", started_at=now, ended_at=None)
        log.info("action=build environment=%s tag=%s", row.environment, row.tag)
        self._notes = notes = _Notes(row.id)
        try:
            images.ensure_image(row.environment, notes.add, self.address)
        except images.EngineAway:
            raise  # it stays ``building``, and is begun again
        except Exception as error:  # whatever it was, those who wait must hear of it
            log.exception("action=build_failed environment=%s", row.environment)
            seconds = min(BACKOFF_SECONDS[0] * 2 ** min(row.failures, 10), BACKOFF_SECONDS[1])
            now = queue.database_now()
            mine.update(
                state="failed", error=error_of(str(error), notes.log), log=notes.log, ended_at=now,
                failures=F("failures") + 1, try_again_at=now + dt.timedelta(seconds=seconds),
            )  # fmt: skip
        else:
            mine.update(state="ready", log=notes.log, line="", failures=0, ended_at=queue.database_now())
        finally:
            self._notes = None
        notify.signal(notify.JOBS)


class _Notes:
    """What a build says, kept in its row: not each line, and not the whole."""

    def __init__(self, row_id: int) -> None:
        self.log = ""
        self._row = EnvironmentBuild.objects.filter(id=row_id, state="building")
        self._line = ""  # not written yet
        self._steps = (0, 0)
        self._written = -NOTE_SECONDS

    def add(self, said: str) -> None:
        line = clean(said)
        if not line:
            return
        self.log = f"{self.log}{line}\n"[-LOG_MAX:]
        if found := _STEP.match(line):
            self._steps = (int(found[1]), int(found[2]))
        self._line = line
        if found:
            self._written = -NOTE_SECONDS
        try:
            self.write()
        except DatabaseError as error:  # the database may be away for a moment; the build goes on
            log.warning("action=note_lost error=%s", error)
            connection.close()

    def write(self) -> None:
        """Also called while the build is silent, for the line that came too soon after another."""
        now = time.monotonic()
        if not self._line or now - self._written < NOTE_SECONDS:
            return
        line, self._line, self._written = self._line, "", now
        self._row.update(line=line, log=self.log, step=self._steps[0], steps=self._steps[1])
        notify.signal(notify.JOBS)


def _why(row: EnvironmentBuild, now: dt.datetime) -> queue.Blocked:
    name = row.environment
    if row.state == "failed":
        return queue.Blocked(
            tell(
                "Its environment {name} could not be built: {error} Not your fault; it cost you nothing. "
                "Tell your instructor.",
                name=name, error=row.error.rstrip(".") + ".",
            ),
            ends=True,
        )  # fmt: skip
    if row.state == "absent" or row.started_at is None:
        return queue.Blocked(tell("Its environment {name} is about to be built.", name=name))
    spent = _duration(int((now - row.started_at).total_seconds()) // TOLD_SECONDS * TOLD_SECONDS)
    line = _STEP.sub("", row.line) or tell("starting")
    if row.steps:
        return queue.Blocked(
            tell(
                "Its environment {name} is being built: step {step} of {steps}, {line} ({time} so far).",
                name=name, step=row.step, steps=row.steps, line=line, time=spent,
            )
        )  # fmt: skip
    return queue.Blocked(
        tell("Its environment {name} is being built: {line} ({time} so far).", name=name, line=line, time=spent)
    )


def _duration(seconds: int) -> Written:
    minutes, rest = divmod(max(0, seconds), 60)
    return tell("{minutes} min {seconds} s", minutes=minutes, seconds=rest) if minutes else tell("{n} s", n=rest)
