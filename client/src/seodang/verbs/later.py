"""NSML's verbs that reach into a container: known by name, so that who types one reads what to do in its place."""

from __future__ import annotations

import click

from seodang._command import Context, cli, verb
from seodang._errors import Refused


@verb(cli, "infer")
@click.argument("session")
@click.argument("checkpoint")
def infer(c: Context, session: str, checkpoint: str) -> None:
    """Not there yet: serve a checkpoint."""
    found = c.find(session)["session"]
    raise Refused(
        "Serving a checkpoint is not there yet",
        next=f"Predict on the public sample, free and with its log: seodang submit -t {found} {checkpoint}",
        code="not_yet",
    )


@verb(cli, "exec")
@click.argument("session")
@click.argument("expression")
def exec_(c: Context, session: str, expression: str) -> None:
    """Not there yet: evaluate an expression in a running script."""
    _no_way_in(c, session)


@verb(cli, "sh")
@click.argument("session")
@click.argument("words", nargs=-1)
def sh(c: Context, session: str, words: tuple[str, ...]) -> None:
    """Not there yet: a command in a running container."""
    _no_way_in(c, session)


def _no_way_in(c: Context, session: str) -> None:
    found = c.find(session)["session"]
    raise Refused(
        "A running container is sealed: a way into it is not there yet",
        next=f"Print or nsml.report what you want to see, then: seodang logs -f {found}; seodang plot {found}",
        code="not_yet",
    )
