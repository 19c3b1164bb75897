"""Bad input at the API and on the pages: a clear error, and nothing has changed."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from courses.roster.models import ApiToken
from courses.roster.services import create_token
from courses.submissions.models import Checkpoint, Run, Submission
from hub import bounds
from hub.asgi import application
from tests.class_at_work import ClassAtWork, make_class
from tests.unchanged import nothing_changes
from tests.world import EXAMPLES, World

pytestmark = pytest.mark.django_db
PUSH = "/api/v1/courses/ml/assignments/digits/runs"
BUNDLE = "/api/v1/courses/ml/assignments"
CODE = {"train.py": b"", "predict.py": b""}


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> ClassAtWork:
    return make_class(world, tmp_path)


def client_of(user: object) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(user, 'test')}"})


def page_of(user: Any) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return sink.getvalue()


def good() -> bytes:
    return zipped(*CODE.items())


def special(kind: int) -> bytes:
    info = zipfile.ZipInfo("labels")
    info.external_attr = (kind | 0o777) << 16
    return zipped((info, b"/labels"), *CODE.items())


def nested() -> bytes:
    """A zip of zips, each of many zeros: unpacked once only, and then it is small. A flat one is refused."""
    inner = zipped(("zeros", b"\0" * (8 << 20)))
    return zipped(*((f"{n}.zip", inner) for n in range(2_500)))


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content and len(old) == len(new)
    return content.replace(old, new)


def encrypted() -> bytes:
    content = bytearray(good())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    return bytes(content)


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b" ", "not a readable zip"),
    "not a zip": (lambda: b"hello" * 100, "not a readable zip"),
    "cut short": (lambda: good()[:-30], "not a readable zip"),
    "flipped": (lambda: changed(zipped(("train.py", b"abcdef" * 50)), b"PK\x03\x04", b"XX\x03\x04"), "not a readable zip"),
    "encrypted": (encrypted, "not a readable zip"),
    "up": (lambda: zipped(("../up.py", b""), *CODE.items()), "leaves the folder"),
    "up from below": (lambda: zipped(("a/../../up.py", b""), *CODE.items()), "leaves the folder"),
    "absolute": (lambda: zipped(("/etc/cron.d/x", b""), *CODE.items()), "leaves the folder"),
    "backslash": (lambda: zipped(("..\\up.py", b""), *CODE.items()), "backslash"),
    "link": (lambda: special(stat.S_IFLNK), "link or a device"),
    "device": (lambda: special(stat.S_IFCHR), "link or a device"),
    "fifo": (lambda: special(stat.S_IFIFO), "link or a device"),
    "bomb": (lambda: zipped(("zeros", b"\0" * (200 << 20)), *CODE.items()), "more than"),
    "many": (lambda: zipped(*((f"f{n}", b"") for n in range(60_000))), "files are more than"),
    "file and folder": (lambda: zipped(("a", b""), ("a/b", b""), *CODE.items()), "not a readable zip"),
    "name in cp949": (lambda: changed(zipped(("na\u00efme.py", b"")), "na\u00efme".encode(), b"na\xc7\xd1me"), "not UTF-8"),
    "name in cp949, said to be UTF-8": (
        lambda: changed(zipped(("na\u00efme.py", b""), *CODE.items()), "\u00ef".encode(), b"\xc7\xd1"), "UTF-8|not a readable",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_are_refused(at_work: ClassAtWork, name: str, settings: Any) -> None:
    settings.BUNDLE_BYTES_MAX = 150 << 20
    make, words = ARCHIVES[name]
    content = make()
    if name == "name in cp949":
        content = content.replace(b"\x00\x08", b"\x00\x00")  # and does not say that it is UTF-8
    student, teacher, page = (
        client_of(at_work.world.student), client_of(at_work.world.teacher), page_of(at_work.world.student)
    )  # fmt: skip

    def upload() -> SimpleUploadedFile:
        return SimpleUploadedFile("up.zip", content)

    with nothing_changes():
        pushed = student.post(PUSH, {"code": upload()})
        bundled = put(teacher, upload())
        on_page = page.post("/c/ml/a/digits/", {"code": upload()})
    assert (pushed.status_code, bundled.status_code, on_page.status_code) == (400, 400, 400)

    for answer in (pushed, bundled):
        error = answer.json()["error"]
        assert error["code"] == "archive"
        assert re.search(words, error["message"]), error
        assert error["next"]


def put(client: Client, upload: SimpleUploadedFile, **fields: str) -> Any:
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    return client.put(BUNDLE, encode_multipart(BOUNDARY, {"bundle": upload, **fields}), content_type=MULTIPART_CONTENT)


def test_a_zip_in_a_zip_stays_one_file(at_work: ClassAtWork) -> None:
    inner = zipped(("zeros", b"\0" * (64 << 20)))
    content = zipped(("data.zip", inner), *CODE.items())
    answer = client_of(at_work.world.student).post(PUSH, {"code": SimpleUploadedFile("up.zip", content)})
    assert answer.status_code == 201
    assert answer.json()["code_bytes"] == len(inner)


def test_many_zips_in_a_zip_are_refused(at_work: ClassAtWork) -> None:
    client, content = client_of(at_work.world.student), nested()
    with nothing_changes():
        answer = client.post(PUSH, {"code": SimpleUploadedFile("up.zip", content)})
    assert answer.status_code == 400
    assert "files are more than" in answer.json()["error"]["message"]


@pytest.mark.parametrize("missing", [{}, {"code": "no file"}])
def test_a_push_without_a_file(at_work: ClassAtWork, missing: dict[str, str]) -> None:
    client = client_of(at_work.world.student)
    with nothing_changes():
        assert client.post(PUSH, missing).status_code == 400


# -- sizes


async def raw_post(
    path: str, declared: int | None, chunks: list[bytes], language: str = ""
) -> tuple[int, dict[str, Any]]:
    """The status and the answer, as a client that speaks HTTP by hand would get it."""
    headers = [(b"host", b"testserver"), (b"content-type", b"application/octet-stream"),
               (b"accept-language", language.encode())]  # fmt: skip
    if declared is not None:
        headers.append((b"content-length", str(declared).encode()))
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("testserver", 80),
    }  # fmt: skip
    client = ApplicationCommunicator(application, scope)
    for chunk in chunks:
        await client.send_input({"type": "http.request", "body": chunk, "more_body": True})
    answer = await client.receive_output(10)
    body = await client.receive_output(10)
    await client.wait(10)
    return int(answer["status"]), json.loads(body["body"])


@pytest.mark.parametrize("path", [PUSH, "/c/ml/a/digits/", "/accounts/login/", BUNDLE])
async def test_a_body_over_its_bound_is_refused_before_it_is_kept(path: str, settings: Any) -> None:
    settings.CODE_BYTES_MAX, settings.BUNDLE_BYTES_MAX = 1000, 2000
    most = bounds.bytes_max(path)
    assert most == bounds.FORM_BYTES + (2000 if path == BUNDLE else 1000)
    declared, error = await raw_post(path, 50 << 30, [])
    assert declared == 413, "50 GB are declared, and none of them is waited for"
    assert "MiB that are taken" in error["error"]["message"] and error["error"]["next"]
    endless, error = await raw_post(path, None, [b"x" * (1 << 19)] * 3, "ko-KR,ko;q=0.9")
    assert endless == 413, "nothing is declared, and it goes on and on"
    assert "MiB" in error["error"]["message"] and "larger" not in error["error"]["message"], "in the sender's language"


def test_a_push_over_its_bound(at_work: ClassAtWork, settings: Any) -> None:
    settings.CODE_BYTES_MAX = 100
    client, page = client_of(at_work.world.student), page_of(at_work.world.student)
    with nothing_changes():
        answer = client.post(PUSH, {"code": SimpleUploadedFile("up.zip", good())})
        on_page = page.post("/c/ml/a/digits/", {"code": SimpleUploadedFile("up.zip", good())})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_large")
    assert on_page.status_code == 400


# -- assignment.yaml

YAML = (EXAMPLES / "digits" / "assignment.yaml").read_text()


def bundle(yaml: str | bytes, **more: str) -> SimpleUploadedFile:
    files = {
        path.relative_to(EXAMPLES / "digits").as_posix(): path.read_bytes()
        for path in (EXAMPLES / "digits").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["assignment.yaml"] = yaml if isinstance(yaml, bytes) else yaml.encode()
    files |= {name.replace("__", "/"): content.encode() for name, content in more.items()}
    return SimpleUploadedFile("digits.zip", zipped(*files.items()))


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("rows: 360", "rows: many", "predictions.rows", "is not of type 'integer'"),
        ("version: 1", "version: '1'", "version", "1 was expected"),
        ("environment: base", "colour: red", "", "'colour' was unexpected"),
        ("environment: base", "environment: none-such", "environment", "is not one of"),
        ("labels: data/labels", "labels: data/none", "data.labels", "is not there"),
        ("labels: data/labels", "labels: data/train", "data.labels", "students could read it"),
        ("sample: data/sample", "sample: data", "data.labels", "students could read it"),
        ("baseline: baseline", "baseline: .", "data.labels", "students could read it"),
        ("pass: 0.9", "pass: .nan", "pass", "finite"),
        ("pass: 0.9", "pass: .inf", "pass", "finite"),
        ("cpus: 1", "cpus: .inf", "resources.cpus", "finite"),
        ("memory: 1G", "memory: 0G", "resources.memory", "does not match"),
        ("memory: 1G", "memory: 99999999999999999999G", "resources.memory", "does not match"),
        ("due: 2027-06-30", "due: 2027-06-45", "", "cannot be read"),
        ("entry: python3 train.py", 'entry: "a\\0b"', "entry", "NUL"),
        ("entry: python3 train.py", 'entry: "a\\ud800b"', "entry", "half of a pair"),
        ("slug: digits", "slug: digits\n? [a, b]\n: c", "", "hash"),
        ("slug: digits", "slug: digits\nslug: again", "slug", "is there twice"),
        ("slug: digits", "slug: digits\n1: c", "", "put it in quotes"),
        ("ko: 손글씨 숫자", "ko: " + "x" * 500, "title.ko", "is too long"),
        ("license: CC-BY-4.0", "license: whatever you like", "data.license", "does not match"),
        ("license: CC-BY-4.0", "license: " + "x" * 65, "data.license", "too long"),
        ("version: 1", "version: 1\nsummary: &a [*a]", "summary.0", "contains itself"),
        ("slug: digits", "slug: digits\nentry: " + "[" * 5000 + "]" * 5000, "", "nested too deeply"),
    ],
)
def test_a_faulty_assignment_names_file_line_and_key(
    at_work: ClassAtWork, old: str, new: str, key: str, words: str
) -> None:
    assert old in YAML
    teacher, upload = client_of(at_work.world.teacher), bundle(YAML.replace(old, new))
    with nothing_changes():
        answer = put(teacher, upload)
    assert answer.status_code == 400, answer.content
    error = answer.json()["error"]
    assert error["code"] == "bundle"
    found = error["details"]
    assert any(one["key"] == key and words in one["message"] for one in found), found
    assert {one["file"] for one in found} == {"assignment.yaml"}
    assert all(one["line"] >= 1 for one in found)


def test_all_faults_come_at_once_with_their_lines(at_work: ClassAtWork) -> None:
    wrong = YAML.replace("version: 1", "version: 2").replace("rows: 360", "rows: x").replace("goal: max", "goal: up")
    teacher, upload = client_of(at_work.world.teacher), bundle(wrong)
    with nothing_changes():
        answer = put(teacher, upload)
    lines = {one["key"]: one["line"] for one in answer.json()["error"]["details"]}
    where = {words: number for number, words in enumerate(wrong.splitlines(), start=1)}
    assert lines == {
        "version": 1,
        "predictions.rows": next(number for words, number in where.items() if "rows: x" in words),
        "metrics.0.goal": next(number for words, number in where.items() if "macro_f1" in words),
        "metrics.1.goal": next(number for words, number in where.items() if "accuracy" in words),
    }


def test_a_check_says_the_same_and_changes_nothing(at_work: ClassAtWork) -> None:
    wrong = YAML.replace("version: 1", "version: 2")
    teacher, faulty, sound = client_of(at_work.world.teacher), bundle(wrong), bundle(YAML)
    with nothing_changes():
        refused, taken = put(teacher, faulty, check="1"), put(teacher, sound, check="1")
    assert [one["key"] for one in refused.json()["error"]["details"]] == ["version"]
    assert (taken.status_code, taken.json()) == (200, {"slug": "digits", "version": None})
    assert put(client_of(at_work.world.student), bundle(YAML), check="1").status_code == 403


def test_faults_of_the_folder_come_at_once_with_their_lines(at_work: ClassAtWork) -> None:
    wrong = YAML.replace("environment: base", "environment: none").replace("train: data/train", "train: data/gone")
    teacher, upload = client_of(at_work.world.teacher), bundle(wrong)
    with nothing_changes():
        answer = put(teacher, upload)
    found = {one["key"]: one["line"] for one in answer.json()["error"]["details"]}
    lines = wrong.splitlines()
    assert found == {
        "environment": lines.index("environment: none") + 1,
        "data.train": next(n for n, words in enumerate(lines, start=1) if "data/gone" in words),
    }


def test_an_assignment_yaml_that_is_a_folder_or_is_not_there(at_work: ClassAtWork) -> None:
    teacher = client_of(at_work.world.teacher)
    for files in ([("assignment.yaml/a", b"")], [("readme", b"")]):
        with nothing_changes():
            answer = put(teacher, SimpleUploadedFile("x.zip", zipped(*files)))
        assert answer.status_code == 400
        assert "no assignment.yaml" in answer.json()["error"]["message"]


# -- runs, checkpoints, tokens, forms


def test_the_second_stop_changes_nothing(at_work: ClassAtWork) -> None:
    client = client_of(at_work.world.student)
    for run, before in ((at_work.active, "preflight"), (at_work.run, "succeeded")):
        assert Run.objects.get(pk=run.pk).state == before
        assert client.post(f"/api/v1/runs/{run.pk}/stop").status_code == 200
        with nothing_changes():
            assert client.post(f"/api/v1/runs/{run.pk}/stop").status_code == 200


def test_another_teams_checkpoint_cannot_be_submitted(at_work: ClassAtWork) -> None:
    ours, rival = at_work.run, at_work.people["rival"]
    oak = Run.objects.create(
        assignment=ours.assignment, version=ours.version, team=at_work.other_team, owner=rival, number=1,
        state="succeeded", entry=ours.entry, code_sha256=ours.code_sha256, code_files=2, code_bytes=1,
    )  # fmt: skip
    client = client_of(rival)
    attempts = [
        (ours.pk, "best"),
        (ours.pk, None),
        (oak.pk, "best"),
        (oak.pk, "maple/digits/1/best"),
        (oak.pk, f"../{ours.pk}/best"),
        (oak.pk, str(Checkpoint.objects.get(run=ours, name="best").pk)),
    ]
    for run, checkpoint in attempts:
        with nothing_changes():
            answer = client.post(
                f"/api/v1/runs/{run}/submissions", json.dumps({"checkpoint": checkpoint}), "application/json"
            )
        assert answer.status_code == 404, (run, checkpoint)


def test_an_expired_or_revoked_token_does_nothing(at_work: ClassAtWork) -> None:
    student = at_work.world.student
    for name, change in [
        ("expired", {"expires_at": timezone.now() - dt.timedelta(seconds=1)}),
        ("revoked", {"revoked_at": timezone.now()}),
    ]:
        client = Client(headers={"Authorization": f"Bearer {create_token(student, name, 1)}"})
        assert client.get("/api/v1/me").status_code == 200
        ApiToken.objects.filter(name=name).update(**change)
        with nothing_changes():
            answer = client.post(PUSH, {"code": SimpleUploadedFile("up.zip", good())})
            assert client.post(f"/api/v1/runs/{at_work.active.pk}/stop").status_code == 401
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "token_invalid"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("where", "form", "status"),
    [
        ("/settings/tokens/", {"revoke": "one"}, 400),
        ("/settings/tokens/", {"revoke": "999999999"}, 404),
        ("/settings/tokens/", {"name": "x", "days": "0"}, 400),
        ("/settings/tokens/", {"name": "x", "days": "-1"}, 400),
        ("/settings/tokens/", {"name": "x\0y"}, 400),
        ("/c/ml/team/", {"invitation": "one"}, 400),
        ("/c/ml/team/", {"invitation": "999"}, 404),
        ("/c/ml/team/", {"invite": "nobody"}, 404),
        ("/c/ml/team/", {"name": "!!!"}, 400),
        ("/c/ml/team/", {"name": "oak"}, 409),
        ("/runs/{run}/submit/", {"checkpoint": "no\0ne"}, 400),
        ("/runs/{run}/submit/", {"checkpoint": "none"}, 404),
        ("/runs/{run}/fork/", {"args": "'"}, 400),
    ],
)
def test_forms_filled_in_wrong(at_work: ClassAtWork, where: str, form: dict[str, str], status: int) -> None:
    page = page_of(at_work.world.student)
    with nothing_changes():
        assert page.post(where.format(run=at_work.run.pk), form).status_code == status


@pytest.mark.parametrize(
    "query", ["session=a%00b", "session=maple/digits/99999999999", "assignment=%00", "limit=-1", "limit=1e9"]
)
def test_queries_filled_in_wrong_are_no_fault_of_the_server(at_work: ClassAtWork, query: str) -> None:
    client = client_of(at_work.world.student)
    with nothing_changes():
        assert client.get(f"/api/v1/courses/ml/runs?{query}").status_code in {200, 400, 404}


@pytest.mark.parametrize("where", ["checkpoints/a%00b", "outputs/a%00b", "metrics?key=%00", "log?offset=%00"])
def test_a_nul_in_an_address(at_work: ClassAtWork, where: str) -> None:
    client = client_of(at_work.world.student)
    with nothing_changes():
        answer = client.get(f"/api/v1/runs/{at_work.run.pk}/{where}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "nul")


def test_a_day_ends_by_the_sites_clock_whatever_that_does(
    at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two minutes over midnight there are new submissions; two minutes back, the old count holds again."""
    version = at_work.assignment.current
    version.raw["limits"] = {**version.raw["limits"], "submissions_per_day": 1}
    version.save()
    Submission.objects.all().update(created_at=timezone.now() - dt.timedelta(days=30))
    before_midnight = dt.datetime(2026, 11, 30, 23, 59, tzinfo=timezone.get_default_timezone())
    client, where = client_of(at_work.world.student), f"/api/v1/runs/{at_work.run.pk}/submissions"

    def submit(minutes: int) -> int:
        monkeypatch.setattr(timezone, "now", lambda: before_midnight + dt.timedelta(minutes=minutes))
        return int(client.post(where, {"checkpoint": "best"}).status_code)

    assert submit(0) == 201
    with nothing_changes():
        assert submit(0) == 409
    assert submit(2) == 201, "a new day"
    with nothing_changes():
        assert [submit(3), submit(-1), submit(0)] == [409, 409, 409]
    assert submit(2 + 24 * 60) == 201
