"""Staying with a run until it ends and with a submission until it has a score, over a network that comes and goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from seodang import _text
from seodang._api import Api
from seodang._errors import NetworkError

HELD_SECONDS_MIN = 1.0  # between two looks at a server that does not hold the request
RECONNECT_SECONDS_MAX = 600.0  # then the command gives up; the run itself goes on
RECONNECT_WAIT_SECONDS_MAX = 15.0
SUBMISSION_APPEARS_SECONDS_MAX = 60.0
PASSED = ("queued", "starting", "running", "succeeded")  # states that only a passed preflight leads to

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass
class Follower:
    """``say`` gets whole lines about the run, ``write`` the bytes of its log."""

    api: Api
    say: Say
    write: Say
    _said: str = field(default="", init=False)
    _checked_since: float = field(default=0.0, init=False)  # when this saw the preflight; 0.0 where it is over

    def run(self, run: dict[str, Any], offset: int = 0) -> dict[str, Any]:
        """Follow until the run has ended and its log is read to the end; return its last state."""
        run_id, tries = run["id"], run.get("try")
        before: dict[str, Any] = {}
        while True:
            run = self._look(run_id, before)
            before = run
            self._tell_run(run)
            if run.get("try") != tries:
                tries, offset = run.get("try"), 0  # a new try has a log of its own
            if run["state"] in _text.WAITING:
                continue
            ended = run["state"] in _text.TERMINAL
            asked, start = time.monotonic(), offset
            piece = self.steady(partial(self.api.log, run_id, start, wait=not ended, retry=False))
            if ended and piece["text"] and piece["text"].strip() in run.get("sentence", ""):
                piece = {**piece, "text": ""}  # a failed preflight's log is its sentence
            offset, done = self.show(piece, start)
            if ended and done:
                return run
            quiet = offset == start and not piece["text"] and time.monotonic() - asked < HELD_SECONDS_MIN
            if not (piece["done"] or quiet):
                before = {}  # more log may come at once, so the run is only glanced at

    def submissions_of(self, run: dict[str, Any]) -> dict[str, Any] | None:
        """The submission that ``run --submit`` asked for, once it has ended; None where none appears."""
        run_id = run["id"]
        until = time.monotonic() + SUBMISSION_APPEARS_SECONDS_MAX
        while not run.get("submissions"):
            if time.monotonic() > until:
                return None
            time.sleep(HELD_SECONDS_MIN)
            run = self.steady(lambda: self.api.run(run_id, retry=False))
        return self.submission(run["submissions"][-1])

    def submission(self, submission: dict[str, Any]) -> dict[str, Any]:
        while submission["state"] not in _text.SUBMISSION_TERMINAL:
            self._tell(_text.score_line(submission))
            call = partial(self.api.submission, submission["id"], submission["state"], retry=False)
            submission = self._held(submission, call)
        if submission.get("trial") and submission.get("log"):
            self.write(submission["log"])
        self._tell(_text.score_line(submission))
        return submission

    def _look(self, run: str, before: dict[str, Any]) -> dict[str, Any]:
        """The run: now where ``before`` is {}, else once it is no longer as it was."""
        if not before:
            return self.steady(lambda: self.api.run(run, retry=False))
        return self._held(before, lambda: self.api.run(run, before["state"], retry=False))

    def _held(self, before: dict[str, Any], call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A call that the server answers when there is news; one that does not hold it is not asked in a storm."""
        asked = time.monotonic()
        found = self.steady(call)
        if found == before and time.monotonic() - asked < HELD_SECONDS_MIN:
            time.sleep(HELD_SECONDS_MIN)
        return found

    def steady(self, call: Callable[[], T]) -> T:
        """Repeat a call over a lost network, with growing waits. Raises NetworkError after ten minutes of it."""
        wait, since = 1.0, time.monotonic()
        while True:
            try:
                return call()
            except NetworkError as error:
                if time.monotonic() - since + wait > RECONNECT_SECONDS_MAX:
                    raise
                self.say(f"reconnecting in {wait:.0f} s ({_text.safe(error.message)})")
            time.sleep(wait)
            wait = min(wait * 2, RECONNECT_WAIT_SECONDS_MAX)

    def show(self, piece: dict[str, Any], offset: int) -> tuple[int, bool]:
        """Write a piece of log; return the next offset and whether this was the last piece."""
        if piece.get("gap"):
            start, end = piece["gap"]
            self.say(f"… {_text.size(end - start)} of the log are not kept …")
        if piece["text"]:
            self.write(piece["text"])
        following = int(piece["offset"])
        at_end = following >= int(piece["total"])
        # An ended run whose log never says so (its machine was lost) ends where no more comes.
        return following, at_end and (bool(piece["done"]) or (following == offset and not piece["text"]))

    def _tell_run(self, run: dict[str, Any]) -> None:
        state = run["state"]
        if state == "preflight":
            self._checked_since = self._checked_since or time.monotonic()
        elif self._checked_since:
            if state in PASSED:
                self._tell(f"preflight {time.monotonic() - self._checked_since:.0f} s ✓")
            self._checked_since = 0.0
        if state == "queued" and not (run.get("position") or run.get("sentence")):
            return  # the scheduler has not looked at it yet: nothing to say
        self._tell(_text.state_line(run))

    def _tell(self, line: str) -> None:
        if line and line != self._said:
            self._said = line
            self.say(line)
