"""A slot is leased once, whoever races for it: on real Postgres, with real transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from runner import gpus as gpu_inventory
from runner import queue
from runner.engines.fake import FakeEngine
from runner.gpus import Gpu
from runner.models import Attempt, Device, Job, Lease, Node
from runner.worker import Worker
from tests.engines.jobs import enqueue, gpus, small

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS_MAX = 20


def attempt(owner: str = "maple") -> Attempt:
    node, _ = Node.objects.get_or_create(name="local")
    job = Job.objects.create(kind="run", spec=small("").to_json(), owner_key=owner, share_path=f"ml/{owner}")
    return Attempt.objects.create(job=job, number=1, node=node)


def side_by_side(*actions: Callable[[], object]) -> list[object]:
    """What each gave or raised, each on a database connection of its own."""

    def closed(action: Callable[[], object]) -> object:
        try:
            return action()
        except Exception as error:  # the outcome is what is tested
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as pool:
        futures = [pool.submit(closed, action) for action in actions]
        return [one.result(SECONDS_MAX) for one in futures]


def test_two_transactions_that_lease_one_slot() -> None:
    gpus(1)
    device = Device.objects.get()
    first, second = attempt("maple"), attempt("oak")
    both = threading.Barrier(2)

    def lease(owner: Attempt) -> Lease:
        with transaction.atomic():
            Lease.objects.count()  # both are inside a transaction, and neither sees the other's row
            both.wait(SECONDS_MAX)
            return Lease.objects.create(attempt=owner, device=device, slot=0)

    outcomes = side_by_side(lambda: lease(first), lambda: lease(second))
    assert sorted(type(one).__name__ for one in outcomes) == ["IntegrityError", "Lease"]
    assert Lease.objects.filter(released_at=None).count() == 1


def test_a_released_slot_is_leased_again_and_the_others_of_its_gpu_too() -> None:
    gpus(1, slots=2)
    device = Device.objects.get()
    held = Lease.objects.create(attempt=attempt(), device=device, slot=0)
    Lease.objects.create(attempt=attempt(), device=device, slot=1)
    with pytest.raises(IntegrityError, match="slot_leased_once"), transaction.atomic():
        Lease.objects.create(attempt=attempt(), device=device, slot=0)
    Lease.objects.filter(id=held.id).update(released_at=timezone.now())
    Lease.objects.create(attempt=attempt(), device=device, slot=0)
    with pytest.raises(IntegrityError, match="slot_leased_once"):
        Lease.objects.create(attempt=attempt(), device=device, slot=0)


@pytest.mark.parametrize("slots", [1, 3])
def test_schedulers_side_by_side(slots: int) -> None:
    gpus(2, slots=slots)
    for number in range(10):
        enqueue(small("", gpus=1), owner=f"team{number}")
    begun = side_by_side(*[queue.schedule] * 4)
    assert not [one for one in begun if isinstance(one, Exception)]
    held = list(Lease.objects.filter(released_at=None).values_list("device", "slot"))
    assert len(held) == len(set(held)) == 2 * slots
    assert Attempt.objects.count() == 2 * slots
    assert Job.objects.filter(state="queued").count() == 10 - 2 * slots


def test_a_wide_job_holds_distinct_gpus_though_one_has_slots_enough() -> None:
    gpus(2, slots=4)
    job = enqueue(small("", gpus=2))
    queue.schedule()
    devices = list(Lease.objects.filter(attempt__job=job).values_list("device__uuid", flat=True))
    assert sorted(devices) == ["GPU-local-0000-0000", "GPU-local-0000-0001"]


def test_a_device_that_its_node_has_no_more_is_leased_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that was taken out, or fell off the bus before the start: nothing waits for it, and it may come back."""
    machine = [Gpu("GPU-a", 0, "H100", 80 << 30), Gpu("GPU-b", 1, "H100", 80 << 30)]
    monkeypatch.setattr(gpu_inventory, "inventory", lambda: list(machine))
    worker = Worker(FakeEngine())
    worker.register()
    assert queue.largest_node_gpus() == 2
    taken = machine.pop()
    worker.register()
    assert queue.largest_node_gpus() == 1
    with pytest.raises(queue.TooManyGpus):
        enqueue(small("", gpus=2))
    for owner in ("maple", "oak"):
        enqueue(small("", gpus=1), owner)
    queue.schedule()
    assert list(Lease.objects.values_list("device__uuid", flat=True)) == ["GPU-a"]
    machine.append(taken)
    worker.register()
    queue.schedule()
    assert set(Lease.objects.values_list("device__uuid", flat=True)) == {"GPU-a", "GPU-b"}
