"""Outcomes, whose fault each is, and which are tried again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.sentences import tell

SUCCEEDED, FAILED, OUT_OF_MEMORY, TIMED_OUT = "succeeded", "failed", "out_of_memory", "timed_out"
OUTPUT_LIMIT, STOPPED, PREEMPTED, LOST, REFUSED = "output_limit", "stopped", "preempted", "lost", "refused"
OURS = frozenset({LOST, PREEMPTED})  # the platform's doing: tried again, and costs nothing

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"starting", "ended"}),
    "starting": frozenset({"running", "queued", "ended"}),
    "running": frozenset({"queued", "ended"}),
    "ended": frozenset(),
}


@dataclass(frozen=True)
class Ending:
    outcome: str
    exit_code: int | None
    warning: str = ""


@dataclass(frozen=True)
class Interrupted:
    """An end that is not the command's own."""

    why: str
    certain: bool  # student code can make it look so, unless it is certain


KILLED = 137  # process 1 got SIGKILL, which nothing inside its own container can send it


def interrupted(
    exit_code: int | None, oom_killed: bool, status: Mapping[str, Any], *, stop_requested: bool
) -> Interrupted | None:
    """Whether the end is not the command's own. Killed outright, the launcher has no time to write its status; an
    engine that goes down asks it to end first; one that was away while the container ended makes up an exit code.

    Student code can ask the launcher to end too, or spoil its status: then the worker must know that the engine, or
    itself, was away.
    """
    if exit_code is None or stop_requested or status.get("timed_out") is True:
        return None
    if status.get("asked_to_end") is True:
        return Interrupted("The container was stopped from outside (its engine went down).", certain=False)
    if exit_code != 0 and not oom_killed and status.get("exit_code") != exit_code:
        why = "The container was killed from outside (its engine went down)."
        return Interrupted(why, certain=exit_code == KILLED and "exit_code" not in status)
    return None


def judge(
    exit_code: int | None, oom_killed: bool, status: Mapping[str, Any], *, stop_requested: bool, overflowed: bool
) -> Ending:
    """The outcome of a container that is gone. ``status`` is the launcher's word, which student code could forge:
    it can turn a failure into another failure, never a failure into a success, which needs the engine's exit code 0."""
    if exit_code is None:
        return Ending(LOST, None)
    if overflowed:
        return Ending(OUTPUT_LIMIT, exit_code)
    if exit_code == 0:
        return Ending(SUCCEEDED, 0, tell("A child process was killed for memory.") if oom_killed else "")
    if stop_requested:
        return Ending(STOPPED, exit_code)
    if status.get("timed_out") is True:
        return Ending(TIMED_OUT, exit_code)
    if oom_killed:
        return Ending(OUT_OF_MEMORY, exit_code)
    return Ending(FAILED, exit_code)


def retries(outcome: str, tries: int, tries_max: int) -> bool:
    """Whether the job goes back to the queue."""
    return outcome in OURS and tries < tries_max
