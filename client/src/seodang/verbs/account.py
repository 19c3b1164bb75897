"""Who I am and where: login, whoami, courses, open."""

from __future__ import annotations

import socket
import webbrowser
from urllib.parse import urljoin

import click

from seodang import _config, _text
from seodang._api import Api
from seodang._command import Context, cli, closing, verb
from seodang._errors import Refused, SeodangError


@verb(cli, "login")
@click.argument("address")
@click.option("--username")
@click.option("--password", help="Asked for when left out, which keeps it out of the shell's history.")
@click.option("--token", help="A token from the web page, in place of a password.")
def login(c: Context, address: str, username: str | None, password: str | None, token: str | None) -> None:
    """Save the server's ADDRESS and a token for it."""
    address = _config.normal_address(address)
    if not token:
        username = username or click.prompt("Username", err=True)
        password = password or click.prompt("Password", hide_input=True, err=True)
        name = f"seodang on {socket.gethostname()}"
        with closing(Api(address)) as api:
            try:
                token = api.login(username, password, name)
            except SeodangError as error:
                if error.code != "second_factor":
                    raise
                token = api.login(username, password, name, click.prompt("Code of your second factor", err=True))
    with closing(Api(address, token)) as api:
        me = api.me()
    path = _config.save_login(address=address, token=token)
    c.answer({"address": address, **me})
    if not c.as_json:
        c.say(_text.safe(f"Logged in to {address} as {me['username']} ✓  (saved in {path})"))


@verb(cli, "whoami")
def whoami(c: Context) -> None:
    """Who the token speaks for."""
    me = c.api.me()
    c.answer({"address": c.settings.address, **me})
    if not c.as_json:
        c.say(_text.safe(f"{me['username']} ({me['name']}) at {c.settings.address}"))
        c.say(
            _text.safe("Courses: " + (", ".join(f"{one['slug']} ({one['role']})" for one in me["courses"]) or "none"))
        )


@verb(cli, "courses")
@click.option("--use", metavar="COURSE", help="Make this the course of later commands.")
def courses(c: Context, use: str | None) -> None:
    """Your courses; the one in use has a mark."""
    mine = c.api.me()["courses"]
    if use:
        if use not in [one["slug"] for one in mine]:
            raise Refused(f"You are not in a course {use}", next="seodang courses", code="no_such_course")
        _config.save_login(course=use)
    current = use or c.settings.course
    c.answer(mine)
    if not c.as_json:
        rows = [("*" if one["slug"] == current else "", one["slug"], one["role"], one["title"]) for one in mine]
        _text.table(("", "COURSE", "ROLE", "TITLE"), rows, empty="None yet. Join one on the web page with your code.")


@verb(cli, "open")
@click.argument("session", required=False)
def open_(c: Context, session: str | None) -> None:
    """Open the web page, of a run if one is named."""
    address = urljoin(c.settings.address + "/", c.find(session)["url"] if session else "")
    c.answer({"url": address})
    if not c.as_json:
        c.say(_text.safe(address))
        webbrowser.open(address)
