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


def interrupted(exit_code: int | None, oom_killed: bool, status: Mapping[str, Any], *, stop_requested: bool) -> str:
    """Why the end is not the command's own, or "". Killed outright, the launcher has no time to write its status; an
    engine that goes down asks it to end first; one that was away while the container ended makes up an exit code.

    Student code can forge all three, which gains it no more than the tries that a lost job has.
    """
    if exit_code is None or stop_requested or status.get("timed_out") is True:
        return ""
    if status.get("asked_to_end") is True:
        return "The container was stopped from outside (its engine went down)."
    if exit_code != 0 and not oom_killed and status.get("exit_code") != exit_code:
        return "The container was killed from outside (its engine went down)."
    return ""


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
