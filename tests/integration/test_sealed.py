"""A bad student's code in the real sandbox: what it tries, and what it gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from courses.assignments.models import Assignment
from courses.errors import NotFound, Refused
from courses.sentences import read
from courses.submissions import admission, queries, services
from courses.submissions.models import Checkpoint, Run, ScoreEvent, Submission
from runner import blobs
from runner.models import Attempt, Job, Lease
from runner.worker import Worker
from tests.stack import drive, make_worker, push, turn
from tests.world import World, push_example

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
TRAIN = "import os\nos.makedirs('/out/checkpoints', exist_ok=True)\nopen('/out/checkpoints/best', 'w').write('w')\n"
PREDICT_ARGS = (
    "import argparse, csv, os\np = argparse.ArgumentParser()\n"
    "p.add_argument('--data'); p.add_argument('--checkpoint'); p.add_argument('--out')\na = p.parse_args()\n"
)


@pytest.fixture
def digits(world: World, tmp_path: Path) -> Assignment:
    return push_example(world, "digits", tmp_path)


@pytest.fixture
def worker(world: World) -> Worker:
    return make_worker()


def submitted(world: World, digits: Assignment, worker: Worker, tmp_path: Path, predict: str) -> Submission:
    made = push(world, digits, {"train.py": TRAIN, "predict.py": predict}, tmp_path)
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded", (run.sentence, queries.log(run, 0).text)
    return Submission.objects.get(run=run)


def test_what_a_run_can_do(world: World, digits: Assignment, worker: Worker, tmp_path: Path) -> None:
    """The sandbox from the inside, told through the run's own log."""
    probe = """
import json, os, socket, subprocess
found = {}
def attempt(name, action):
    try:
        action(); found[name] = "done"
    except BaseException as error:
        found[name] = type(error).__name__
attempt("write_root", lambda: open("/etc/x", "w"))
attempt("write_code", lambda: open("/code/x", "w"))
attempt("write_data", lambda: open("/data/x", "w"))
attempt("write_inside", lambda: open("/seodang/inside/x", "w"))
attempt("connect", lambda: socket.create_connection(("10.0.0.1", 80), 1))
attempt("resolve", lambda: socket.getaddrinfo("example.org", 80))
attempt("setuid", lambda: os.setuid(0))
attempt("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "/mnt"], check=True, capture_output=True))
attempt("docker", lambda: os.stat("/var/run/docker.sock"))
attempt("kill_launcher", lambda: os.kill(1, 9))
found["uid"] = os.getuid()
found["labels"] = [p for p in ("/labels", "/data/labels.csv", "/scorer") if os.path.exists(p)]
found["interfaces"] = sorted(os.listdir("/sys/class/net"))
found["launch_hidden"] = "SEODANG_LAUNCH" not in os.environ
found["home"] = os.access(os.environ["HOME"], os.W_OK)
found["caps"] = [l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "CapPrm", "CapBnd"))]
found["no_new_privs"] = [l.split()[1] for l in open("/proc/self/status") if l.startswith("NoNewPrivs")]
print("PROBE " + json.dumps(found))
"""
    made = push(world, digits, {"train.py": probe, "predict.py": ""}, tmp_path, submit=False)
    drive(worker)
    text = queries.log(Run.objects.get(pk=made.pk), 0).text
    found = json.loads(text.split("PROBE ")[1].splitlines()[0])
    assert found["uid"] == 10001
    for name in ("write_root", "write_code", "write_data", "write_inside"):
        assert found[name] == "OSError" or found[name] == "PermissionError", (name, found)
    assert found["connect"] == "OSError"
    assert found["resolve"] == "gaierror"
    assert found["setuid"] == "PermissionError"
    assert found["mount"] in {"CalledProcessError", "FileNotFoundError", "PermissionError"}
    assert found["docker"] == "FileNotFoundError"
    assert found["labels"] == []
    assert [name for name in found["interfaces"] if name != "lo"] in ([], ["tunl0"], ["sit0"])
    assert found["launch_hidden"] and found["home"]
    assert set(found["caps"]) == {"0000000000000000"}
    assert found["no_new_privs"] == ["1"]


def test_predict_sees_inputs_and_no_label(world: World, digits: Assignment, worker: Worker, tmp_path: Path) -> None:
    """It looks everywhere and puts what it found into the error text, which only staff may read."""
    predict = (
        "import os\nfound = []\n"
        "for folder, _, names in os.walk('/'):\n"
        "    if folder.startswith(('/proc', '/sys', '/usr', '/lib')): continue\n"
        "    found += [os.path.join(folder, n) for n in names if 'label' in n.lower()]\n"
        "raise KeyError('FOUND', found, os.listdir('/data'))\n"
    )
    submission = submitted(world, digits, worker, tmp_path, predict)
    assert submission.state == "failed"
    assert "predict.py:6 KeyError" in read(submission.sentence)
    assert "FOUND" not in read(submission.sentence), "the message may hold test data"
    assert "('FOUND', []" in submission.staff_detail, submission.staff_detail
    assert submission.counts, "their code's fault counts"
    view = queries.submission_view(submission)
    assert "FOUND" not in json.dumps(view, default=str)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.symlink('/labels/labels.csv', a.out)", "is a link"),
        ("os.mkfifo(a.out)", "not a regular file"),
        ("os.makedirs(a.out)", "not a regular file"),
        ("open(a.out, 'w').truncate(60 << 20)", "not CSV"),
        ("pass", "was not written"),
        ("os.truncate(os.open(a.out, os.O_CREAT | os.O_WRONLY), 50 << 30)", "Predict failed (your code)"),
        ("open(a.out, 'w').write('id,label\\n1,2\\n')", "1 rows; 360 are needed"),
    ],
)
def test_hostile_predictions(
    world: World, digits: Assignment, worker: Worker, tmp_path: Path, body: str, words: str
) -> None:
    submission = submitted(world, digits, worker, tmp_path, PREDICT_ARGS + body + "\n")
    assert submission.state == "failed"
    assert words in read(submission.sentence)
    assert submission.score_job is None
    assert not ScoreEvent.objects.exists()


def test_outputs_as_links_to_the_host(world: World, digits: Assignment, worker: Worker, tmp_path: Path) -> None:
    train = (
        "import os\nos.makedirs('/out/checkpoints/best')\n"
        "os.symlink('/etc/shadow', '/out/checkpoints/best/w')\nos.symlink('/etc', '/out/checkpoints/door')\n"
        "os.symlink('/etc/shadow', '/out/stolen')\nopen('/out/mine', 'w').write('ok')\n"
        "for name in ('log.json', 'log.tail', 'status.json.new'):\n"
        "    try: os.unlink('/seodang/io/' + name)\n    except OSError: pass\n"
        "    os.symlink('/etc/shadow', '/seodang/io/' + name)\n"
    )
    made = push(world, digits, {"train.py": train, "predict.py": ""}, tmp_path, submit=False)
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    assert [one["path"] for one in run.outputs] == ["mine"]
    assert not Checkpoint.objects.filter(run=run).exists()
    assert "root:" not in queries.log(run, 0).text


@pytest.mark.parametrize(
    ("train", "state"),
    [
        ("import sys; sys.exit(3)", "failed"),
        ("x = bytearray(3 << 30)", "out_of_memory"),
        ("f = open('/out/big', 'wb')\nwhile True: f.write(b'x' * (1 << 20)); f.flush()", "output_limit"),
        ("import os\nwhile True: os.fork()", "failed"),
    ],
)
def test_endings(world: World, digits: Assignment, worker: Worker, tmp_path: Path, train: str, state: str) -> None:
    made = push(world, digits, {"train.py": train, "predict.py": ""}, tmp_path, submit=False)
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    assert run.state == state, (run.sentence, queries.log(run, 0).text[-500:])
    assert not Lease.objects.filter(released_at=None).exists()


def test_a_log_keeps_head_and_tail(world: World, digits: Assignment, worker: Worker, tmp_path: Path) -> None:
    made = push(world, digits, {"train.py": "for n in range(600_000): print('line', n)", "predict.py": ""}, tmp_path)
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    first = queries.log(run, 0)
    rest = queries.log(run, first.offset)
    assert first.text.startswith("line 0\n")
    assert rest.gap is not None
    assert rest.text.endswith("line 599999\n")
    assert rest.done and rest.offset == rest.total
    whole = sum(len(f"line {n}\n") for n in range(600_000))
    assert rest.total == whole


def test_a_running_run_is_stopped(world: World, digits: Assignment, worker: Worker, tmp_path: Path) -> None:
    code = {"train.py": "import time\nprint('up')\ntime.sleep(600)", "predict.py": ""}
    made = push(world, digits, code, tmp_path)
    while not queries.log(Run.objects.get(pk=made.pk), 0).text.startswith("up"):
        turn(worker)
    services.stop_run(world.teammate, Run.objects.get(pk=made.pk))
    services.stop_run(world.teammate, Run.objects.get(pk=made.pk))
    drive(worker)
    assert Run.objects.get(pk=made.pk).state == "stopped"


def test_a_lost_container_is_tried_again_and_costs_nothing(
    world: World, digits: Assignment, worker: Worker, tmp_path: Path
) -> None:
    code = {"train.py": "import os, time\nprint('up')\ntime.sleep(600 if os.environ['SEODANG_TRY'] == '1' else 0)"}
    made = push(world, digits, {**code, "predict.py": ""}, tmp_path, submit=False)
    while not queries.log(Run.objects.get(pk=made.pk), 0).text.startswith("up"):
        turn(worker)
    attempt = Attempt.objects.exclude(state="ended").get()
    worker.engine.remove(str(attempt.id))
    turn(worker)
    run = Run.objects.get(pk=made.pk)
    assert read(run.sentence).startswith("Worker lost, retrying (2 of 3)")
    drive(worker)
    run = Run.objects.get(pk=made.pk)
    assert run.state == "succeeded"
    assert [one.outcome for one in Attempt.objects.filter(job=run.job).order_by("number")] == ["lost", "succeeded"]


def test_a_broken_scorer_costs_no_attempt(world: World, digits: Assignment, worker: Worker, tmp_path: Path) -> None:
    import io
    import tarfile

    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        content = b"raise SystemExit('the labels moved: 7,7,7')"
        info = tarfile.TarInfo("score.py")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    version = digits.current
    version.scorer_sha256 = blobs.put_bytes(sink.getvalue())
    version.save()
    good = "csv.writer(open(a.out, 'w')).writerows([['id', 'label']] + [[n, 0] for n in range(360)])\n"
    submission = submitted(world, digits, worker, tmp_path, PREDICT_ARGS + good)
    assert submission.state == "failed"
    assert "instructor's fault" in read(submission.sentence)
    assert "7,7,7" not in read(submission.sentence)
    assert "7,7,7" in submission.staff_detail
    assert admission.submissions_today(world.team, digits) == 0


def test_the_days_limit_refuses_and_the_limit_at_once_waits(
    world: World, digits: Assignment, worker: Worker, tmp_path: Path
) -> None:
    version = digits.current
    version.raw["limits"]["submissions_per_day"] = 1
    version.save()
    submission = submitted(world, digits, worker, tmp_path, "raise KeyError")
    with pytest.raises(Refused, match="1 of 1 submissions today"):
        services.submit(world.teammate, submission.run, "best")
    with pytest.raises(NotFound):
        queries.run(world.outsider, submission.run_id)
    slow = {"train.py": "import time; time.sleep(600)", "predict.py": ""}
    runs = [push(world, digits, slow, tmp_path, submit=False) for _ in range(3)]
    limit = digits.current.config.running_at_once
    while Job.objects.filter(kind="run", state="running").count() < limit:
        turn(worker)
    turn(worker)
    waiting = [queries.run_view(Run.objects.get(pk=one.pk)) for one in runs]
    last = next(view for view in waiting if view["state"] == "queued")
    assert last["position"] == 1
    assert last["reason"] == f"Your team runs {limit} of {limit} at once."
    assert last["expected_start"] is not None
    for one in runs:
        services.stop_run(world.student, Run.objects.get(pk=one.pk))
    drive(worker)
