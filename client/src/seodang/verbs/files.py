"""What went in and what came out: code, outputs, checkpoints."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from seodang import _pack, _text
from seodang._command import Context, cli, tell_files, verb
from seodang._errors import Refused, Usage


@verb(cli, "diff")
@click.argument("old")
@click.argument("new")
def diff(c: Context, old: str, new: str) -> None:
    """How the code of two runs differs."""
    first, second = c.find(old), c.find(new)
    text = _pack.diff(c.api.code(first["id"]), c.api.code(second["id"]), first["session"], second["session"])
    c.answer({"old": first["session"], "new": second["session"], "diff": text})
    if not c.as_json:
        c.write(text or "The code is the same.\n")


@verb(cli, "pull")
@click.argument("session")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False))
def pull(c: Context, session: str, path: Path) -> None:
    """Write a run's code, as it was, into an empty folder PATH."""
    if path.exists() and any(path.iterdir()):
        raise Usage(f"{path} is not empty", next="Name a folder that is empty or not there yet")
    names = _pack.unzip(c.api.code(c.find(session)["id"]), path)
    tell_files(c, session, path, names)


@verb(cli, "download")
@click.option("-s", "--source", default="", help="Only this file or folder of the outputs.")
@click.argument("session")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False))
def download(c: Context, session: str, path: Path, source: str) -> None:
    """Write a run's outputs into the folder PATH."""
    found = c.find(session)
    wanted = _output_name(source)
    names = [one["path"] for one in c.api.outputs(found["id"])]
    names = [name for name in names if not wanted or name == wanted or name.startswith(wanted + "/")]
    if not names:
        raise Refused(
            f"{found['session']} has no outputs{' under ' + source if source else ''}",
            next=f"A run's outputs are what it writes under /out; its checkpoints: seodang model ls {found['session']}",
            code="no_outputs",
        )
    for name in names:
        target = _pack.inside(path, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        c.api.save_output(found["id"], name, target)
    tell_files(c, session, path, names)


@cli.group()
def model() -> None:
    """A run's checkpoints."""


@verb(model, "ls")
@click.argument("session")
def model_ls(c: Context, session: str) -> None:
    """List them."""
    found = c.api.checkpoints(c.find(session)["id"])
    c.answer(found)
    if not c.as_json:
        rows = [(one["name"], _text.size(one["size"]), _text.clock(one["created_at"]),
                 len(one.get("submissions") or [])) for one in found]  # fmt: skip
        _text.table(("CHECKPOINT", "SIZE", "SAVED", "SUBMITTED"), rows, right=("SIZE", "SUBMITTED"),
                    empty="None. A run saves them under /out/checkpoints, or by nsml.save.")  # fmt: skip


@verb(model, "pull")
@click.argument("session")
@click.argument("checkpoint")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False))
def model_pull(c: Context, session: str, checkpoint: str, path: Path) -> None:
    """Write one into the folder PATH."""
    found = c.find(session)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "checkpoint.tar"
        c.api.save_checkpoint(found["id"], checkpoint, archive)
        with archive.open("rb") as file:
            names = _pack.untar(file, path)
    tell_files(c, session, path, names)


@verb(model, "rm")
@click.argument("session")
@click.argument("checkpoint")
def model_rm(c: Context, session: str, checkpoint: str) -> None:
    """Remove one."""
    found = c.find(session)
    c.api.remove_checkpoint(found["id"], checkpoint)
    c.answer({"session": found["session"], "checkpoint": checkpoint, "removed": True})
    if not c.as_json:
        c.say(_text.safe(f"Removed {checkpoint} of {found['session']}"))


def _output_name(source: str) -> str:
    """``/app/X`` is how NSML named an output, and ``/out/X`` is how the container sees it."""
    for prefix in ("/app/", "/out/"):
        source = source.removeprefix(prefix)
    return source.strip("/")
