"""``make demo``, ``make run``, ``make stop``: everything started under one supervisor, and stopped again.

Each step is skipped when it is done. What cannot be done is said in one sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
VAR = Path(os.environ.setdefault("SEODANG_VAR", str(ROOT / "var")))
PORT = int(os.environ.get("SEODANG_PORT", "8400"))
MLFLOW_PORT = int(os.environ.get("SEODANG_MLFLOW_PORT", str(PORT + 1)))
ADDRESS = f"http://127.0.0.1:{PORT}"
PYTHON = sys.executable
CAST = {"teacher": "instructor", "ta": "ta", "student": "student", "teammate": "student", "outsider": ""}
COURSE = "ml"
EXAMPLES = ("digits", "diabetes", "mnist-torch", "cuda-warmup")
PAGE_SECONDS_MAX = 60
FREE_BYTES_MIN = 4_000_000_000  # the base environment's image, and room for a class's first runs
TICK_SECONDS = 0.5
RESTART_SECONDS = (1.0, 30.0)  # first and longest wait before a process that ends is started again


class DemoError(Exception):
    """One sentence, with what to do."""


def say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Process:
    """One of what an installation consists of."""

    words: tuple[str, ...]
    after_page: bool = False  # off the critical path: started once the site answers, and with less of the CPU


def processes() -> dict[str, Process]:
    uvicorn = ("-m", "uvicorn", "hub.asgi:application", "--app-dir", str(ROOT / "platform"), "--host", "127.0.0.1")
    found = {
        "tracking": Process((PYTHON, "manage.py", "tracking")),
        "runner": Process((PYTHON, "manage.py", "runner")),
        "web": Process(
            (
                PYTHON,
                *uvicorn,
                "--port",
                str(PORT),
                "--log-level",
                "warning",
                "--ws",
                "websockets-sansio",
                "--ws-per-message-deflate",
                "false",
            )
        ),
    }
    if os.environ.get("SEODANG_MLFLOW", "1").lower() in {"1", "true", "yes", "on"}:
        found["mirror"] = Process(("nice", PYTHON, "manage.py", "mirror"), after_page=True)
        found["mlflow"] = Process(("nice", PYTHON, "manage.py", "mlflow"), after_page=True)
    return found


def prepare(with_class: bool) -> None:
    """All that must be there before the first page. Raises DemoError."""
    from deploy import host
    from hub import database

    VAR.mkdir(parents=True, exist_ok=True)
    for port in {PORT, MLFLOW_PORT}:
        if answers(port):
            raise DemoError(f"Port {port} is taken. Run: make stop, or SEODANG_PORT=8500 make demo")
    if (free := shutil.disk_usage(VAR).free) < FREE_BYTES_MIN:
        raise DemoError(
            f"{VAR} has {free / 1e9:.1f} GB free; {FREE_BYTES_MIN / 1e9:.0f} GB are needed."
            " Make room, or name a larger disk: SEODANG_VAR=/larger/disk make demo"
        )
    try:
        if not os.environ.get("DATABASE_URL"):
            say("Postgres")
            database.start(VAR)
        say("Docker")
        host.ensure_docker()
        host.install(host.TOOLS)
    except (database.DatabaseError, host.HostError) as error:
        raise DemoError(str(error)) from error
    say("Base environment")
    from runner import images

    try:
        images.ensure_image("base", lambda line: say(f"  {line[:110]}"))
    except images.ImageError as error:
        raise DemoError(str(error)) from error
    say("Migrations")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)  # here: another interpreter would import everything once more
    from runner import builds

    builds.mark_ready("base")
    if with_class:
        say("Demo course")
        seed()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def seed() -> None:
    """The course, its cast and its assignments; what is there already stays."""
    from courses.roster.models import Course, User
    from courses.roster.services import add_member, create_course, create_token
    from courses.teams.services import answer, create, invite

    known = VAR / "demo.json"
    if known.exists() and Course.objects.filter(slug=COURSE).exists():
        return
    cast: dict[str, dict[str, str]] = {}
    users = {}
    for name in CAST:
        password = secrets.token_urlsafe(12)
        user, _ = User.objects.get_or_create(username=name)
        user.set_password(password)
        user.save()
        users[name] = user
        cast[name] = {"password": password, "token": create_token(user, "demo")}
    if not Course.objects.filter(slug=COURSE).exists():
        course = create_course(users["teacher"], COURSE, "Machine Learning", "Fall")
        for name, role in CAST.items():
            if role and name != "teacher":
                add_member(users["teacher"], course, users[name], role)
        team = create(users["student"], course, "maple", "")
        answer(users["teammate"], invite(users["student"], team, "teammate").id, True)
    known.touch(mode=0o600)
    known.write_text(json.dumps({"address": ADDRESS, "course": COURSE, **cast}, indent=1))


def cli(person: str, *words: str, folder: Path = ROOT, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The real command line program, as one of the cast."""
    demo = json.loads((VAR / "demo.json").read_text())
    environment = {
        **os.environ, "SEODANG_ADDRESS": ADDRESS, "SEODANG_TOKEN": demo[person]["token"], "SEODANG_COURSE": COURSE,
        "NO_COLOR": "1",
    }  # fmt: skip
    program = Path(PYTHON).parent / "seodang"
    done = subprocess.run(
        [str(program), *words], cwd=folder, env=environment, text=True, capture_output=True, check=False
    )
    if check and done.returncode:
        raise DemoError(f"seodang {' '.join(words)} failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done


def first_score() -> None:
    """Push the assignments and, if the board is empty, the baseline as the student; print the board."""
    listed = cli("teacher", "board", "digits", "-j", check=False)
    if listed.returncode:
        for name in EXAMPLES:
            maker = ROOT / "examples" / name / "make_data.py"
            if not (ROOT / "examples" / name / "data" / "train").is_dir():
                made = subprocess.run([PYTHON, str(maker)], capture_output=True, text=True, check=False)
                if made.returncode:
                    say(f"  {name} left out: {made.stderr.strip().splitlines()[-1:]}")
                    continue
            cli("teacher", "assignment", "push", str(ROOT / "examples" / name))
            say(f"  {name} ✓")
    rows = json.loads(cli("student", "board", "digits", "-j").stdout).get("rows")
    if not rows:
        say("Pushing the baseline of digits as the student")
        # A copy, since the command remembers the assignment in the folder that it pushes.
        folder = shutil.copytree(ROOT / "examples/digits/baseline", VAR / "demo-baseline", dirs_exist_ok=True)
        pushed = cli("student", "run", "-d", "digits", "--submit", "-m", "baseline",
                     folder=folder, check=False)  # fmt: skip
        say(pushed.stdout.strip()[-1500:])
        rows = json.loads(cli("student", "board", "digits", "-j").stdout).get("rows")
        if not rows:
            raise DemoError(f"No score came. {pushed.stderr.strip()[-500:]}")
    say(cli("student", "board", "digits").stdout.rstrip())


def await_page() -> None:
    end = time.monotonic() + PAGE_SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(f"{ADDRESS}/accounts/login/", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > end:
                raise DemoError(f"The web process does not answer ({error}). Look at: {VAR}/logs/web.log") from error
            time.sleep(0.1)


class Supervisor:
    """Starts the processes and keeps them up; one that keeps ending is started ever less often."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.stopping = threading.Event()
        self._waits: dict[str, tuple[float, float]] = {}  # when to start again, the wait after that

    def tick(self) -> None:
        now = time.monotonic()
        for name, process in processes().items():
            ended = name not in self.running or self.running[name].poll() is not None
            due, wait = self._waits.get(name, (0.0, RESTART_SECONDS[0]))
            if not ended and now > due + RESTART_SECONDS[1]:
                self._waits.pop(name, None)  # it stayed up
            if not ended or now < due or (process.after_page and not answers(PORT)):
                continue
            self._waits[name] = (now + wait, min(wait * 2, RESTART_SECONDS[1]))
            with (VAR / "logs" / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(process.words, cwd=ROOT, stdout=log, stderr=log)

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def supervise() -> int:
    """Until SIGTERM; then stop the processes and the database."""
    from hub import database

    (VAR / "logs").mkdir(exist_ok=True)
    supervisor = Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    (VAR / "supervisor.pid").write_text(str(os.getpid()))
    own_database = not os.environ.get("DATABASE_URL")
    while not supervisor.stopping.wait(TICK_SECONDS):
        supervisor.tick()
        if own_database and not database.runs(VAR):
            try:
                database.start(VAR)
            except database.DatabaseError as error:  # what is left of a killed server may still be going away
                say(f"action=database_not_started error={error}")
    supervisor.stop()
    stop_containers()
    if own_database:
        database.stop(VAR)
    (VAR / "supervisor.pid").unlink(missing_ok=True)
    return 0


def stop_containers() -> None:
    """What runs of this instance ends with it: the machine is free after ``make stop``. The next start finds these
    runs lost, our fault, and tries them again."""
    from deploy import host
    from hub import settings

    try:
        host.remove_containers(f"seodang.instance={settings.INSTANCE}")
    except host.HostError as error:
        say(f"action=containers_not_removed error={error}")
    host.unmount_below(VAR / "attempts")


def supervisor_pid() -> int | None:
    path = VAR / "supervisor.pid"
    if not path.exists():
        return None
    pid = int(path.read_text())
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return pid


def stop_all() -> int:
    pid = supervisor_pid()
    if pid is None:
        say("Nothing runs here.")
        return 0
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 60
    while supervisor_pid() is not None:
        if time.monotonic() > end:
            say(f"Process {pid} does not end. Run: kill -9 {pid}")
            return 1
        time.sleep(0.1)
    say("Stopped.")
    return 0


def start(with_class: bool, detach: bool) -> int:
    if supervisor_pid() is None:
        prepare(with_class)
        say("Starting web, tracking, runner")
        with (VAR / "supervisor.log").open("ab") as log:
            child = subprocess.Popen([PYTHON, __file__, "--supervise"], cwd=ROOT, stdout=log, stderr=log,
                                     start_new_session=True)  # fmt: skip
    else:
        child = None
    await_page()
    if with_class:
        first_score()
        say(f"\n{ADDRESS}/   people, passwords and tokens: {VAR}/demo.json   stop: make stop")
    else:
        say(f"\n{ADDRESS}/   stop: make stop   the first course: .venv/bin/python manage.py create_course --help")
    if detach or child is None:
        return 0
    say("Ctrl-C stops everything.")
    try:
        return child.wait()
    except KeyboardInterrupt:
        return stop_all()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--no-class", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--supervise", action="store_true")
    options = parser.parse_args()
    if options.stop:
        return stop_all()
    if options.supervise:
        return supervise()
    try:
        return start(not options.no_class, options.detach)
    except DemoError as error:
        print(error, file=sys.stderr)
        if not options.no_class:
            stop_all()
        return 1


if __name__ == "__main__":
    sys.exit(main())
