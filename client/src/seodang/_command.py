"""What every verb shares: the group, the call's context, and errors that become words and an exit status."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from seodang import _config, _pack, _text
from seodang._api import Advance, Api
from seodang._errors import SeodangError, Usage
from seodang._follow import Follower

SPOOL_BYTES = 8 << 20  # a zip below this stays in memory


class Context:
    """What one call of a verb works with: lazily the API, the course, and where its words go."""

    def __init__(self, as_json: bool, course: str | None) -> None:
        self.as_json = as_json
        self._course_option = course
        self._api: Api | None = None

    @functools.cached_property
    def settings(self) -> _config.Settings:
        return _config.settings(self._course_option)

    @property
    def api(self) -> Api:
        if self._api is None:
            self._api = Api(self.settings.address, self.settings.token)
        return self._api

    @functools.cached_property
    def course(self) -> str:
        """The course that is named, or the only one there is."""
        if self.settings.course:
            return self.settings.course
        slugs = [course["slug"] for course in self.api.me()["courses"]]
        if len(slugs) != 1:
            if not slugs:
                raise Usage("You are in no course", next="Join one on the web page, with the code of your instructor")
            raise Usage(f"Which course? Yours: {', '.join(slugs)}", next="seodang courses --use COURSE, or -C COURSE")
        return str(slugs[0])

    def find(self, session: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.find(lambda: self.course, session)
        return found

    def say(self, line: str) -> None:
        """A line for a person; with -j stdout is for JSON only."""
        click.echo(line, err=self.as_json)

    def write(self, text: str) -> None:
        click.echo(_text.safe(text), nl=False, err=self.as_json)

    def follower(self) -> Follower:
        return Follower(self.api, self.say, self.write)

    def answer(self, value: Any) -> None:
        """The result, with -j only."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2))

    def close(self) -> None:
        if self._api is not None:
            self._api.close()


def verb(group: click.Group, name: str) -> Callable[[Callable[..., int | None]], click.Command]:
    """A command with -j and -c whose function gets a Context, and whose errors become words and an exit status."""

    def register(function: Callable[..., int | None]) -> click.Command:
        @functools.wraps(function)
        def call(as_json: bool, course: str | None, **arguments: Any) -> None:
            context = Context(as_json, course)
            try:
                code = function(context, **arguments)
            except SeodangError as error:
                context.answer(error.to_json())
                complain(error)
                code = error.exit_code
            finally:
                context.close()
            click.get_current_context().exit(code or 0)

        options = click.option("-j", "--json", "as_json", is_flag=True, help="Answer with JSON.")
        course = click.option("-C", "--course", help="The course's slug.")
        return group.command(name)(options(course(call)))

    return register


def complain(error: SeodangError) -> None:
    click.echo(_text.safe(error.message), err=True)
    for one in error.details or []:
        place = ":".join(str(one[key]) for key in ("file", "line") if one.get(key) is not None)
        click.echo(_text.safe(f"  {place} {one.get('key') or ''} {one.get('message', '')}"), err=True)
    if error.next:
        click.echo(f"Next: {_text.safe(error.next)}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seodang")
def cli() -> None:
    """Run your code on the class's machines, follow it, and submit the model."""


@contextmanager
def detachable(c: Context, session: str, *, run: bool = False, score: bool = False) -> Iterator[None]:
    """Ctrl-C leaves; what was started goes on, and the commands that look at it again are said."""
    ways = {
        "Come back": f"seodang logs -f {session}" if run else "",
        "Its score": f"seodang ps -s {session}" if score else "",
        "Stop it": f"seodang stop {session}" if run else "",
    }
    try:
        yield
    except KeyboardInterrupt:
        told = "   ".join(f"{name}: {command}" for name, command in ways.items() if command)
        c.say(_text.safe(f"\nLeft {session}; it goes on. {told}"))


@contextmanager
def closing(api: Api) -> Iterator[Api]:
    try:
        yield api
    finally:
        api.close()


@contextmanager
def progress(c: Context, file: IO[bytes]) -> Iterator[Advance]:
    """A bar on stderr, gone when it is full; nothing where stderr is no terminal."""
    file.seek(0, 2)
    total = file.tell()
    file.seek(0)
    console = Console(stderr=True)
    columns = (TextColumn("Uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal or c.as_json) as bar:
        task = bar.add_task("upload", total=total)
        yield lambda count: bar.advance(task, count)


def only_assignment(c: Context) -> str:
    slugs = [one["slug"] for one in c.api.assignments(c.course)]
    if len(slugs) != 1:
        raise Usage(f"Which assignment? {c.course} has: {', '.join(slugs) or 'none'}", next="Name it with -d")
    return str(slugs[0])


def tell_packed(c: Context, packed: _pack.Packed) -> None:
    c.say(f"{_text.count(len(packed.names), 'file')}, {_text.size(packed.size_bytes)} ✓")
    for name in packed.skipped:
        click.echo(_text.safe(f"Left out {name}: it is a link that leads out of this folder"), err=True)


def tell_files(c: Context, session: str, path: Path, names: list[str]) -> None:
    c.answer({"session": session, "path": str(path), "files": names})
    if not c.as_json:
        c.say(_text.safe(f"{_text.count(len(names), 'file')} in {path} ✓"))
