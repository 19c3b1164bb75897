"""The site that is measured: everything as shipped, in folders and on ports of its own, with one assignment more."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CODE = ROOT / "bench" / "code"
RUNS_AT_ONCE = 18  # the most runs of any figure, and two more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Site:
    address: str
    var: Path
    cast: dict[str, Any]
    assignment: Any  # courses.assignments.models.Assignment

    @property
    def live(self) -> str:
        return self.address.replace("http", "ws", 1) + "/ws/api"

    def headers(self, person: str = "student") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.cast[person]['token']}"}


@contextlib.contextmanager
def site(var: Path) -> Iterator[Site]:
    """The site, until the block ends."""
    os.environ.update(
        SEODANG_VAR=str(var), SEODANG_PORT=str(free_port()), SEODANG_MLFLOW_PORT=str(free_port()),
        SEODANG_CPU_SLOTS=str(RUNS_AT_ONCE), SEODANG_LOG_LEVEL="WARNING",
    )  # fmt: skip
    os.environ.pop("DATABASE_URL", None)
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    from deploy import demo  # it reads the environment when it is imported

    try:
        if demo.start(with_class=True, detach=True):
            raise SystemExit("The site did not start.")
        cast = json.loads((var / "demo.json").read_text())
        yield Site(demo.ADDRESS, var, cast, push_assignment(var))
    finally:
        demo.stop_all()


def push_assignment(var: Path) -> Any:
    """Digits under another name, with room for all runs at once."""
    from courses.assignments.services import push_bundle
    from courses.roster.models import Course, User

    folder = shutil.copytree(ROOT / "examples" / "digits", var / "bench-assignment", dirs_exist_ok=True)
    path = folder / "assignment.yaml"
    text = path.read_text().replace("slug: digits", "slug: bench").replace("due: 2027-", "due: 2099-")
    text = text.replace("submissions_per_day: 20, running_at_once: 2", "submissions_per_day: 900, running_at_once: 16")
    path.write_text(text)
    archive = Path(shutil.make_archive(str(var / "bench-assignment"), "zip", folder))
    return push_bundle(User.objects.get(username="teacher"), Course.objects.get(slug="ml"), archive).assignment


def zip_code(target: Path, name: str = "train.py", folder: Path = CODE) -> Path:
    """A push of one file of ``folder``."""
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(folder / name, name)
        archive.writestr("predict.py", "")
    return target
