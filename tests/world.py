"""The cast: a teacher, a TA, a student, a teammate, and an outsider who must see nothing."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from courses.assignments.models import Assignment
from courses.assignments.services import push_bundle
from courses.roster.models import Course, Role, User
from courses.roster.services import add_member, create_course
from courses.teams.models import Team
from courses.teams.services import answer, create, invite

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass
class World:
    course: Course
    teacher: User
    ta: User
    student: User
    teammate: User
    outsider: User
    team: Team


def make_world() -> World:
    people = {
        name: User.objects.create_user(name, password=f"{name}-password-1")
        for name in ("teacher", "ta", "student", "teammate", "outsider")
    }
    course = create_course(people["teacher"], "ml", "Machine Learning", "Fall")
    add_member(people["teacher"], course, people["ta"], Role.TA)
    for name in ("student", "teammate"):
        add_member(people["teacher"], course, people[name], Role.STUDENT)
    team = create(people["student"], course, "maple", "")
    answer(people["teammate"], invite(people["student"], team, "teammate").id, True)
    return World(course=course, team=team, **people)


def zip_of(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def zip_folder(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as bundle:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                bundle.write(path, path.relative_to(folder).as_posix())
    return target


def push_example(world: World, name: str, scratch: Path) -> Assignment:
    archive = zip_folder(EXAMPLES / name, scratch / f"{name}.zip")
    return push_bundle(world.teacher, world.course, archive).assignment
