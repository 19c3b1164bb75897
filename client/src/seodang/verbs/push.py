"""Sending work: run, and a run again."""

from __future__ import annotations

import shlex
import tempfile
import uuid
from pathlib import Path
from typing import Any

import click

from seodang import _config, _pack, _text
from seodang._command import SPOOL_BYTES, Context, cli, detachable, only_assignment, progress, tell_packed, verb
from seodang._errors import NetworkError, Usage


@verb(cli, "run")
@click.argument("file", required=False)
@click.option("-d", "--assignment", help="The assignment's slug; remembered in this folder's .seodang.")
@click.option("-e", "--entry", default="", help="What to run: a file (main.py, a notebook.ipynb) or a command.")
@click.option("-a", "--args", default="", help='Arguments for it, as one string: -a "--lr 0.02".')
@click.option("-m", "--memo", default="", help="A note to find the run by.")
@click.option("-g", "--gpus", type=click.IntRange(0), help="GPUs, where fewer than the assignment gives are enough.")
@click.option("-c", "--cpus", type=click.FloatRange(0), help="CPUs, where fewer are enough.")
@click.option("--memory", help="Memory, where less is enough: 24G.")
@click.option("--shm-size", help="The size of /dev/shm, which is part of the memory: 1G.")
@click.option("-i", "--interactive", is_flag=True, help="Stay and follow the log, which is what happens without -n.")
@click.option(
    "--submit", is_flag=True, help="Submit its checkpoint when it ends: the one called best, else the newest."
)
@click.option("-n", "--no-follow", is_flag=True, help="Return as soon as it is received.")
def run(
    c: Context, file: str | None, entry: str, submit: bool, no_follow: bool, interactive: bool, **given: Any
) -> int:
    """Upload this folder and run it; FILE is short for -e FILE, or a zip to upload in the folder's place."""
    if interactive and no_follow:
        raise Usage("-i stays with the run and -n leaves it", next="Choose one of them")
    slug = given.pop("assignment") or _config.folder().get("assignment") or only_assignment(c)
    fields = {name: str(value) for name, value in given.items() if value is not None}
    archive = Path(file) if file and file.endswith(".zip") else None
    fields |= {"submit": "1" if submit else "0", **entry_field(entry if archive else file or entry)}
    started = upload_run(c, slug, fields, archive)
    _config.remember(course=c.course, assignment=slug)
    return after_start(c, started, follow=not no_follow, submit=submit)


@verb(cli, "fork")
@click.option("-c", "--checkpoint", help="One of the parent's: the new run finds it in /checkpoint.")
@click.option("-a", "--args", default=None, help="Other arguments than the parent's.")
@click.option("-m", "--memo", default=None)
@click.option("-f", "--follow", is_flag=True)
@click.argument("session")
def fork(c: Context, session: str, checkpoint: str | None, args: str | None, memo: str | None, follow: bool) -> int:
    """Run a run's code again; the parent is recorded."""
    return after_start(c, c.api.fork(c.find(session)["id"], args, memo, checkpoint), follow=follow)


@verb(cli, "resume")
@click.option("-f", "--follow", is_flag=True)
@click.argument("session")
def resume(c: Context, session: str, follow: bool) -> int:
    """Go on from an ended run's newest checkpoint, as a new run that finds it in /checkpoint."""
    return after_start(c, c.api.resume(c.find(session)["id"]), follow=follow)


def entry_field(entry: str) -> dict[str, str]:
    """A file with a space in its name stays one word; a command stays as it is."""
    if not entry:
        return {}
    if entry.endswith(".ipynb"):
        return {"entry": shlex.quote(entry)}
    return {"entry": f"python3 {shlex.quote(entry)}" if entry.endswith(".py") and " " not in entry else entry}


def after_start(c: Context, started: dict[str, Any], *, follow: bool, submit: bool = False) -> int:
    """Say what was started, and stay with it or not; the exit status."""
    c.say(_text.safe(started["session"]))
    if follow:
        with detachable(c, started["session"], run=True, score=submit):
            return follow_run(c, started, submit)
        return 0
    c.say(_text.state_line(started))
    if started["state"] != "refused":
        c.say(_text.safe(f"Follow it: seodang logs -f {started['session']}"))
    c.answer(started)
    return int(started["state"] == "refused")


def upload_run(c: Context, slug: str, fields: dict[str, str], archive: Path | None = None) -> dict[str, Any]:
    """Send the folder, or the zip ``archive`` as it is. Where no answer came, the next call with the same files and fields repeats the same key,
    so that the server starts one run even if it had received the first."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as code:
        packed = _pack.take(archive, code) if archive else _pack.pack(Path("."), code)
        tell_packed(c, packed)
        request = {"course": c.course, "assignment": slug, "sha256": packed.sha256, **fields}
        pending = _config.folder().get("pending") or {}
        key = pending.get("key") if pending.get("request") == request else None
        key = key or uuid.uuid4().hex
        try:
            with progress(c, code) as advance:
                started: dict[str, Any] = c.api.start_run(
                    c.course, slug, code, {**fields, "idempotency_key": key}, advance
                )
        except (NetworkError, KeyboardInterrupt):
            _config.remember(pending={"key": key, "request": request})
            raise
        _config.remember(pending=None)
        return started


def follow_run(c: Context, started: dict[str, Any], submit: bool) -> int:
    """Follow to the end, and with ``submit`` to the score; the exit status."""
    follower = c.follower()
    ended = follower.run(started)
    if ended["state"] != "succeeded" or not submit:
        c.answer(ended)
        return int(ended["state"] != "succeeded")
    scored = follower.submissions_of(ended)
    if scored is None:
        c.say(f"The submission has not started. Look again: seodang ps; or: seodang submit {ended['session']}")
    else:
        ended = {**ended, "submissions": [*(ended.get("submissions") or [])[:-1], scored]}
    c.answer(ended)
    return int(scored is None or scored["state"] != "scored")
