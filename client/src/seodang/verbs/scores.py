"""Submitting, the board, and what staff publish to be scored."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from seodang import _config, _pack, _text
from seodang._command import SPOOL_BYTES, Context, cli, detachable, only_assignment, progress, tell_packed, verb
from seodang._errors import Usage


@verb(cli, "submit")
@click.option("-t", "--trial", is_flag=True, help="On the tiny public test: shows the log, and costs nothing.")
@click.option("-n", "--no-follow", is_flag=True, help="Return as soon as it is received.")
@click.argument("session")
@click.argument("checkpoint", required=False)
def submit(c: Context, session: str, checkpoint: str | None, trial: bool, no_follow: bool) -> int:
    """Score a checkpoint of a run; without a name the one called best, else the newest."""
    made = c.api.submit(c.find(session)["id"], checkpoint, trial)
    if not no_follow:
        with detachable(c, session, score=True):
            made = c.follower().submission(made)
    else:
        c.say(_text.score_line(made))
    c.answer(made)
    return int(made["state"] == "failed")


@verb(cli, "board")
@click.argument("assignment", required=False)
def board(c: Context, assignment: str | None) -> None:
    """An assignment's leaderboard."""
    show_board(c, assignment or _config.folder().get("assignment") or only_assignment(c))


def show_board(c: Context, slug: str) -> None:
    shown = c.api.board(c.course, slug)
    c.answer(shown)
    if not c.as_json:
        metric = shown["metric"]
        rows = [(f"{one['rank']}{'=' if one.get('tied') else ''}", one["team"],
                 _precise(one["score"], metric.get("precision")), one["count"], _text.clock(one["scored_at"]),
                 _live(one)) for one in shown["rows"]]  # fmt: skip
        _text.table(("RANK", "TEAM", metric["name"], "COUNT", "SCORED", "LIVE, UNOFFICIAL"), rows,
                    right=("RANK", metric["name"], "COUNT"),
                    empty=f"No official score yet. Be the first: seodang run -d {slug} --submit")  # fmt: skip


@cli.group()
def assignment() -> None:
    """For staff: assignments."""


@verb(assignment, "push")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def assignment_push(c: Context, folder: Path) -> None:
    """Publish the FOLDER that holds assignment.yaml."""
    pushed = _send_folder(c, folder)
    c.answer(pushed)
    if not c.as_json:
        c.say(_text.safe(f"{c.course}/{pushed['slug']} version {pushed['version']} ✓"))


@verb(assignment, "check")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def assignment_check(c: Context, folder: Path) -> None:
    """Say every fault of the FOLDER that holds assignment.yaml, and change nothing."""
    checked = _send_folder(c, folder, check=True)
    c.answer(checked)
    if not c.as_json:
        c.say(_text.safe(f"{checked['slug']} can be published ✓  Next: seodang assignment push {folder}"))


def _send_folder(c: Context, folder: Path, *, check: bool = False) -> dict[str, Any]:
    if not (folder / "assignment.yaml").is_file():
        raise Usage(f"There is no assignment.yaml in {folder}", next="Name the assignment's folder")
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as bundle:
        # The folder's data is often ignored by git, and must go all the same.
        packed = _pack.pack(folder, bundle, obey_ignore_files=False, bytes_max=_pack.ASSIGNMENT_BYTES_MAX,
                             files_max=_pack.ASSIGNMENT_FILES_MAX)  # fmt: skip
        with progress(c, bundle) as advance:
            answer: dict[str, Any] = c.api.push_assignment(c.course, bundle, advance, check=check)
    tell_packed(c, packed)
    return answer


def _precise(score: Any, precision: Any) -> str:
    return f"{score:.{precision}f}" if isinstance(score, float) and isinstance(precision, int) else _text.number(score)


def _live(row: dict[str, Any]) -> str:
    return "  ".join(f"{one['key']} {_text.number(one['value'])}" for one in row.get("live") or [])
