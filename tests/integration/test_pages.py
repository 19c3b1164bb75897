"""Pages open for whom they are, and for nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from courses.submissions.models import Run
from tests.world import World, push_example, zip_of

pytestmark = pytest.mark.django_db
CODE = {"train.py": "print('<script>alert(1)</script>')\n", "predict.py": "pass\n"}
PEOPLE = ("teacher", "ta", "student", "teammate", "outsider")
EVERYONE = {"teacher": 200, "ta": 200, "student": 200, "teammate": 200, "outsider": 404}
STAFF = {"teacher": 200, "ta": 200, "student": 403, "teammate": 403, "outsider": 404}


def browser(person: object) -> Client:
    client = Client()
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")  # type: ignore[arg-type]
    return client


@pytest.fixture
def run(world: World, tmp_path: Path) -> Run:
    push_example(world, "digits", tmp_path)
    upload = SimpleUploadedFile("code.zip", zip_of(CODE))
    answer = browser(world.student).post("/c/ml/a/digits/", {"code": upload, "memo": "first", "submit": "on"})
    made = Run.objects.get()
    assert answer.headers["Location"] == f"/runs/{made.pk}/"
    assert made.wants_submit
    return made


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/c/ml/", EVERYONE),
        ("/c/ml/runs/", EVERYONE),
        ("/c/ml/team/", EVERYONE),
        ("/c/ml/a/digits/", EVERYONE),
        ("/c/ml/a/digits/board/", EVERYONE),
        ("/c/ml/a/digits/board/?fragment=1", EVERYONE),
        ("/runs/{run}/", EVERYONE),
        ("/runs/{run}/?fragment=1", EVERYONE),
        ("/runs/{run}/diff/{run}/", EVERYONE),
        ("/c/ml/gpus/", STAFF),
        ("/c/ml/people/", STAFF),
        ("/settings/tokens/", dict.fromkeys(PEOPLE, 200)),
    ],
)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_who_opens_which_page(world: World, run: Run, path: str, statuses: dict[str, int], language: str) -> None:
    where = path.format(run=run.pk)
    assert Client().get(where).status_code == 302
    for person, status in statuses.items():
        answer = browser(getattr(world, person)).get(where, headers={"Accept-Language": language})
        assert answer.status_code == status, (person, where)
        assert "<script>alert" not in answer.content.decode()


def test_a_page_sends_its_policy(world: World) -> None:
    answer = browser(world.student).get("/c/ml/")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_stop_needs_a_member_or_staff(world: World, run: Run) -> None:
    assert browser(world.outsider).post(f"/runs/{run.pk}/stop/").status_code == 404
    assert browser(world.teammate).post(f"/runs/{run.pk}/stop/").status_code == 302


def test_a_roster_is_checked_before_it_changes_anything(world: World) -> None:
    client = browser(world.teacher)
    bad = "username,name,email,role\nkim,Minji Kim,not-an-address,\nlee,Junho Lee,lee@example.org,wizard\n"
    page = client.post("/c/ml/people/", {"roster": bad, "do": "import"}).content.decode()
    assert "line 2" in page
    assert "line 3" in page
    assert world.course.memberships.count() == 4
    good = "username,name,email,role\nkim,Minji Kim,kim@example.org,\n"
    client.post("/c/ml/people/", {"roster": good, "do": "check"})
    assert world.course.memberships.count() == 4
    client.post("/c/ml/people/", {"roster": good, "do": "import"})
    assert world.course.memberships.filter(user__username="kim", role="student").exists()
