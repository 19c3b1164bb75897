"""Long polls on a real server: an answer at once where there is news, else with the event; and who may not see it."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection, transaction

from courses.roster.services import create_token
from courses.submissions.models import Checkpoint, Run, Submission
from hub.api import waiting
from runner import notify
from runner.models import Attempt, Job, Node
from seodang._api import Api
from seodang._follow import Follower
from tests.site import running_site
from tests.stack import push
from tests.world import World, push_example

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS_MAX = 0.5  # generous on a busy machine, and below the second that polling took
CODE = {"train.py": "print('hi')\n", "predict.py": ""}


@pytest.fixture
def run(world: World, tmp_path: Path) -> Run:
    return push(world, push_example(world, "digits", tmp_path), CODE, tmp_path)


@pytest.fixture
def site(world: World) -> Iterator[str]:
    with running_site() as address:
        yield address


def client(site: str, person: Any) -> httpx.Client:
    return httpx.Client(
        base_url=f"{site}/api/v1/", headers={"Authorization": f"Bearer {create_token(person, 't')}"}, timeout=40
    )


def change(run: Run, state: str) -> None:
    """As a handler does it: the row and the word of it in one transaction."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state=state)
        notify.send(f"run.{run.pk}", {"type": "run.changed"})


class Later:
    """A call in a thread; ``held`` says that it was not answered yet."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.answer: Any = None
        self.at = 0.0
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        self.answer = call()
        self.at = time.monotonic()
        connection.close()

    def held(self, seconds: float = 0.4) -> bool:
        self._thread.join(seconds)
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.answer


def test_a_run_is_answered_when_its_state_changes(world: World, run: Run, site: str) -> None:
    with client(site, world.student) as api:
        asked = Later(lambda: api.get(f"runs/{run.pk}?wait=1&state=preflight").json())
        assert asked.held()
        change(run, "queued")
        changed = time.monotonic()
        assert asked.result()["state"] == "queued"
        assert asked.at - changed < SECONDS_MAX
        began = time.monotonic()
        assert api.get(f"runs/{run.pk}?wait=1&state=preflight").json()["state"] == "queued"
        assert time.monotonic() - began < SECONDS_MAX, "what changed before the question is answered at once"


def test_points_and_logs_do_not_end_the_wait_for_a_state(world: World, run: Run, site: str) -> None:
    change(run, "running")
    with client(site, world.student) as api:
        asked = Later(lambda: api.get(f"runs/{run.pk}?wait=1&state=running").json())
        assert asked.held()
        for kind in ("run.points", "run.log", "run.usage"):
            notify.send(f"run.{run.pk}", {"type": kind})
        assert asked.held()
        change(run, "succeeded")
        assert asked.result()["state"] == "succeeded"


def test_a_wait_ends_without_news(world: World, run: Run, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS_MAX", 0.5)
    with client(site, world.student) as api:
        assert api.get(f"runs/{run.pk}?wait=1&state=preflight").json()["state"] == "preflight"
    monkeypatch.setattr(waiting, "WAITERS_MAX", 0)
    monkeypatch.setattr(waiting, "WAIT_SECONDS_MAX", 60)
    with client(site, world.student) as api:
        assert api.get(f"runs/{run.pk}?wait=1&state=preflight").json()["state"] == "preflight"


def test_who_may_not_see_it_waits_for_nothing(world: World, run: Run, site: str) -> None:
    with client(site, world.outsider) as api:
        for path in (f"runs/{run.pk}", f"runs/{run.pk}/log"):
            assert api.get(f"{path}?wait=1&state=preflight").status_code == 404
    assert httpx.get(f"{site}/api/v1/runs/{run.pk}?wait=1").status_code == 401


def test_a_submission_is_answered_with_its_score(world: World, run: Run, site: str) -> None:
    saved = Checkpoint.objects.create(run=run, name="best", sha256="0" * 64, size=1)
    made = Submission.objects.create(run=run, checkpoint=saved, owner=world.student)
    with client(site, world.student) as api:
        asked = Later(lambda: api.get(f"submissions/{made.pk}?wait=1&state=predicting").json())
        assert asked.held()
        with transaction.atomic():
            Submission.objects.filter(pk=made.pk).update(state="scored", scores={"accuracy": 0.5}, trial=True)
            notify.send(f"run.{run.pk}", {"type": "run.changed"})
        changed = time.monotonic()
        assert asked.result()["state"] == "scored"
        assert asked.at - changed < SECONDS_MAX


def test_a_log_is_answered_with_its_next_bytes(world: World, run: Run, site: str, settings: Any) -> None:
    job = Job.objects.get(id=run.preflight_job)
    attempt = Attempt.objects.create(job=job, number=1, node=Node.objects.create(name="n"), state="running")
    io = Path(settings.ATTEMPTS) / str(attempt.id) / "io"
    io.mkdir(parents=True)
    with client(site, world.student) as api:
        asked = Later(lambda: api.get(f"runs/{run.pk}/log?wait=1&offset=0").json())
        assert asked.held()
        (io / "log.head").write_text("one\n")
        notify.send(f"run.{run.pk}", {"type": "run.log", "total": 4})
        assert asked.result()["text"] == "one\n"
        asked = Later(lambda: api.get(f"runs/{run.pk}/log?wait=1&offset=4").json())
        assert asked.held()
        change(run, "queued")  # the check is over: the log to read is another
        assert asked.result()["text"] == ""


def test_the_command_hears_of_each_state(world: World, run: Run, site: str) -> None:
    said: list[tuple[float, str]] = []
    api = Api(site, create_token(world.student, "t"))
    follower = Follower(api, lambda line: said.append((time.monotonic(), line)), lambda text: None)
    following = Later(lambda: follower.run({"id": str(run.pk)}))
    changed = []
    for state in ("queued", "starting", "stopped"):
        assert following.held()
        change(run, state)
        changed.append(time.monotonic())
    assert following.result()["state"] == "stopped"
    api.close()
    late = [at - since for (at, _line), since in zip(said[1:], changed)]
    # The median: one of the three may meet a moment in which the machine writes to its disk. Polling made all late.
    assert len(said) == 4 and statistics.median(late) < SECONDS_MAX, (said, late)


def test_a_client_that_leaves_frees_its_place(world: World, run: Run, site: str) -> None:
    from hub.asgi import application

    polls = application.application_mapping["http"].app
    with client(site, world.student) as api:
        with pytest.raises(httpx.ReadTimeout):
            api.get(f"runs/{run.pk}?wait=1&state=preflight", timeout=0.5)
    end = time.monotonic() + 5
    while polls.waiting:
        assert time.monotonic() < end
        time.sleep(0.02)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        assert cursor.fetchone() == (0,)
