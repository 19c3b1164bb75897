"""What instructors do on the pages: assignments, the roster, teams, the course; and the data that everybody may have."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from courses.assignments.models import Assignment, AssignmentVersion
from courses.audit.models import Entry
from courses.roster.models import Course, Membership, User
from courses.teams.models import Team, TeamMember
from tests.class_at_work import ClassAtWork, make_class
from tests.unchanged import nothing_changes
from tests.world import EXAMPLES, World, zip_folder

pytestmark = pytest.mark.django_db
PEOPLE, BUNDLES, SETTINGS, TEAM = "/c/ml/people/", "/c/ml/assignments/", "/c/ml/settings/", "/c/ml/team/"


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> ClassAtWork:
    return make_class(world, tmp_path)


def page_of(user: Any) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def test_an_upload_makes_a_version_and_keeps_the_old(at_work: ClassAtWork, tmp_path: Path) -> None:
    teacher = page_of(at_work.world.teacher)
    first = at_work.assignment.current
    archive = zip_folder(EXAMPLES / "digits", tmp_path / "again.zip")
    upload = SimpleUploadedFile("again.zip", archive.read_bytes())
    assert teacher.post(BUNDLES, {"bundle": upload}).headers["Location"] == BUNDLES
    assert [one.number for one in AssignmentVersion.objects.order_by("number")] == [1, 2]
    first.refresh_from_db()
    assert Assignment.objects.get().current.number == 2
    assert at_work.run.version_id == first.pk, "a run keeps the version it was pushed to"
    page = teacher.get(BUNDLES).content.decode()
    assert "digits is version 2 now." in page
    assert re.findall(r'<th scope="row" class="num">\s*(\d+)', page) == ["2", "1"], "the newest first"


def test_a_faulty_upload_names_every_line_on_the_page(at_work: ClassAtWork, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    archive = zip_folder(EXAMPLES / "digits", tmp_path / "good.zip")
    import zipfile

    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
    yaml = folder / "assignment.yaml"
    wrong = yaml.read_text().replace("version: 1", "version: 2").replace("rows: 360", "rows: <b>x</b>")
    yaml.write_text(wrong)
    teacher = page_of(at_work.world.teacher)
    upload = SimpleUploadedFile("x.zip", zip_folder(folder, tmp_path / "bad.zip").read_bytes())
    with nothing_changes():
        answer = teacher.post(BUNDLES, {"bundle": upload})
    page = answer.content.decode()
    line = next(n for n, words in enumerate(wrong.splitlines(), start=1) if "<b>x" in words)
    assert answer.status_code == 400
    for words in ("assignment.yaml:1", f"assignment.yaml:{line}", "predictions.rows", "1 was expected"):
        assert words in page
    assert "<b>x" not in page


def test_a_roster_is_tried_first_and_imported_then(at_work: ClassAtWork) -> None:
    teacher = page_of(at_work.world.teacher)
    good = "username,name,email,role\nkim,Minji Kim,kim@example.org,\nlee,이준호,,ta\nstudent,,,\n"
    with nothing_changes():
        page = teacher.post(PEOPLE, {"file": SimpleUploadedFile("r.csv", b"\xef\xbb\xbf" + good.encode())})
    assert "2 would be added, 1 are there already" in page.content.decode()
    assert "kim,Minji Kim" in page.content.decode(), "what was checked is what can be imported"
    teacher.post(PEOPLE, {"roster": good, "do": "import"})
    assert Membership.objects.get(user__username="lee").role == "ta"
    assert not User.objects.get(username="kim").has_usable_password()
    with nothing_changes():
        teacher.post(PEOPLE, {"roster": good, "do": "check"})


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("kim,,not-an-address,\nlee,,,wizard\n", ["line 2", "line 3", "no e-mail address", "no role"]),
        ("kim,,,\nlee,,,\nkim,,,\n", ["line 4", "already in line 2"]),
        ("kim,,,,,\n", ["line 2", "more cells than columns"]),
        (f"{'k' * 151},,,\n", ["line 2", "longer than 150"]),
        ("a b,,,\n,,,\n", ["line 2", "line 3", "no username"]),
        ("kim,Min\x07ji,,\n", ["line 2", "cannot be printed"]),
        (f'kim,"{"x" * 200_000}",,\n', ["line 2", "not CSV"]),
    ],
)
def test_each_bad_line_of_a_roster_is_named(at_work: ClassAtWork, rows: str, told: list[str]) -> None:
    teacher = page_of(at_work.world.teacher)
    with nothing_changes():
        for do in ("check", "import"):
            form = {"roster": "username,name,email,role\n" + rows, "do": do}
            page = teacher.post(PEOPLE, form).content.decode()
            assert [words for words in told if words not in page] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("username\n김\n".encode("cp949"), "Line 2 is not UTF-8"),
        (b"x" * (2 << 20), "larger than 1 MiB"),
        (b"name\nkim\n", "must name the columns"),
        (b"username,colour\nkim,red\n", "is no column"),
        (b"", "must name the columns"),
    ],
)
def test_files_that_are_no_roster(at_work: ClassAtWork, content: bytes, words: str) -> None:
    teacher = page_of(at_work.world.teacher)
    with nothing_changes():
        answer = teacher.post(PEOPLE, {"file": SimpleUploadedFile("r.csv", content or b"\n"), "do": "import"})
    assert words in answer.content.decode()


def test_removing_people(at_work: ClassAtWork) -> None:
    teacher, ta = page_of(at_work.world.teacher), page_of(at_work.world.ta)
    with nothing_changes():
        assert ta.post(PEOPLE, {"remove": "student"}).status_code == 403
        assert teacher.post(PEOPLE, {"remove": "teacher"}).status_code == 409, "the only instructor"
        assert teacher.post(PEOPLE, {"remove": "outsider"}).status_code == 404
    teacher.post(PEOPLE, {"remove": "student"})
    assert page_of(at_work.world.student).get("/c/ml/").status_code == 404
    assert Entry.objects.get(action="member.remove").target == "student"


def test_leaving_and_being_taken_out_of_a_team(at_work: ClassAtWork) -> None:
    world = at_work.world
    mate, rival, ta = page_of(world.teammate), page_of(at_work.people["rival"]), page_of(world.ta)
    with nothing_changes():
        assert rival.post(TEAM, {"leave": "yes"}).status_code == 409, "alone already"
        assert rival.post(PEOPLE, {"out": "teammate", "team": "maple"}).status_code == 403
        assert ta.post(PEOPLE, {"out": "rival", "team": "maple"}).status_code == 404
        assert ta.post(PEOPLE, {"out": "rival", "team": "none"}).status_code == 404
    assert mate.get(f"/runs/{at_work.run.pk}/").status_code == 200
    assert mate.post(TEAM, {"leave": "yes"}).status_code == 302
    assert mate.get(f"/runs/{at_work.run.pk}/").status_code == 404, "the runs stay with the team"
    assert "teammate has 1 member" in mate.get(TEAM).content.decode()
    rival.post(TEAM, {"invite": "teammate"})
    mate.post(TEAM, {"invitation": at_work.other_team.invitations.get().pk, "answer": "yes"})
    assert at_work.other_team.members.count() == 2
    ta.post(PEOPLE, {"out": "teammate", "team": "oak"})
    assert at_work.other_team.members.count() == 1


def test_declining_an_invitation(at_work: ClassAtWork) -> None:
    student = page_of(at_work.world.student)
    student.post(TEAM, {"invite": "rival"})
    invitation = at_work.world.team.invitations.get(answered_at=None)
    before = TeamMember.objects.count(), Team.objects.count()
    with nothing_changes():
        assert student.post(TEAM, {"invitation": invitation.pk, "answer": "yes"}).status_code == 404, "not theirs"
    page_of(at_work.people["rival"]).post(TEAM, {"invitation": invitation.pk, "answer": "no"})
    invitation.refresh_from_db()
    assert invitation.accepted is False
    assert (TeamMember.objects.count(), Team.objects.count()) == before


def test_closing_and_opening_a_course(at_work: ClassAtWork) -> None:
    teacher, course = page_of(at_work.world.teacher), at_work.world.course
    teacher.post(SETTINGS, {"open": "no"})
    assert not Course.objects.get().is_open
    assert "The course is closed" in teacher.get(SETTINGS).content.decode()
    outsider = page_of(at_work.world.outsider)
    assert outsider.post("/", {"code": course.join_code}).status_code == 404
    teacher.post(SETTINGS, {"open": "yes"})
    assert outsider.post("/", {"code": course.join_code}).status_code == 302


def test_a_new_join_code_ends_the_old_one(at_work: ClassAtWork) -> None:
    old = at_work.world.course.join_code
    page_of(at_work.world.teacher).post(SETTINGS, {"code": "renew"})
    fresh = Course.objects.get().join_code
    outsider = page_of(at_work.world.outsider)
    assert outsider.post("/", {"code": old}).status_code == 404
    assert outsider.post("/", {"code": fresh}).status_code == 302


def test_the_training_data_comes_with_its_licence_and_nothing_else(at_work: ClassAtWork) -> None:
    answer = page_of(at_work.world.student).get("/c/ml/a/digits/data/")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="digits-1.tar"'
    content = b"".join(answer)  # type: ignore[arg-type]
    assert len(content) == int(answer.headers["Content-Length"])
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = tar.getnames()
        licence = tar.extractfile("LICENSE.txt")
        assert licence is not None
        assert "SPDX-License-Identifier: CC-BY-4.0" in licence.read().decode()
    train = {path.name for path in (EXAMPLES / "digits" / "data" / "train").iterdir()}
    assert set(names) == {"LICENSE.txt", *train}


def test_the_data_is_there_from_the_opening_on(at_work: ClassAtWork) -> None:
    version = at_work.assignment
    Assignment.objects.filter(pk=version.pk).update(opens_at="2999-01-01T00:00:00Z", due_at="2999-02-01T00:00:00Z")
    for person, status in (("student", 409), ("ta", 200)):
        answer = page_of(at_work.people[person]).get("/c/ml/a/digits/data/")
        assert answer.status_code == status, person
