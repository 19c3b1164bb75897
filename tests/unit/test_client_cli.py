"""The seodang command against a fake server: what it sends, prints, and exits with."""

from __future__ import annotations

import io
import json
import math
import re
import stat
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).parents[2] / "client" / "src"))

from seodang import _api, _config, _follow, _pack, _plot, _text
from seodang.cli import cli

RUN: dict[str, Any] = {
    "id": "7f9c24e8-3b12-4fef-91e0-6a2d2b7a1c55", "session": "kim/digits/1", "state": "succeeded",
    "sentence": "Succeeded in 9 s", "position": None, "expected_start": None, "reason": "", "owner": "kim",
    "team": "kim", "assignment": "digits", "course": "ml", "memo": "first try", "entry": "python3 train.py",
    "args": "--lr 0.02", "created_at": "2026-11-23T20:00:00Z", "exit_code": 0, "checkpoints": ["best"],
    "submissions": [], "url": "/c/ml/runs/1", "summary": {"val/acc": 0.931}, "try": 1, "tries_max": 3,
}  # fmt: skip
SUBMISSION: dict[str, Any] = {
    "id": "s1", "run": RUN["id"], "session": RUN["session"], "checkpoint": "best", "trial": False,
    "state": "scored", "sentence": "Scored", "score": 0.9142, "scores": {"macro_f1": 0.9142}, "rank": 2, "log": "",
}  # fmt: skip


class FakeServer(httpx.BaseTransport):
    """Answers from lists: each entry is used once, the last again and again. An exception is raised."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.requests: list[httpx.Request] = []

    def on(self, line: str, *answers: Any) -> None:
        self.answers[line] = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        line = f"{request.method} {request.url.path.removeprefix('/api/v1/')}"
        known = self.answers.get(line)
        if not known:
            return httpx.Response(404, json={"error": {"code": "none", "message": f"no {line}", "next": "look"}})
        answer = known.pop(0) if len(known) > 1 else known[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, bytes):
            return httpx.Response(200, content=answer)
        return httpx.Response(200, json=answer)

    def sent(self, line: str) -> list[httpx.Request]:
        return [one for one in self.requests if f"{one.method} {one.url.path.removeprefix('/api/v1/')}" == line]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(_api, "default_transport", lambda: fake)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SEODANG_ADDRESS", "https://hub.test")
    monkeypatch.setenv("SEODANG_TOKEN", "secret-token")
    monkeypatch.setenv("SEODANG_COURSE", "ml")
    work = tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text("print('hello')\n")
    monkeypatch.chdir(work)
    fake.on("GET courses/ml/runs", [RUN])
    fake.on(f"GET runs/{RUN['id']}", RUN)
    fake.on(f"GET runs/{RUN['id']}/log", {"offset": 6, "total": 6, "text": "hello\n", "done": True, "gap": None})
    fake.on("POST courses/ml/assignments/digits/runs", httpx.Response(201, json={**RUN, "state": "queued"}))
    return fake


def seodang(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=text)


def fields_of(request: httpx.Request) -> dict[str, bytes]:
    """The parts of a multipart body, by name."""
    boundary = request.headers["content-type"].split("boundary=")[1].encode()
    parts = {}
    for piece in request.content.split(b"--" + boundary)[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        found = re.search(rb'name="(\w+)"', head)
        assert found
        parts[found[1].decode()] = body.removesuffix(b"\r\n")
    return parts


RUNS = "POST courses/ml/assignments/digits/runs"


def test_run_sends_the_folder_and_follows_the_log(server: FakeServer) -> None:
    Path("data").mkdir()
    for name in (".git/config", "data/big.csv", "secret.txt", "lib/a.py", "lib/a.log", "keep.log", "x.pyc"):
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).write_text("x")
    Path(".gitignore").write_text("*.log\nsecret.txt\n")
    Path(".nsmlignore").write_text("data/\n!keep.log\n")
    result = seodang("run", "-d", "digits", "-e", "main.py", "-a", "--lr 0.02", "-m", "note")
    assert result.exit_code == 0, result.output
    assert "5 files" in result.output and "kim/digits/1\n" in result.output and "hello\n" in result.output
    sent = fields_of(server.sent(RUNS)[0])
    names = zipfile.ZipFile(io.BytesIO(sent["code"])).namelist()
    assert names == [".gitignore", ".nsmlignore", "keep.log", "lib/a.py", "train.py"]
    assert (sent["entry"], sent["args"], sent["memo"]) == (b"python3 main.py", b"--lr 0.02", b"note")
    assert sent["submit"] == b"0" and sent["idempotency_key"]
    assert server.sent(RUNS)[0].headers["authorization"] == "Bearer secret-token"


def test_the_assignment_is_remembered(server: FakeServer) -> None:
    assert seodang("run", "-n", "-d", "digits").exit_code == 0
    assert seodang("run", "-n").exit_code == 0
    assert len(server.sent(RUNS)) == 2
    assert fields_of(server.sent(RUNS)[0])["code"] == fields_of(server.sent(RUNS)[1])["code"]
    assert json.loads(Path(".seodang").read_text()) == {"assignment": "digits", "course": "ml"}


def test_a_retried_upload_repeats_its_key_and_its_bytes(server: FakeServer) -> None:
    server.on(RUNS, httpx.ReadError("lost"), httpx.Response(503), httpx.Response(201, json=RUN))
    assert seodang("run", "-n", "-d", "digits").exit_code == 0
    sent = [fields_of(one) for one in server.sent(RUNS)]
    assert len(sent) == 3 and len({one["idempotency_key"] for one in sent}) == 1
    assert len({one["code"] for one in sent}) == 1


def test_the_next_call_after_a_lost_answer_repeats_the_key(server: FakeServer) -> None:
    server.on(RUNS, httpx.ReadError("lost"))
    assert seodang("run", "-n", "-d", "digits").exit_code == 3
    server.on(RUNS, httpx.Response(201, json=RUN))
    assert seodang("run", "-n", "-d", "digits").exit_code == 0
    assert seodang("run", "-n", "-d", "digits").exit_code == 0
    keys = [fields_of(one)["idempotency_key"] for one in server.sent(RUNS)]
    assert len(set(keys[:-1])) == 1 and keys[-1] != keys[0]


def test_run_submit_ends_with_score_and_rank(server: FakeServer) -> None:
    waiting = {**SUBMISSION, "state": "scoring", "sentence": "Scoring"}
    queued = {**RUN, "state": "queued", "position": 7, "reason": "all 64 lab slots are busy"}
    server.on(f"GET runs/{RUN['id']}", queued, {**RUN, "state": "running", "sentence": "Running"},
              {**RUN, "submissions": [waiting]})  # fmt: skip
    server.on("GET submissions/s1", waiting, SUBMISSION)
    result = seodang("run", "-d", "digits", "--submit")
    assert result.exit_code == 0, result.output
    assert "Queued 7th: all 64 lab slots are busy" in result.output
    assert "macro_f1 0.9142  rank 2" in result.output
    assert fields_of(server.sent(RUNS)[0])["submit"] == b"1"


def test_a_follow_says_each_thing_once(server: FakeServer) -> None:
    checking = {**RUN, "state": "preflight", "sentence": ""}
    queued = {**RUN, "state": "queued", "sentence": "", "position": None}
    server.on(RUNS, httpx.Response(201, json=checking))
    server.on(f"GET runs/{RUN['id']}", checking, queued, {**queued, "position": 1, "reason": "busy"}, RUN)
    said = seodang("run", "-d", "digits").output.splitlines()
    assert said == ["1 file, 15 B ✓", "kim/digits/1", "Checking it: files, syntax, imports", "preflight 0 s ✓",
                    "Queued 1st: busy", "Succeeded in 9 s", "hello"]  # fmt: skip


def test_a_failed_preflight_tells_its_reason_once(server: FakeServer) -> None:
    line = "train.py:1 No module named 'timm' in this environment."
    checking = {**RUN, "state": "preflight", "sentence": ""}
    failed = {**RUN, "state": "failed", "sentence": f"Preflight failed (your code): {line}"}
    server.on(f"GET runs/{RUN['id']}", checking, failed)
    server.on(f"GET runs/{RUN['id']}/log", {"offset": 60, "total": 60, "text": line + "\n", "done": True, "gap": None})
    result = seodang("run", "-d", "digits")
    assert (
        result.exit_code == 1 and result.output.count("timm") == 1 and "✓\n" not in result.output.split("Checking")[1]
    )


def test_the_metric_that_ranks_is_said_first() -> None:
    scored = {**SUBMISSION, "scores": {"accuracy": 0.95, "macro_f1": 0.9142}}
    assert _text.score_line(scored) == "Score: macro_f1 0.9142, accuracy 0.95  rank 2"


def test_following_reconnects(server: FakeServer) -> None:
    server.on(f"GET runs/{RUN['id']}/log", httpx.ReadTimeout("slow"),
              {"offset": 3, "total": 6, "text": "hel", "done": False, "gap": None},
              {"offset": 6, "total": 6, "text": "lo\n", "done": True, "gap": None})  # fmt: skip
    result = seodang("logs", "-f", "kim/digits/1")
    assert result.exit_code == 0 and "reconnecting" in result.output and "hello\n" in result.output
    assert [one.url.params["offset"] for one in server.sent(f"GET runs/{RUN['id']}/log")] == ["0", "0", "3"]


def test_ctrl_c_detaches(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_follow.Follower, "run", interrupt)
    result = seodang("run", "-d", "digits")
    assert result.exit_code == 0 and "seodang logs -f kim/digits/1" in result.output


def test_leaving_a_push_that_submits_says_where_its_score_will_be(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    Path("train.py").write_text("")
    monkeypatch.setattr(_follow.Follower, "run", interrupt)
    for words in ("Come back: seodang logs -f", "Its score: seodang ps -s", "Stop it: seodang stop"):
        assert f"{words} kim/digits/1" in seodang("run", "-d", "digits", "--submit").output


def test_leaving_a_submission_says_where_its_score_will_be(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    prepare_every_verb(server)
    monkeypatch.setattr(_follow.Follower, "submission", interrupt)
    assert "Its score: seodang ps -s kim/digits/1\n" in seodang("submit", "kim/digits/1").output


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (RUN, 0),
        ({**RUN, "state": "failed", "sentence": "Failed (your code)"}, 1),
        (httpx.Response(403, json={"error": {"code": "no", "message": "Not yours", "next": "Ask kim"}}), 1),
        (httpx.ConnectError("no route"), 3),
        (httpx.Response(500, text="<h1>oops</h1>"), 3),
    ],
)
def test_exit_codes(server: FakeServer, answer: Any, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_follow, "RECONNECT_SECONDS_MAX", 0.0)
    server.on(f"GET runs/{RUN['id']}", answer)
    assert seodang("logs", "-f", "kim/digits/1").exit_code == code


def test_usage_errors_exit_2(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seodang("ps", "--nonsense").exit_code == 2
    server.on("GET courses/ml/assignments", [{"slug": "a"}, {"slug": "b"}])
    result = seodang("run")
    assert result.exit_code == 2 and "a, b" in result.output
    monkeypatch.delenv("SEODANG_TOKEN")
    result = seodang("ps")
    assert result.exit_code == 2 and "Next: seodang login" in result.output


def test_errors_print_the_next_step_and_details(server: FakeServer) -> None:
    Path("assignment.yaml").write_text("version: 1\n")
    details = [{"file": "assignment.yaml", "line": 1, "key": "slug", "message": "is missing"}]
    error = {"code": "invalid", "message": "It cannot be used", "next": "Mend it", "details": details}
    server.on("PUT courses/ml/assignments", httpx.Response(400, json={"error": error}))
    result = seodang("assignment", "push", ".")
    assert result.exit_code == 1
    assert "assignment.yaml:1 slug is missing" in result.output and "Next: Mend it" in result.output
    assert json.loads(seodang("assignment", "push", "-j", ".").stdout) == {"error": error}


def test_an_assignment_takes_files_that_git_ignores(server: FakeServer) -> None:
    Path("assignment.yaml").write_text("version: 1\n")
    Path(".gitignore").write_text("data\n")
    Path("data").mkdir()
    Path("data/train.csv").write_text("1")
    server.on("PUT courses/ml/assignments", {"slug": "digits", "version": 3})
    result = seodang("assignment", "push", ".")
    assert result.exit_code == 0 and "ml/digits version 3" in result.output
    bundle = fields_of(server.sent("PUT courses/ml/assignments")[0])["bundle"]
    assert "data/train.csv" in zipfile.ZipFile(io.BytesIO(bundle)).namelist()


def test_an_assignment_is_checked_and_not_published(server: FakeServer) -> None:
    Path("assignment.yaml").write_text("version: 1\n")
    server.on("PUT courses/ml/assignments", {"slug": "digits", "version": None})
    result = seodang("assignment", "check", ".")
    assert result.exit_code == 0 and "digits can be published ✓" in result.output
    assert fields_of(server.sent("PUT courses/ml/assignments")[0])["check"] == b"1"


def test_a_start_lays_out_the_baseline_beside_its_data(server: FakeServer) -> None:
    for part, name in (("start", "baseline/train.py"), ("data", "train.csv")):
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        server.on(f"GET courses/ml/assignments/digits/{part}", sink.getvalue())
    result = seodang("start", "digits", "begun")
    assert result.exit_code == 0 and "Next: cd begun/baseline; seodang run -d digits --submit" in result.output
    assert Path("begun/baseline/train.py").is_file() and Path("begun/data/train/train.csv").is_file()
    assert seodang("start", "digits", "begun").exit_code != 0, "what is there stays as it is"


def a_zip(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_py", ".py"), text)
    return target.getvalue()


def prepare_every_verb(server: FakeServer) -> None:
    run = f"runs/{RUN['id']}"
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo("best/model.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"w1"))
    me = {"username": "kim", "name": "Kim", "courses": [{"slug": "ml", "title": "ML", "role": "student"}]}
    metric = {"name": "macro_f1", "goal": "max", "precision": 4}
    row = {"rank": 1, "tied": False, "team": "maple", "score": 0.91, "scores": {}, "count": 2,
           "scored_at": "2026-11-23T20:00:00Z", "live": [{"run": "9", "key": "val/acc", "value": 0.93}]}  # fmt: skip
    server.on("GET me", me)
    server.on(
        "GET courses/ml/queue",
        [{"run": RUN["id"], "session": RUN["session"], "position": 1, "expected_start": None, "reason": "busy"}],
    )
    server.on("GET courses/ml/assignments/digits/board", {"seq": 1, "rows": [row], "metric": metric})
    for path in ("stop", "memo", "fork", "resume"):
        server.on(f"POST {run}/{path}", RUN)
    server.on(f"GET {run}/code", a_zip(train_py="a\n"))
    server.on(f"GET {run}/outputs", [{"path": "plots/a.txt", "size": 1}, {"path": "b.txt", "size": 1}])
    server.on(f"GET {run}/outputs/plots/a.txt", b"A")
    server.on(f"GET {run}/outputs/b.txt", b"B")
    server.on(f"GET {run}/checkpoints", [{"name": "best", "size": 2, "created_at": "2026-11-23T20:00:00Z"}])
    server.on(f"GET {run}/checkpoints/best", tar.getvalue())
    server.on(f"DELETE {run}/checkpoints/best", httpx.Response(204))
    server.on(f"DELETE {run}", httpx.Response(204))
    server.on(f"GET {run}/metrics", {"loss": [[0, 1.5, 0], [1, 0.5, 0], [2, 0.25, 0]]})
    server.on(f"GET {run}/events", {"count": 3, "keys": {"loss": 3}})
    device = {"node": "srv1", "index": 0, "name": "H100", "kind": "gpu", "memory_bytes": 1, "slots": 1, "busy": 1,
              "drained": False, "runs": [RUN["session"]]}  # fmt: skip
    server.on("GET courses/ml/devices", [device])
    used = {"assignment": "digits", "team": "kim", "minutes": 1.5, "gpu_minutes": 0.0, "running": 0,
            "running_at_once": 2, "submissions_today": 1, "submissions_per_day": 20}  # fmt: skip
    server.on("GET courses/ml/credit", [used])
    data = {"name": "digits", "title": "Digits", "version": 1, "license": "CC0-1.0", "source": "made", "train_bytes": 9}
    server.on("GET courses/ml/datasets", [data])
    server.on("GET courses/ml/assignments/digits/data", tar.getvalue())
    server.on(f"POST {run}/submissions", httpx.Response(201, json=SUBMISSION))


VERBS = [
    "ps -a", "ps -s S", "logs S", "logs -f S", "stop S", "fork S", "memo S hello", "command S", "diff S S", "pull S code",
    "download S files", "model ls S", "model pull S best weights", "model rm S best", "submit S best",
    "submit -t S", "board digits", "rm S", "rm -f kim/*", "resume S", "fork -c best S", "plot S", "eventlen S", "gpustat",
    "credit", "dataset ls", "dataset search dig", "dataset pull digits train", "dataset board digits", "open S", "whoami", "queue", "courses", "run -d digits", "run -n -d digits",
]  # fmt: skip


@pytest.mark.parametrize("line", VERBS)
def test_every_verb_speaks_json_and_words(server: FakeServer, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    prepare_every_verb(server)
    words = [RUN["session"] if word == "S" else word for word in line.split()]
    answered = seodang(*words, "-j")
    assert answered.exit_code == 0, answered.output
    assert json.loads(answered.stdout) is not None
    if words[0] == "pull" or words[:2] == ["dataset", "pull"]:
        assert seodang(*words).exit_code == 2  # the folder is no longer empty
        return
    spoken = seodang(*words)
    assert spoken.exit_code == 0, spoken.output
    assert "secret-token" not in answered.output + spoken.output


def test_files_arrive(server: FakeServer) -> None:
    prepare_every_verb(server)
    seodang("download", "-s", "/app/plots", "kim/digits/1", "files")
    seodang("model", "pull", "kim/digits/1", "best", "weights")
    seodang("pull", "kim/digits/1", "code")
    assert [path.name for path in Path("files").rglob("*.txt")] == ["a.txt"]
    assert Path("weights/best/model.txt").read_text() == "w1"
    assert Path("code/train.py").read_text() == "a\n"


def test_archives_cannot_leave_their_folder(server: FakeServer) -> None:
    prepare_every_verb(server)
    server.on(f"GET runs/{RUN['id']}/code", a_zip(**{"..__evil_py": "x"}))
    assert seodang("pull", "kim/digits/1", "code").exit_code == 1
    assert not Path("evil.py").exists()
    server.on(f"GET runs/{RUN['id']}/outputs", [{"path": "../evil.txt", "size": 1}])
    assert seodang("download", "kim/digits/1", "files").exit_code == 1


def test_diff_is_unified() -> None:
    old, new = io.BytesIO(a_zip(a_py="1\n2\n", same="s")), io.BytesIO(a_zip(a_py="1\n3\n", same="s", b="new"))
    text = _pack.diff(old, new, "kim/digits/1", "kim/digits/2")
    assert "--- kim/digits/1/a.py\n+++ kim/digits/2/a.py\n" in text and "-2\n+3\n" in text
    assert "same" not in text and "+new\n" in text


def test_login_saves_the_token_for_its_owner_only(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "TOKEN", "COURSE"):
        monkeypatch.delenv(f"SEODANG_{name}")
    server.on("POST login", {"token": "t1"})
    server.on("GET me", {"username": "kim", "name": "Kim", "courses": [{"slug": "ml", "title": "", "role": ""}]})
    result = seodang("login", "hub.test", "--username", "kim", text="pw\n")
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(_config.config_path().stat().st_mode) == 0o600
    assert json.loads(server.sent("POST login")[0].content)["password"] == "pw"
    assert _config.settings() == _config.Settings("https://hub.test", "t1", "")
    assert "t1" not in result.output
    assert seodang("ps").exit_code == 0  # the only course is taken


def test_login_asks_for_the_second_factor(server: FakeServer) -> None:
    wants = {"error": {"code": "second_factor", "message": "Also the code.", "next": "seodang login"}}
    server.on("POST login", httpx.Response(401, json=wants), {"token": "t1"})
    server.on("GET me", {"username": "kim", "name": "Kim", "courses": []})
    result = seodang("login", "hub.test", "--username", "kim", text="pw\n123456\n")
    assert result.exit_code == 0, result.output
    assert [json.loads(one.content)["code"] for one in server.sent("POST login")] == ["", "123456"]


def test_posts_that_make_something_are_not_sent_twice(server: FakeServer) -> None:
    prepare_every_verb(server)
    line = f"POST runs/{RUN['id']}/submissions"
    server.on(line, httpx.ReadError("lost"))
    assert seodang("submit", "kim/digits/1").exit_code == 3
    assert len(server.sent(line)) == 1


def test_a_log_cannot_drive_the_terminal() -> None:
    assert _text.safe("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\ttab\n") == "\x1b[31mred\x1b[0m ]0;title [2J\ttab\n"


def test_a_folder_packs_to_the_same_bytes(tmp_path: Path) -> None:
    zips = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "b.py").write_text("b")
        (folder / "a.py").write_text("a")
        (folder / "out.txt").symlink_to("/etc/hostname")
        target = io.BytesIO()
        packed = _pack.pack(folder, target)
        zips.append(target.getvalue())
        assert packed.names == ("a.py", "b.py") and packed.skipped == ("out.txt",)
    assert zips[0] == zips[1]


def test_nested_ignore_files_speak_of_their_own_folder(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / ".gitignore").write_text("/x.txt\n")
    for name in ("x.txt", "sub/x.txt", "sub/deep/x.txt"):
        (tmp_path / name).write_text("x")
    assert [name for name, _ in _pack.walk(tmp_path) if name.endswith(".txt")] == ["x.txt", "sub/deep/x.txt"]


def test_a_push_asks_for_less(server: FakeServer) -> None:
    line = "run -n -d digits -g 0 -c 0.5 --memory 512M --shm-size 128M -m note -i"
    assert seodang(*line.split()).exit_code == 2, "-i stays and -n leaves"
    assert seodang(*line.removesuffix(" -i").split()).exit_code == 0
    sent = fields_of(server.sent(RUNS)[0])
    assert (sent["gpus"], sent["cpus"], sent["memory"], sent["shm_size"]) == (b"0", b"0.5", b"512M", b"128M")
    assert seodang("run", "-n", "-d", "digits").exit_code == 0
    assert "gpus" not in fields_of(server.sent(RUNS)[1])


def test_a_notebook_may_be_named_as_the_entry(server: FakeServer) -> None:
    assert seodang("run", "-n", "-d", "digits", "my notes.ipynb").exit_code == 0
    assert fields_of(server.sent(RUNS)[0])["entry"] == b"'my notes.ipynb'"


def test_a_zip_is_sent_as_it_is(server: FakeServer) -> None:
    with zipfile.ZipFile("code.zip", "w") as archive:
        archive.writestr("main.py", "print(1)")
    result = seodang("run", "-n", "-d", "digits", "code.zip", "-e", "main.py")
    assert result.exit_code == 0 and "1 file, 8 B" in result.output
    sent = fields_of(server.sent(RUNS)[0])
    assert sent["code"] == Path("code.zip").read_bytes() and sent["entry"] == b"python3 main.py"


@pytest.mark.parametrize(
    ("name", "words"), [("no.zip", "is not there, or is no zip"), ("text.zip", "no zip"), ("big.zip", "at most 1 MiB")]
)
def test_what_is_no_zip_to_send(server: FakeServer, monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    Path("text.zip").write_text("x")
    with zipfile.ZipFile("big.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2 << 20))
    monkeypatch.setattr(_pack.take, "__defaults__", (1 << 20,))
    result = seodang("run", "-d", "digits", name)
    assert result.exit_code == 1 and words in result.output and "Next: " in result.output
    assert not server.sent(RUNS)


@pytest.mark.parametrize(
    ("line", "answer", "words"),
    [
        ("queue", [], "Nothing waits."),
        ("ps", [], "No runs yet. Start one: seodang run"),
        ("board digits", {"metric": {"name": "acc"}, "rows": []}, "Be the first: seodang run -d digits --submit"),
        ("model ls S", [], "or by nsml.save"),
        ("download S x", [], "its checkpoints: seodang model ls kim/digits/1"),
    ],
)
def test_what_is_empty_says_so(server: FakeServer, line: str, answer: Any, words: str) -> None:
    where = {
        "queue": "courses/ml/queue", "ps": "courses/ml/runs", "board": "courses/ml/assignments/digits/board",
        "model": f"runs/{RUN['id']}/checkpoints", "download": f"runs/{RUN['id']}/outputs",
    }[line.split()[0]]  # fmt: skip
    server.on(f"GET {where}", answer)
    assert words in seodang(*[RUN["session"] if word == "S" else word for word in line.split()]).output


def test_the_same_code_differs_in_nothing(server: FakeServer) -> None:
    prepare_every_verb(server)
    assert "The code is the same." in seodang("diff", RUN["session"], RUN["session"]).output


def test_stopping_what_ended_says_so(server: FakeServer) -> None:
    server.on(f"POST runs/{RUN['id']}/stop", RUN)
    assert "It had ended before: Succeeded in 9 s" in seodang("stop", RUN["session"]).output
    server.on("GET courses/ml/runs", [{**RUN, "state": "running"}])
    server.on(f"POST runs/{RUN['id']}/stop", {**RUN, "state": "running", "sentence": "Running"})
    assert "Stopping; what it saved is kept." in seodang("stop", RUN["session"]).output


def test_command_gives_the_push_again(server: FakeServer) -> None:
    asked = {"gpus": 0, "cpus": 0.5, "memory_bytes": 512 << 20, "shm_bytes": 128 << 20}
    server.on("GET courses/ml/runs", [{**RUN, "resources": asked}])
    said = seodang("command", RUN["session"]).stdout
    assert "-g 0 -c 0.5 --memory 524288K --shm-size 131072K" in said


def test_rm_takes_globs_and_says_when_none_fits(server: FakeServer) -> None:
    prepare_every_verb(server)
    other = {**RUN, "id": "9f9c24e8-3b12-4fef-91e0-6a2d2b7a1c55", "session": "kim/other/1"}
    server.on("GET courses/ml/runs", [RUN, other])
    assert json.loads(seodang("rm", "-j", "kim/digits/*", "kim/digits/1").stdout) == {"removed": [RUN["session"]]}
    assert len(server.sent(f"DELETE runs/{RUN['id']}")) == 1
    refused = seodang("rm", "oak/*")
    assert refused.exit_code == 1 and "No run of yours matches oak/*" in refused.output


def test_a_pulled_data_set_tells_its_licence(server: FakeServer) -> None:
    prepare_every_verb(server)
    result = seodang("dataset", "pull", "digits", "train")
    assert "Licence: CC0-1.0" in result.output
    assert Path("train/best/model.txt").read_text() == "w1"  # with LICENSE.txt, which the server puts in
    assert seodang("dataset", "pull", "other", "x").exit_code == 1


@pytest.mark.parametrize("line", ["infer S best", "exec S loss", "sh S ls"])
def test_verbs_that_are_not_there_yet_say_what_to_do(server: FakeServer, line: str) -> None:
    words = [RUN["session"] if word == "S" else word for word in line.split()]
    result = seodang(*words)
    assert result.exit_code == 1 and "not there yet" in result.output and "Next: " in result.output
    assert json.loads(seodang(*words, "-j").stdout)["error"]["code"] == "not_yet"


def test_a_chart_shows_what_is_finite() -> None:
    lines = _plot.chart("loss", [(0, 1.0), (1, math.nan), (2, 0.5), (3, -1e308), (4, 1e308)], width=10, height=4)
    assert lines[0] == "loss  1e+308 at step 4, 5 points" and len(lines) == 5
    assert lines[1].startswith(" 1e+308 │") and lines[4].startswith("-1e+308 │")
    assert sum(bin(ord(letter) - 0x2800).count("1") for line in lines[1:] for letter in line.split("│")[1]) == 4
    assert _plot.chart("flat", [(0, 2.0)])[0] == "flat  2 at step 0, 1 points"
    assert _plot.chart("none", [(0, math.inf)]) == ["none  no finite points"]
