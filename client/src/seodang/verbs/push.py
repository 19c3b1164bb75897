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
from seodang._errors import NetworkError


@verb(cli, "run")
@click.option("-d", "--assignment", help="The assignment's slug; remembered in this folder's .seodang.")
@click.option("-e", "--entry", default="", help="What to run: a file (main.py) or a command.")
@click.option("-a", "--args", default="", help='Arguments for it, as one string: -a "--lr 0.02".')
@click.option("-m", "--memo", default="", help="A note to find the run by.")
@click.option("--submit", is_flag=True, help="Submit its last checkpoint when it ends.")
@click.option("-n", "--no-follow", is_flag=True, help="Return as soon as it is received.")
def run(c: Context, assignment: str | None, entry: str, args: str, memo: str, submit: bool, no_follow: bool) -> int:
    """Upload this folder and run it."""
    slug = assignment or _config.folder().get("assignment") or only_assignment(c)
    fields = {"args": args, "memo": memo, "submit": "1" if submit else "0"}
    if entry:
        fields["entry"] = f"python3 {shlex.quote(entry)}" if entry.endswith(".py") and " " not in entry else entry
    started = upload_run(c, slug, fields)
    _config.remember(course=c.course, assignment=slug)
    session = started["session"]
    c.say(_text.safe(session))
    if no_follow:
        c.say(_text.state_line(started))
        c.answer(started)
        return int(started["state"] == "refused")
    with detachable(c, session):
        return follow_run(c, started, submit)
    return 0


@verb(cli, "fork")
@click.option("-a", "--args", default=None, help="Other arguments than the parent's.")
@click.option("-m", "--memo", default=None)
@click.option("-f", "--follow", is_flag=True)
@click.argument("session")
def fork(c: Context, session: str, args: str | None, memo: str | None, follow: bool) -> int:
    """Run a run's code again; the parent is recorded."""
    started = c.api.fork(c.find(session)["id"], args, memo)
    c.say(_text.safe(started["session"]))
    if follow:
        with detachable(c, started["session"]):
            return follow_run(c, started, submit=False)
        return 0
    c.say(_text.state_line(started))
    c.answer(started)
    return 0


def upload_run(c: Context, slug: str, fields: dict[str, str]) -> dict[str, Any]:
    """Send the folder. Where no answer came, the next call with the same files and fields repeats the same key,
    so that the server starts one run even if it had received the first."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as code:
        packed = _pack.pack(Path("."), code)
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
