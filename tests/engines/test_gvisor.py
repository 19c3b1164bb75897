"""Student code under gVisor, where the assignment asks for it: on a real daemon that has the runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from courses.assignments.models import Assignment
from courses.errors import Refused
from courses.submissions import queries
from courses.submissions.models import Run
from hub.tracking.queries import metrics
from runner import images
from runner.engines.docker import DockerEngine
from runner.models import Attempt
from runner.worker import Worker
from tests.stack import drive, make_worker, push, running_gateway
from tests.world import World, push_example

from .daemon import Daemon, running_daemon

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
TRAIN = """
import json, os, socket, urllib.request

print("KERNEL", open("/proc/version").read().split()[2], "UID", os.getuid())
body = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "acc", "value": 0.5, "timestamp": 1, "step": 1}
call = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
headers = {"Content-Type": "application/json"}
urllib.request.urlopen(urllib.request.Request(call, json.dumps(body).encode(), headers)).read()
try:
    socket.create_connection(("192.0.2.1", 80), 2)
except OSError as error:
    print("NO NETWORK", error.errno)
os.makedirs("/out/checkpoints")
open("/out/checkpoints/best", "w").write("weights")
"""


@pytest.fixture
def asking(world: World, tmp_path: Path) -> Assignment:
    """An assignment that asks for gVisor."""
    made = push_example(world, "digits", tmp_path)
    version = made.current
    version.raw["resources"] = {**version.raw["resources"], "isolation": "gvisor"}
    version.save()
    return made


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with running_daemon(gvisor=True) as made:
        made.load(images.tag("base"))
        yield made


def test_a_run_under_gvisor_logs_and_has_no_network(
    daemon: Daemon, asking: Assignment, world: World, settings: Any, tmp_path: Path
) -> None:
    settings.DOCKER_HOST = daemon.address
    worker = Worker(DockerEngine(daemon.address))
    worker.register()
    with running_gateway():
        made = push(world, asking, {"train.py": TRAIN}, tmp_path, submit=False)
        drive(worker)
    run = Run.objects.get(pk=made.pk)
    log = queries.log(run, 0).text
    assert run.state == "succeeded", (run.sentence, log)
    assert "KERNEL 4.4.0 UID 10001" in log, "gVisor's own kernel answers, and not the machine's"
    assert "NO NETWORK" in log
    assert [point[1] for point in metrics(run.id.hex)["acc"]] == [0.5]
    assert [one.name for one in run.checkpoints.all()] == ["best"]
    assert Attempt.objects.filter(job__spec__runtime="runsc").count() == 2, "the check and the run"


def test_where_no_node_has_it_the_push_is_refused_at_once(asking: Assignment, world: World, tmp_path: Path) -> None:
    make_worker()
    with pytest.raises(Refused, match="asks for gVisor; no node has it"):
        push(world, asking, {"train.py": TRAIN}, tmp_path, submit=False)
    assert not Run.objects.exists()
