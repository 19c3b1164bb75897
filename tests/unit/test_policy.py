"""The policy as tables, and its invariants by generated cases."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.policy import HALF_LIFE_SECONDS, Slot, Usage, Waiting, decayed, expected_starts, plan
from runner.sentences import read

NOW = 1_000_000.0


def job(name: str, share: str = "ml/a", **more: object) -> Waiting:
    fields: dict[str, object] = {
        "owner": share, "owner_running_max": 0, "express": False, "gpus": 0, "wall_seconds_max": 600.0,
        "queued_at": NOW - 60, **more,
    }  # fmt: skip
    return Waiting(id=name, share=share, **fields)  # type: ignore[arg-type]


def cpus(count: int) -> list[Slot]:
    return [Slot("cpu", number, "n1", "cpu") for number in range(count)]


def started(*args: object) -> list[str]:
    return [start.job for start in plan(*args).starts]  # type: ignore[arg-type]


def test_the_share_that_used_less_goes_first() -> None:
    queue = [job("heavy", "ml/a", queued_at=NOW - 90), job("light", "ml/b")]
    usage = [Usage("ml/a", 3600, NOW - 600)]
    assert started(queue, cpus(1), usage, {}, NOW) == ["light"]


def test_a_burst_is_charged_at_entry() -> None:
    queue = [job(f"a{n}", "ml/a", queued_at=NOW - 100 + n) for n in range(5)] + [job("b", "ml/b", queued_at=NOW)]
    assert started(queue, cpus(2), [], {}, NOW) == ["a0", "b"]


def test_sealed_evaluations_go_before_long_runs() -> None:
    queue = [job("run", queued_at=NOW - 900), job("score", express=True, queued_at=NOW)]
    assert started(queue, cpus(1), [], {}, NOW) == ["score"]


def express(name: str, share: str, **more: object) -> Waiting:
    return job(name, share, express=True, wall_seconds_max=60.0, **more)


@pytest.mark.parametrize(
    ("used_seconds", "first"),
    [
        pytest.param(40, "a", id="some-pushes-are-ordinary-work"),
        pytest.param(400, "b", id="a-loop-goes-behind-the-class"),
    ],
)
def test_a_flood_of_pushes_does_not_hold_up_the_class(used_seconds: float, first: str) -> None:
    queue = [express("a", "ml/a", queued_at=NOW - 30), express("b", "ml/b", queued_at=NOW)]
    assert started(queue, cpus(1), [Usage("ml/a", used_seconds, NOW, express=True)], {}, NOW) == [first]


def test_a_burst_of_pushes_takes_turns_with_the_others() -> None:
    flood = [express(f"a{n}", "ml/a", queued_at=NOW - 100 + n) for n in range(5)]
    assert started([*flood, express("b", "ml/b", queued_at=NOW)], cpus(2), [], {}, NOW) == ["a0", "b"]


def test_express_use_is_not_charged_to_a_teams_runs() -> None:
    queue = [job("a", "ml/a", queued_at=NOW - 30), job("b", "ml/b", queued_at=NOW)]
    assert started(queue, cpus(1), [Usage("ml/a", 4000, NOW, express=True)], {}, NOW) == ["a"]


def test_a_team_at_its_limit_waits_and_is_told_so() -> None:
    made = plan([job("third", owner_running_max=2)], cpus(4), [], {"ml/a": 2}, NOW)
    assert made.starts == ()
    assert read(made.reasons["third"]) == "Your team runs 2 of 2 at once."


def test_held_jobs_wait() -> None:
    reasons = plan([job("one", held=True)], cpus(1), [], {}, NOW).reasons
    assert read(reasons["one"]) == "Held by a TA."


def test_wide_jobs_need_distinct_devices_of_one_node() -> None:
    split = [Slot("g1", 0, "n1", "gpu"), Slot("g2", 0, "n2", "gpu"), Slot("g1", 1, "n1", "gpu")]
    assert started([job("wide", gpus=2)], split, [], {}, NOW) == []
    together = [*split, Slot("g3", 0, "n1", "gpu")]
    made = plan([job("wide", gpus=2)], together, [], {}, NOW)
    assert {slot.device for slot in made.starts[0].slots} == {"g1", "g3"}


def test_usage_halves_in_a_half_life() -> None:
    assert decayed([Usage("ml/a", 100, NOW - HALF_LIFE_SECONDS)], NOW) == {"ml": 50.0, "ml/a": 50.0}


def test_expected_starts_replay_the_slots() -> None:
    order = [job("first", wall_seconds_max=100), job("second"), job("third")]
    assert expected_starts(order, [NOW + 10, NOW + 50], 2, NOW) == {
        "first": NOW + 10,
        "second": NOW + 50,
        "third": NOW + 110,
    }


jobs = st.lists(
    st.builds(
        Waiting,
        id=st.uuids().map(str),
        share=st.sampled_from(["ml/a", "ml/b", "nlp/a", "nlp/c"]),
        owner=st.sampled_from(["a", "b", "c"]),
        owner_running_max=st.integers(0, 3),
        express=st.booleans(),
        gpus=st.integers(0, 3),
        wall_seconds_max=st.floats(1, 1e5),
        queued_at=st.floats(0, NOW),
        held=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)
slots = st.lists(
    st.builds(
        Slot,
        device=st.sampled_from(["d1", "d2", "d3", "d4"]),
        slot=st.integers(0, 2),
        node=st.just("n1"),
        kind=st.sampled_from(["gpu", "cpu", "express"]),
    ),
    max_size=8,
    unique_by=lambda one: (one.device, one.slot),
)


@settings(max_examples=500, deadline=None)
@given(jobs, slots)
def test_a_plan_is_sound(queue: list[Waiting], free: list[Slot]) -> None:
    made = plan(queue, free, [], {}, NOW)
    by_id = {one.id: one for one in queue}
    used = [slot for start in made.starts for slot in start.slots]
    assert len(used) == len(set(used)), "no slot is leased twice"
    assert set(used) <= set(free)
    assert sorted([start.job for start in made.starts] + list(made.order)) == sorted(by_id)
    assert set(made.reasons) == set(made.order), "whoever waits is told why"
    for start in made.starts:
        one = by_id[start.job]
        assert not one.held
        assert len(start.slots) == max(1, one.gpus)
        assert one.gpus == 0 or len({slot.device for slot in start.slots}) == one.gpus
        assert one.express or all(slot.kind != "express" for slot in start.slots)
    assert plan(queue, free, [], {}, NOW) == made, "the same question has the same answer"


def gpu_slots(shape: str) -> list[Slot]:
    """``"n1: a2 b1"`` is node n1, with two free slots of GPU a and one of GPU b."""
    found = []
    for line in shape.split(";"):
        node, _, devices = line.strip().partition(": ")
        for device in devices.split():
            found += [Slot(device[:-1], number, node, "gpu") for number in range(int(device[-1]))]
    return found


@pytest.mark.parametrize(
    ("free", "asked", "taken"),
    [
        ("n1: a1", 1, "a0"),
        ("n1: a4", 1, "a0"),
        ("n1: a4", 2, ""),  # slots of one GPU are no second GPU
        ("n1: a4 b1", 2, "a0 b0"),
        ("n1: a1 b3", 1, "b0"),  # the emptier GPU first
        ("n1: a2 b1 c2", 2, "a0 c0"),
        ("n1: a1; n2: b1", 2, ""),  # GPUs of two nodes are no pair
        ("n1: a1 b1 c1; n2: d1", 1, "d0"),  # the wide node stays whole
        ("n1: a1 b1 c1; n2: d1", 3, "a0 b0 c0"),
        ("n1: a1 b1; n2: c1 d1 e1", 2, "a0 b0"),
    ],
)
def test_which_slots_of_gpus(free: str, asked: int, taken: str) -> None:
    made = plan([job("one", gpus=asked)], gpu_slots(free), [], {}, NOW)
    found = [f"{slot.device}{slot.slot}" for start in made.starts for slot in start.slots]
    assert sorted(found) == taken.split()


def test_slots_let_as_many_runs_share_a_gpu() -> None:
    queue = [job(f"r{number}", f"ml/t{number}", gpus=1) for number in range(5)]
    made = plan(queue, gpu_slots("n1: a2 b2"), [], {}, NOW)
    assert len(made.starts) == 4
    assert [slot.device for start in made.starts for slot in start.slots].count("a") == 2
