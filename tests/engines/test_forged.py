"""An end that student code made look like the engine's doing is not believed: it would cost nothing, three times over."""

from __future__ import annotations

import pytest

from runner import worker as workers
from runner.models import Attempt
from tests.stack import make_worker

from .jobs import enqueue, small, turn_until

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
ASKED = "import os, signal, time\nos.kill(1, signal.SIGTERM)\ntime.sleep(30)\n"
SPOILED = """
import os
os.mkdir("/seodang/io/status.json.new")
with open("/seodang/io/status.json", "w") as status:
    status.write('{"asked_to_end": true}')
os._exit(3)
"""


@pytest.mark.parametrize("script", [ASKED, SPOILED], ids=["asked", "spoiled"])
def test_a_forged_interruption_is_the_codes_own_failure(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CLAIM_SECONDS", 0.3)
    job = turn_until(make_worker(), enqueue(small(script)), "ended")
    assert job.outcome == "failed", job.detail
    assert Attempt.objects.filter(job=job).count() == 1


def test_it_is_believed_of_an_engine_that_was_away_meanwhile() -> None:
    worker = make_worker()
    job = turn_until(worker, enqueue(small(ASKED.replace("os.kill", "time.sleep(2); os.kill"))), "running")
    worker.doubt()
    turn_until(worker, job, "queued")
    assert Attempt.objects.get(job=job).outcome == "lost"
