"""Looking at runs and steering them."""

from __future__ import annotations

import shlex
from fnmatch import fnmatchcase
from typing import Any

import click

from seodang import _text
from seodang._command import Context, cli, detachable, verb
from seodang._errors import Refused
from seodang.verbs.push import follow_run

RUNS_MAX = 500  # of the newest, that a glob looks at


@verb(cli, "ps")
@click.option("-a", "--all", "everyone", is_flag=True, help="As staff, every team's.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("-d", "--assignment", default="")
@click.option("-s", "--session", default="", help="Only this one.")
def ps(c: Context, everyone: bool, limit: int, assignment: str, session: str) -> None:
    """The team's runs."""
    runs = c.api.runs(c.course, assignment=assignment, session=session, everyone=everyone, limit=limit)[:limit]
    c.answer(runs)
    if not c.as_json:
        rows = [(one["session"], _ps_state(one), _text.clock(one["created_at"]), _summary(one),
                 _text.best_score(one), one["memo"]) for one in runs]  # fmt: skip
        _text.table(("SESSION", "STATE", "SENT", "SUMMARY", "SCORE", "MEMO"), rows, right=("SCORE",),
                    empty="No runs yet. Start one: seodang run   As staff, every team's: seodang ps -a")  # fmt: skip


@verb(cli, "logs")
@click.option("-f", "--follow", is_flag=True, help="Stay until the run ends.")
@click.argument("session")
def logs(c: Context, session: str, follow: bool) -> int:
    """What a run printed."""
    found = c.find(session)
    if follow:
        with detachable(c, session, run=True):
            return follow_run(c, found, submit=False)
        return 0
    follower, offset, done, text = c.follower(), 0, False, []
    while not done:
        piece = c.api.log(found["id"], offset)
        text.append(piece["text"])
        if c.as_json:
            following = int(piece["offset"])
        else:
            following, _ = follower.show(piece, offset)
        done = following <= offset or following >= int(piece["total"])
        offset = following
    c.answer({"session": found["session"], "offset": offset, "total": piece["total"], "done": piece["done"],
              "text": "".join(text)})  # fmt: skip
    return 0


@verb(cli, "stop")
@click.argument("session")
def stop(c: Context, session: str) -> None:
    """Stop a run; what it saved so far is kept."""
    found = c.find(session)
    stopped = c.api.stop(found["id"]) or c.api.run(found["id"])
    c.answer(stopped)
    if not c.as_json:
        # While the machine is still being told, the run's own state says nothing of the stop.
        done = stopped["state"] in _text.TERMINAL
        said = _text.state_line(stopped) if done else "Stopping; what it saved is kept."
        c.say(f"It had ended before: {said}" if found["state"] in _text.TERMINAL else said)


@verb(cli, "rm")
@click.option("-f", "--force", is_flag=True, help="Stop what still runs first.")
@click.argument("sessions", nargs=-1, required=True)
def rm(c: Context, sessions: tuple[str, ...], force: bool) -> None:
    """Take runs off the team's list; globs such as 'maple/digits/*' may name many. Their scores stay."""
    removed = []
    for found in named_runs(c, sessions):
        c.api.remove(found["id"], force)
        removed.append(found["session"])
        if not c.as_json:
            c.say(_text.safe(f"Removed {found['session']}"))
    c.answer({"removed": removed})


@verb(cli, "memo")
@click.argument("session")
@click.argument("text")
def memo(c: Context, session: str, text: str) -> None:
    """Set a run's note."""
    found = c.find(session)
    changed = c.api.memo(found["id"], text) or {**found, "memo": text}
    c.answer(changed)
    if not c.as_json:
        c.say(_text.safe(f"{found['session']}: {text}"))


@verb(cli, "command")
@click.argument("session")
def command(c: Context, session: str) -> None:
    """The command that would start this run again."""
    found = c.find(session)
    words = ["seodang", "run", "-d", found["assignment"]]
    for option, key in (("-e", "entry"), ("-a", "args"), ("-m", "memo")):
        if found.get(key):
            words += [option, found[key]]
    asked = found.get("resources") or {}
    for option, key in (("-g", "gpus"), ("-c", "cpus"), ("--memory", "memory_bytes"), ("--shm-size", "shm_bytes")):
        if key in asked:
            words += [option, f"{asked[key] >> 10}K" if key.endswith("bytes") else f"{asked[key]:g}"]
    line = shlex.join(words)
    c.answer({"session": found["session"], "command": line})
    if not c.as_json:
        c.say(_text.safe(line))


@verb(cli, "queue")
def queue(c: Context) -> None:
    """What waits, about how long, and why."""
    waiting = c.api.queue(c.course)
    c.answer(waiting)
    if not c.as_json:
        rows = [(one["position"], one["session"],
                 _text.clock(one["expected_start"]), one["reason"]) for one in waiting]  # fmt: skip
        _text.table(("POSITION", "RUN", "ABOUT", "WHY"), rows, right=("POSITION",), empty="Nothing waits.")


def named_runs(c: Context, sessions: tuple[str, ...]) -> list[dict[str, Any]]:
    """The runs that names and globs name, each once. Raises Refused where one names none."""
    found: dict[str, dict[str, Any]] = {}
    mine: list[dict[str, Any]] | None = None
    for one in sessions:
        if any(letter in one for letter in "*?["):
            mine = c.api.runs(c.course, limit=RUNS_MAX) if mine is None else mine
            matching = [run for run in mine if fnmatchcase(run["session"], one)]
        else:
            matching = [c.find(one)]
        if not matching:
            raise Refused(f"No run of yours matches {one}", next="seodang ps -a", code="no_such_run")
        found |= {run["id"]: run for run in matching}
    return list(found.values())


def _ps_state(found: dict[str, Any]) -> str:
    if found["state"] == "queued" and found.get("position"):
        return f"queued {_text.ordinal(found['position'])}"
    return str(found["state"]).replace("_", " ")


def _summary(found: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_text.number(value)}" for name, value in (found.get("summary") or {}).items())
