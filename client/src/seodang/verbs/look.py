"""What a run logged, and what the class's machines do."""

from __future__ import annotations

from typing import Any

import click

from seodang import _plot, _text
from seodang._command import Context, cli, verb
from seodang._errors import Refused


@verb(cli, "plot")
@click.option("-k", "--key", default="", help="Only this curve.")
@click.argument("session")
def plot(c: Context, session: str, key: str) -> None:
    """Draw what a run logged, in the terminal."""
    found = c.find(session)
    curves = {name: points for name, points in c.api.metrics(found["id"]).items() if not key or name == key}
    if not curves:
        raise Refused(
            f"{found['session']} logged nothing{' called ' + key if key else ''}",
            next="In the script: nsml.report(step=epoch, train__loss=loss), or mlflow.log_metric",
            code="no_metrics",
        )
    c.answer(curves)
    if not c.as_json:
        for name, points in sorted(curves.items()):
            c.write("\n".join(_plot.chart(name, [(step, value) for step, value, _at in points])) + "\n\n")


@verb(cli, "eventlen")
@click.argument("session")
def eventlen(c: Context, session: str) -> None:
    """How many points a run logged."""
    found = c.api.events(c.find(session)["id"])
    c.answer(found)
    if not c.as_json:
        c.say(str(found["count"]))


@verb(cli, "gpustat")
def gpustat(c: Context) -> None:
    """Which machine is busy, and with which runs of yours; staff see all of the course."""
    devices = c.api.devices(c.course)
    c.answer(devices)
    if not c.as_json:
        rows = [(f"{one['node']}/{one['index']}", one["name"], _use(one), " ".join(one["runs"])) for one in devices]
        _text.table(("DEVICE", "NAME", "BUSY", "RUNS"), rows, right=("BUSY",), empty="No machine has joined.")


@verb(cli, "credit")
def credit(c: Context) -> None:
    """What your team used, and its limits."""
    used = c.api.credit(c.course)
    c.answer(used)
    if not c.as_json:
        rows = [
            (
                one["assignment"],
                one["team"],
                f"{one['gpu_minutes']:g}",
                f"{one['minutes']:g}",
                f"{one['running']} of {one['running_at_once']}",
                f"{one['submissions_today']} of {one['submissions_per_day']}",
            )
            for one in used
        ]
        headings = ("ASSIGNMENT", "TEAM", "GPU MINUTES", "MINUTES", "RUNNING", "SUBMITTED TODAY")
        _text.table(headings, rows, right=headings[2:], empty="No assignment yet.")


def _use(device: dict[str, Any]) -> str:
    return "drained" if device["drained"] else f"{device['busy']} of {device['slots']}"
