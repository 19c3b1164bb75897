"""Who may open which door: the cast and every route, as one table. A route without its line here fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, get_resolver, resolve

from courses.roster.services import create_token
from courses.submissions.models import Run, Submission
from tests.class_at_work import CAST, OF_THE_TEAM, PREDICT_LOG, ClassAtWork, make_class
from tests.world import World, zip_of

pytestmark = pytest.mark.django_db

# The answers to: anonymous, outsider, a student of another team (rival), the run's owner (student), a teammate, an
# observer, a TA, the teacher. {run} is the student's, ended; {active} is the student's, waiting. 302 from a page is
# the login for the anonymous and, after a POST, the way on for the others.
TABLE = """
                                                    anon  outs  rival stud  mate  obs   ta    teach
GET  /                                              302   200   302   302   302   302   302   302
POST /                                              302   404   404   404   404   404   404   404
GET  /settings/tokens/                              302   200   200   200   200   200   200   200
POST /settings/tokens/                              302   200   200   200   200   200   200   200
GET  /c/ml/                                         302   404   200   200   200   200   200   200
GET  /c/ml/runs/                                    302   404   200   200   200   200   200   200
GET  /c/ml/runs/?all=1                              302   404   200   200   200   200   200   200
GET  /c/ml/team/                                    302   404   200   200   200   403   200   200
POST /c/ml/team/                                    302   404   302   302   302   403   302   302
GET  /c/ml/people/                                  302   404   403   403   403   403   200   200
POST /c/ml/people/                                  302   404   403   403   403   403   403   302
GET  /c/ml/assignments/                             302   404   403   403   403   403   403   200
POST /c/ml/assignments/                             302   404   403   403   403   403   403   400
GET  /c/ml/settings/                                302   404   403   403   403   403   403   200
POST /c/ml/settings/                                302   404   403   403   403   403   403   302
GET  /c/ml/gpus/                                    302   404   403   403   403   403   200   200
GET  /c/ml/a/digits/                                302   404   200   200   200   200   200   200
POST /c/ml/a/digits/                                302   404   302   302   302   403   302   302
GET  /c/ml/a/digits/data/                           302   404   200   200   200   200   200   200
GET  /c/ml/a/digits/start/                          302   404   200   200   200   200   200   200
GET  /c/ml/a/digits/board/                          302   404   200   200   200   200   200   200
GET  /c/ml/a/digits/board/?fragment=1               302   404   200   200   200   200   200   200
GET  /runs/{run}/                                   302   404   404   200   200   404   200   200
GET  /runs/{run}/?fragment=1                        302   404   404   200   200   404   200   200
GET  /runs/{run}/log.txt                            302   404   404   200   200   404   200   200
GET  /runs/{run}/diff/{active}/                     302   404   404   200   200   404   200   200
GET  /runs/{oak}/diff/{run}/                        302   404   404   404   404   404   200   200
GET  /runs/{run}/diff/{oak}/                        302   404   404   404   404   404   200   200
POST /runs/{active}/stop/                           302   404   404   302   302   404   302   302
POST /runs/{run}/fork/                              302   404   404   302   302   404   403   403
POST /runs/{run}/submit/                            302   404   404   302   302   404   403   403
POST /runs/{run}/try/                               302   404   404   302   302   404   403   403
POST /runs/{run}/other/                             302   404   404   404   404   404   404   404

GET  /api/v1/schema/                                401   200   200   200   200   200   200   200
POST /api/v1/login                                  401   200   200   200   200   200   200   200
GET  /api/v1/me                                     401   200   200   200   200   200   200   200
GET  /api/v1/tokens                                 401   200   200   200   200   200   200   200
POST /api/v1/tokens                                 401   201   201   201   201   201   201   201
DELETE /api/v1/tokens/{token}                       401   404   404   204   404   404   404   404
GET  /api/v1/courses/ml/assignments                 401   404   200   200   200   200   200   200
PUT  /api/v1/courses/ml/assignments                 401   404   403   403   403   403   403   400
POST /api/v1/courses/ml/assignments/digits/runs     401   404   201   201   201   403   201   201
GET  /api/v1/courses/ml/assignments/digits/data     401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/assignments/digits/start    401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/assignments/digits/board    401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/runs                        401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/runs?all=1                  401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/runs?session=maple/digits/1 401   404   404   200   200   404   200   200
GET  /api/v1/courses/ml/queue                       401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/datasets                    401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/devices                     401   404   200   200   200   200   200   200
GET  /api/v1/courses/ml/credit                      401   404   200   200   200   200   200   200
DELETE /api/v1/runs/{run}                           401   404   404   204   204   404   403   403
POST /api/v1/runs/{run}/resume                      401   404   404   201   201   404   403   403
GET  /api/v1/runs/{run}/events                      401   404   404   200   200   404   200   200
GET  /api/v1/runs/{run}                             401   404   404   200   200   404   200   200
POST /api/v1/runs/{active}/stop                     401   404   404   200   200   404   200   200
POST /api/v1/runs/{run}/fork                        401   404   404   201   201   404   403   403
POST /api/v1/runs/{run}/memo                        401   404   404   200   200   404   403   403
GET  /api/v1/runs/{run}/log                         401   404   404   200   200   404   200   200
GET  /api/v1/runs/{run}/code                        401   404   404   200   200   404   200   200
GET  /api/v1/runs/{run}/outputs                     401   404   404   200   200   404   200   200
GET  /api/v1/runs/{run}/outputs/plots/a.txt         401   404   404   200   200   404   200   200
GET  /api/v1/runs/{run}/checkpoints                 401   404   404   200   200   404   200   200
GET  /api/v1/runs/{run}/checkpoints/best            401   404   404   200   200   404   200   200
DELETE /api/v1/runs/{run}/checkpoints/last          401   404   404   204   204   404   403   403
DELETE /api/v1/runs/{run}/checkpoints/best          401   404   404   409   409   404   403   403
GET  /api/v1/runs/{run}/metrics                     401   404   404   200   200   404   200   200
POST /api/v1/runs/{run}/submissions                 401   404   404   201   201   404   403   403
GET  /api/v1/submissions/{submission}               401   404   404   200   200   404   200   200
"""
# allauth's own pages, which know of no course: for the anonymous, and for anybody who is signed in.
ACCOUNTS = """
GET  /accounts/login/                               200   302
GET  /accounts/logout/                              302   200
GET  /accounts/inactive/                            200   200
GET  /accounts/signup/                              200   302
GET  /accounts/reauthenticate/                      302   200
GET  /accounts/email/                               302   200
GET  /accounts/confirm-email/                       200   200
GET  /accounts/confirm-email/nonsense/              200   200
GET  /accounts/password/change/                     302   200
GET  /accounts/password/set/                        302   302
GET  /accounts/password/reset/                      409   409
GET  /accounts/password/reset/done/                 200   200
GET  /accounts/password/reset/key/1-nonsense/       200   200
GET  /accounts/password/reset/key/done/             200   200
GET  /accounts/login/code/confirm/                  302   302
GET  /accounts/2fa/                                 302   200
GET  /accounts/2fa/authenticate/                    302   302
GET  /accounts/2fa/reauthenticate/                  302   302
GET  /accounts/2fa/totp/activate/                   302   302
GET  /accounts/2fa/totp/deactivate/                 302   404
GET  /accounts/2fa/recovery-codes/                  302   404
GET  /accounts/2fa/recovery-codes/generate/         302   302
GET  /accounts/2fa/recovery-codes/download/         302   404
GET  /accounts/3rdparty/                            302   200
GET  /accounts/3rdparty/login/cancelled/            200   200
GET  /accounts/3rdparty/login/error/                401   401
GET  /accounts/3rdparty/signup/                     302   302
GET  /accounts/social/connections/                  301   301
GET  /accounts/social/login/cancelled/              301   301
GET  /accounts/social/login/error/                  301   301
GET  /accounts/social/signup/                       301   301
GET  /accounts/oidc/nobody/login/                   404   404
GET  /accounts/oidc/nobody/login/callback/          404   404
POST /i18n/setlang/                                 302   302
"""
BODIES = {
    "POST /": {"code": "no-such-code"},
    "POST /settings/tokens/": {"name": "lab"},
    "POST /c/ml/team/": {"name": "renamed"},
    "POST /c/ml/settings/": {"open": "no"},
    "POST /c/ml/people/": {"roster": "username\nkim\n", "do": "import"},
    "POST /api/v1/tokens": {"name": "lab", "days": "7"},
    "POST /api/v1/runs/{run}/memo": {"memo": "seen"},
}
ROW = re.compile(r"^(GET|POST|PUT|DELETE) +(\S+) +([\d ]+)$", re.MULTILINE)


def rows(table: str) -> list[tuple[str, str, list[int]]]:
    return [(method, path, [int(one) for one in answers.split()]) for method, path, answers in ROW.findall(table)]


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> ClassAtWork:
    return make_class(world, tmp_path)


@pytest.fixture
def oak(at_work: ClassAtWork) -> Run:
    """The other team's run, with code of its own."""
    rival = at_work.people["rival"]
    ours = at_work.run
    return Run.objects.create(
        assignment=ours.assignment, version=ours.version, team=at_work.other_team, owner=rival, number=1,
        state="succeeded", entry=ours.entry, code_sha256=ours.code_sha256, code_files=2, code_bytes=1,
    )  # fmt: skip


def fill(path: str, at_work: ClassAtWork, oak: Run) -> str:
    """The path with the ids of the student's things."""
    return path.format(
        run=at_work.run.pk, active=at_work.active.pk, oak=oak.pk, submission=at_work.submission.pk, token=at_work.token
    )


def ask(client: Client, method: str, path: str, at_work: ClassAtWork, oak: Run, person: str) -> HttpResponse:
    body = dict(BODIES.get(f"{method} {path}", {}))
    if path.startswith(("/c/ml/a/digits/", "/api/v1/courses/ml/assignments/digits/runs")) and method == "POST":
        body = {"code": SimpleUploadedFile("code.zip", zip_of({"train.py": "", "predict.py": ""}))}
    if path == "/api/v1/login":
        body = {"username": person, "password": f"{person}-password-1"}
    where = fill(path, at_work, oak)
    send = getattr(client, method.lower())
    if method == "POST":
        return send(where, body)
    return send(where)


def client_of(at_work: ClassAtWork, person: str, path: str) -> Client:
    """By token for the API, by session for pages."""
    user = at_work.people[person]
    if user is None:
        return Client()
    if path.startswith("/api/"):
        return Client(headers={"Authorization": f"Bearer {create_token(user, 'test')}"})
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def text_of(answer: HttpResponse) -> str:
    return b"".join(answer).decode(errors="replace")


@pytest.mark.parametrize("person", CAST)
def test_the_cast_at_every_door(at_work: ClassAtWork, oak: Run, person: str) -> None:
    column = CAST.index(person)
    wrong = []
    for method, path, answers in rows(TABLE):
        with transaction.atomic():
            answer = ask(client_of(at_work, person, path), method, path, at_work, oak, person)
            if answer.status_code != answers[column]:
                wrong.append(f"{method} {path}: {answer.status_code}, and not {answers[column]}")
            if (
                answer.status_code == 302
                and person == "anonymous"
                and not answer.headers["Location"].startswith("/accounts/login/")
            ):
                wrong.append(f"{method} {path}: sent to {answer.headers['Location']}, not to the login")
            text = text_of(answer)
            if person in {"anonymous", "outsider", "rival", "observer"}:
                wrong += [f"{method} {path} tells {one}" for one in OF_THE_TEAM if one in text]
            if person not in {"ta", "teacher"} and PREDICT_LOG in text:
                wrong.append(f"{method} {path} tells predict's log")
            transaction.set_rollback(True)
    assert not wrong, "\n".join(wrong)


def test_predicts_log_is_there_for_the_staff(at_work: ClassAtWork) -> None:
    path = f"/runs/{at_work.run.pk}/"
    assert PREDICT_LOG in text_of(client_of(at_work, "ta", path).get(path))


@pytest.mark.parametrize("signed_in", [False, True])
def test_the_account_pages(world: World, signed_in: bool) -> None:
    wrong = []
    for method, path, answers in rows(ACCOUNTS):
        client = Client()
        if signed_in:
            client.force_login(world.student, "django.contrib.auth.backends.ModelBackend")
        answer = getattr(client, method.lower())(path)
        if answer.status_code != answers[signed_in]:
            wrong.append(f"{method} {path}: {answer.status_code}, and not {answers[signed_in]}")
    assert not wrong, "\n".join(wrong)


def patterns(inside: list[object], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for one in inside:
        if isinstance(one, URLPattern):
            yield before + str(one.pattern), one
        else:
            yield from patterns(one.url_patterns, before + str(one.pattern))  # type: ignore[attr-defined]


def key(route: str) -> str:
    return route.replace("^", "").replace("$", "")


def test_every_route_has_its_line(at_work: ClassAtWork, oak: Run) -> None:
    """Each route and, for the API, each of its methods; a page without a POST line takes no POST."""
    covered: dict[str, set[str]] = {}
    for method, path, _ in rows(TABLE) + rows(ACCOUNTS):
        where = fill(path, at_work, oak).split("?")[0]
        covered.setdefault(key(resolve(where).route), set()).add(method)
    teacher = Client()
    teacher.force_login(at_work.world.teacher, "django.contrib.auth.backends.ModelBackend")
    missing = []
    for route, pattern in patterns(get_resolver().url_patterns):
        there = covered.get(key(route), set())
        wanted = {"GET"} if not there else set()
        if view := getattr(pattern.callback, "cls", None):
            wanted = {name.upper() for name in view.http_method_names if hasattr(view, name)} - {"OPTIONS", "HEAD"}
        missing += [f"{method} /{route}" for method in sorted(wanted - there)]
    assert not missing, "these have no line in the table: " + ", ".join(missing)
    for method, path, _ in rows(TABLE):
        where = fill(path, at_work, oak).split("?")[0]
        if method == "GET" and "POST" not in covered[key(resolve(where).route)]:
            assert teacher.post(where).status_code == 405, f"{where} takes a POST"


def test_a_cookie_alone_posts_nothing(at_work: ClassAtWork) -> None:
    """A form on another site has the cookie and not the token of the form."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(at_work.world.student, "django.contrib.auth.backends.ModelBackend")
    for where in ("/api/v1/runs/{}/stop", "/api/v1/runs/{}/submissions", "/runs/{}/stop/", "/runs/{}/submit/"):
        assert client.post(where.format(at_work.run.pk)).status_code == 403, where
    assert Submission.objects.count() == 2


def test_a_staff_only_board_tells_students_nothing(at_work: ClassAtWork) -> None:
    version = at_work.assignment.current
    version.raw["board"] = {"visibility": "staff"}
    version.save()
    for person, page, rows_shown in (("student", 403, 0), ("rival", 403, 0), ("observer", 403, 0), ("ta", 200, 1)):
        board = "/c/ml/a/digits/board/"
        assert client_of(at_work, person, board).get(board).status_code == page, person
        api = "/api/v1/courses/ml/assignments/digits/board"
        answer = client_of(at_work, person, api).get(api)
        assert answer.status_code == 200
        assert len(answer.json()["rows"]) == rows_shown, person
    home, submission = "/c/ml/", f"/api/v1/submissions/{at_work.submission.pk}"
    assert "Rank 1" not in text_of(client_of(at_work, "student", home).get(home))
    assert client_of(at_work, "student", submission).get(submission).json()["rank"] is None


def test_who_left_the_course_sees_their_old_runs_no_more(at_work: ClassAtWork) -> None:
    at_work.world.course.memberships.filter(user=at_work.world.student).delete()
    for where in (f"/api/v1/runs/{at_work.run.pk}", f"/api/v1/runs/{at_work.run.pk}/log", "/api/v1/courses/ml/runs"):
        assert client_of(at_work, "student", where).get(where).status_code == 404, where
