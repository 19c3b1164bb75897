"""The ``seodang`` command: each verb parses, calls the API and prints. Exit status: 0, 1 refused, 2 usage, 3 network."""

from __future__ import annotations

import functools
import json
import shlex
import socket
import tempfile
import uuid
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from seodang import _config, _pack, _text
from seodang._api import Advance, Api
from seodang._errors import NetworkError, Refused, SeodangError, Usage
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
            known = ", ".join(slugs) or "none"
            raise Usage(f"Which course? Yours: {known}", next="seodang courses --use COURSE, or -c COURSE")
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
        course = click.option("-c", "--course", help="The course's slug.")
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


def main() -> None:
    cli()


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
        with _closing(Api(address)) as api:
            token = api.login(username, password, f"seodang on {socket.gethostname()}")
    with _closing(Api(address, token)) as api:
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
        _text.table(("", "COURSE", "ROLE", "TITLE"), rows)


@verb(cli, "run")
@click.option("-d", "--assignment", help="The assignment's slug; remembered in this folder's .seodang.")
@click.option("-e", "--entry", default="", help="What to run: a file (main.py) or a command.")
@click.option("-a", "--args", default="", help='Arguments for it, as one string: -a "--lr 0.02".')
@click.option("-m", "--memo", default="", help="A note to find the run by.")
@click.option("--submit", is_flag=True, help="Submit its last checkpoint when it ends.")
@click.option("-n", "--no-follow", is_flag=True, help="Return as soon as it is received.")
def run(c: Context, assignment: str | None, entry: str, args: str, memo: str, submit: bool, no_follow: bool) -> int:
    """Upload this folder and run it."""
    slug = assignment or _config.folder().get("assignment") or _only_assignment(c)
    fields = {"args": args, "memo": memo, "submit": "1" if submit else "0"}
    if entry:
        fields["entry"] = f"python3 {shlex.quote(entry)}" if entry.endswith(".py") and " " not in entry else entry
    started = _upload_run(c, slug, fields)
    _config.remember(course=c.course, assignment=slug)
    session = started["session"]
    c.say(_text.safe(session))
    if no_follow:
        c.say(_text.state_line(started))
        c.answer(started)
        return int(started["state"] == "refused")
    with _detachable(c, session):
        return _follow_run(c, started, submit)
    return 0


@verb(cli, "ps")
@click.option("-a", "--all", "everyone", is_flag=True, help="Ended runs too, and as staff everyone's.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("-d", "--assignment", default="")
def ps(c: Context, everyone: bool, limit: int, assignment: str) -> None:
    """The team's runs."""
    runs = c.api.runs(c.course, assignment=assignment, everyone=everyone, limit=limit)[:limit]
    c.answer(runs)
    if not c.as_json:
        rows = [(one["session"], _ps_state(one), _text.clock(one["created_at"]), _summary(one),
                 _text.best_score(one), one["memo"]) for one in runs]  # fmt: skip
        _text.table(("SESSION", "STATE", "SENT", "SUMMARY", "SCORE", "MEMO"), rows, right=("SCORE",))


@verb(cli, "logs")
@click.option("-f", "--follow", is_flag=True, help="Stay until the run ends.")
@click.argument("session")
def logs(c: Context, session: str, follow: bool) -> int:
    """What a run printed."""
    found = c.find(session)
    if follow:
        with _detachable(c, session):
            return _follow_run(c, found, submit=False)
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
        c.say(_text.state_line(stopped))


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
        with _detachable(c, started["session"]):
            return _follow_run(c, started, submit=False)
        return 0
    c.say(_text.state_line(started))
    c.answer(started)
    return 0


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
    line = shlex.join(words)
    c.answer({"session": found["session"], "command": line})
    if not c.as_json:
        c.say(_text.safe(line))


@verb(cli, "diff")
@click.argument("old")
@click.argument("new")
def diff(c: Context, old: str, new: str) -> None:
    """How the code of two runs differs."""
    first, second = c.find(old), c.find(new)
    text = _pack.diff(c.api.code(first["id"]), c.api.code(second["id"]), first["session"], second["session"])
    c.answer({"old": first["session"], "new": second["session"], "diff": text})
    if not c.as_json:
        c.write(text)


@verb(cli, "pull")
@click.argument("session")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False))
def pull(c: Context, session: str, path: Path) -> None:
    """Write a run's code, as it was, into an empty folder PATH."""
    if path.exists() and any(path.iterdir()):
        raise Usage(f"{path} is not empty", next="Name a folder that is empty or not there yet")
    names = _pack.unzip(c.api.code(c.find(session)["id"]), path)
    _tell_files(c, session, path, names)


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
        raise Refused(f"{found['session']} has no outputs{' under ' + source if source else ''}", code="no_outputs")
    for name in names:
        target = _pack.inside(path, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        c.api.save_output(found["id"], name, target)
    _tell_files(c, session, path, names)


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
        _text.table(("CHECKPOINT", "SIZE", "SAVED", "SUBMITTED"), rows, right=("SIZE", "SUBMITTED"))


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
    _tell_files(c, session, path, names)


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


@verb(cli, "submit")
@click.option("-t", "--trial", is_flag=True, help="On the tiny public test: shows the log, and costs nothing.")
@click.option("-n", "--no-follow", is_flag=True, help="Return as soon as it is received.")
@click.argument("session")
@click.argument("checkpoint", required=False)
def submit(c: Context, session: str, checkpoint: str | None, trial: bool, no_follow: bool) -> int:
    """Score a checkpoint of a run; without a name, its last."""
    made = c.api.submit(c.find(session)["id"], checkpoint, trial)
    if not no_follow:
        with _detachable(c, session):
            made = c.follower().submission(made)
    else:
        c.say(_text.score_line(made))
    c.answer(made)
    return int(made["state"] == "failed")


@verb(cli, "board")
@click.argument("assignment", required=False)
def board(c: Context, assignment: str | None) -> None:
    """An assignment's leaderboard."""
    shown = c.api.board(c.course, assignment or _config.folder().get("assignment") or _only_assignment(c))
    c.answer(shown)
    if not c.as_json:
        metric = shown["metric"]
        rows = [(f"{one['rank']}{'=' if one.get('tied') else ''}", one["team"],
                 _precise(one["score"], metric.get("precision")), one["count"], _text.clock(one["scored_at"]),
                 _live(one)) for one in shown["rows"]]  # fmt: skip
        _text.table(("RANK", "TEAM", metric["name"], "COUNT", "SCORED", "LIVE, UNOFFICIAL"), rows,
                    right=("RANK", metric["name"], "COUNT"))  # fmt: skip


@verb(cli, "open")
@click.argument("session", required=False)
def open_(c: Context, session: str | None) -> None:
    """Open the web page, of a run if one is named."""
    address = urljoin(c.settings.address + "/", c.find(session)["url"] if session else "")
    c.answer({"url": address})
    if not c.as_json:
        c.say(_text.safe(address))
        webbrowser.open(address)


@verb(cli, "queue")
def queue(c: Context) -> None:
    """What waits, about how long, and why."""
    waiting = c.api.queue(c.course)
    c.answer(waiting)
    if not c.as_json:
        rows = [(one["position"], one["run"]["session"] if isinstance(one["run"], dict) else one["run"],
                 _text.clock(one["expected_start"]), one["reason"]) for one in waiting]  # fmt: skip
        _text.table(("POSITION", "RUN", "ABOUT", "WHY"), rows, right=("POSITION",))


@cli.group()
def assignment() -> None:
    """For staff: assignments."""


@verb(assignment, "push")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def assignment_push(c: Context, folder: Path) -> None:
    """Publish the FOLDER that holds assignment.yaml."""
    if not (folder / "assignment.yaml").is_file():
        raise Usage(f"There is no assignment.yaml in {folder}", next="Name the assignment's folder")
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as bundle:
        # The folder's data is often ignored by git, and must go all the same.
        packed = _pack.pack(folder, bundle, obey_ignore_files=False, bytes_max=_pack.ASSIGNMENT_BYTES_MAX)
        with _progress(c, bundle) as advance:
            pushed = c.api.push_assignment(c.course, bundle, advance)
    _tell_packed(c, packed)
    c.answer(pushed)
    if not c.as_json:
        c.say(_text.safe(f"{c.course}/{pushed['slug']} version {pushed['version']} ✓"))


def _upload_run(c: Context, slug: str, fields: dict[str, str]) -> dict[str, Any]:
    """Send the folder. Where no answer came, the next call with the same files and fields repeats the same key,
    so that the server starts one run even if it had received the first."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as code:
        packed = _pack.pack(Path("."), code)
        _tell_packed(c, packed)
        request = {"course": c.course, "assignment": slug, "sha256": packed.sha256, **fields}
        pending = _config.folder().get("pending") or {}
        key = pending.get("key") if pending.get("request") == request else None
        key = key or uuid.uuid4().hex
        try:
            with _progress(c, code) as advance:
                started: dict[str, Any] = c.api.start_run(
                    c.course, slug, code, {**fields, "idempotency_key": key}, advance
                )
        except (NetworkError, KeyboardInterrupt):
            _config.remember(pending={"key": key, "request": request})
            raise
        _config.remember(pending=None)
        return started


def _follow_run(c: Context, started: dict[str, Any], submit: bool) -> int:
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


@contextmanager
def _detachable(c: Context, session: str) -> Iterator[None]:
    """Ctrl-C leaves; the run goes on."""
    try:
        yield
    except KeyboardInterrupt:
        c.say(f"\nLeft {session}; it goes on. Come back: seodang logs -f {session}   Stop it: seodang stop {session}")


@contextmanager
def _closing(api: Api) -> Iterator[Api]:
    try:
        yield api
    finally:
        api.close()


@contextmanager
def _progress(c: Context, file: IO[bytes]) -> Iterator[Advance]:
    """A bar on stderr, gone when it is full; nothing where stderr is no terminal."""
    file.seek(0, 2)
    total = file.tell()
    file.seek(0)
    console = Console(stderr=True)
    columns = (TextColumn("Uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal or c.as_json) as bar:
        task = bar.add_task("upload", total=total)
        yield lambda count: bar.advance(task, count)


def _only_assignment(c: Context) -> str:
    slugs = [one["slug"] for one in c.api.assignments(c.course)]
    if len(slugs) != 1:
        raise Usage(f"Which assignment? {c.course} has: {', '.join(slugs) or 'none'}", next="Name it with -d")
    return str(slugs[0])


def _tell_packed(c: Context, packed: _pack.Packed) -> None:
    c.say(f"{_text.count(len(packed.names), 'file')}, {_text.size(packed.size_bytes)} ✓")
    for name in packed.skipped:
        click.echo(_text.safe(f"Left out {name}: it is a link that leads out of this folder"), err=True)


def _tell_files(c: Context, session: str, path: Path, names: list[str]) -> None:
    c.answer({"session": session, "path": str(path), "files": names})
    if not c.as_json:
        c.say(_text.safe(f"{_text.count(len(names), 'file')} in {path} ✓"))


def _output_name(source: str) -> str:
    """``/app/X`` is how NSML named an output, and ``/out/X`` is how the container sees it."""
    for prefix in ("/app/", "/out/"):
        source = source.removeprefix(prefix)
    return source.strip("/")


def _ps_state(found: dict[str, Any]) -> str:
    if found["state"] == "queued" and found.get("position"):
        return f"queued {_text.ordinal(found['position'])}"
    return str(found["state"]).replace("_", " ")


def _summary(found: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_text.number(value)}" for name, value in (found.get("summary") or {}).items())


def _precise(score: Any, precision: Any) -> str:
    return f"{score:.{precision}f}" if isinstance(score, float) and isinstance(precision, int) else _text.number(score)


def _live(row: dict[str, Any]) -> str:
    return "  ".join(f"{one['key']} {_text.number(one['value'])}" for one in row.get("live") or [])


if __name__ == "__main__":
    main()
