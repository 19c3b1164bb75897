"""Predictions, scores and tracebacks from hostile hands; outcomes; ranks; the assignment file."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from courses.assignments.bundle import AssignmentConfig, BundleError, parse
from courses.leaderboards.ranking import Scored, rank
from courses.roster import rules as roster
from courses.submissions import jobs, rules
from courses.submissions.models import Run
from runner import states


@pytest.mark.parametrize(
    ("entry", "command"),
    [
        ("train.py", ("python3", "train.py")),
        ("run.sh", ("bash", "run.sh")),
        ("sh run.sh", ("sh", "run.sh")),
        ("python3 -u train.py", ("python3", "-u", "train.py")),
        ("'my code.py'", ("python3", "my code.py")),
    ],
)
def test_an_entry_that_is_only_a_script_gets_its_interpreter(entry: str, command: tuple[str, ...]) -> None:
    assert jobs.command_of(Run(entry=entry, args="")) == command


YAML = """\
version: 1
slug: digits
title: Digits
data: {license: MIT, train: data/train, test: data/test, labels: data/labels}
predictions: {format: csv, file: predictions.csv, columns: [id, label], rows: 2}
metrics:
  - {name: acc, goal: max, primary: true}
schedule: {opens: 2026-09-01T00:00:00+09:00, due: 2026-12-01T00:00:00+09:00}
"""


def config(text: str = YAML) -> AssignmentConfig:
    return AssignmentConfig.from_raw(parse(text.encode()))


def test_good_predictions_are_written_anew() -> None:
    assert rules.parse_predictions(b"id,label\r\n1,2\r\n\r\n2,3", config()) == b"id,label\n1,2\n2,3\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "first line"),
        (b"a,b\n1,2\n2,3\n", "first line"),
        (b"id,label\n1,2\n", "1 rows; 2 are needed"),
        (b"id,label\n1,2\n2,3\n3,4\n", "more than 2 rows"),
        (b"id,label\n1,2,3\n2,3\n", "Line 2 has 3 cells"),
        (b"id,label\n1," + b"9" * 5000 + b"\n2,3\n", "over 2,000"),
        (b"\xff\xfe", "not UTF-8"),
        (b'id,label\n1,"' + b"9" * 200_000, "not CSV"),
    ],
)
def test_bad_predictions_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(rules.BadPredictions, match=words):
        rules.parse_predictions(content, config())


def test_a_trial_has_rows_of_its_own_number() -> None:
    assert rules.parse_predictions(b"id,label\n1,2\n", config(), trial=True)


def test_an_array_with_a_pickle_is_refused() -> None:
    numbers = config(YAML.replace("format: csv", "format: npy"))
    sink = io.BytesIO()
    np.save(sink, np.array([{"a": 1}, 2], dtype=object), allow_pickle=True)
    with pytest.raises(rules.BadPredictions):
        rules.parse_predictions(sink.getvalue(), numbers)
    sink = io.BytesIO()
    np.save(sink, np.array([1.0, 2.0]))
    assert rules.parse_predictions(sink.getvalue(), numbers)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[1]",
        b"{}",
        b'{"acc": NaN}',
        b'{"acc": Infinity}',
        b'{"acc": 1e999}',
        b'{"acc": ' + b"9" * 4_000 + b"}",
        b'{"acc": ' + b"9" * 40_000 + b"}",
        b'{"acc": "0.9"}',
        b'{"acc": true}',
        b'{"acc": null}',
        b'{"acc": 0.9, "other": 1}',
        b'{"Acc": 0.9}',
        b"[" * 99_999,
        b" " * 200_000,
    ],
)
def test_bad_scores_are_refused(content: bytes) -> None:
    with pytest.raises(rules.BadScores):
        rules.parse_scores(content, config())


def test_good_scores() -> None:
    assert rules.parse_scores(json.dumps({"acc": 1}).encode(), config()) == {"acc": 1.0}


TRACE = 'Traceback\n  File "/code/infer.py", line 31, in go\n    x[k]\n{error}: secret of row 17\n'


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (TRACE.format(error="KeyError"), "infer.py:31 KeyError"),
        (TRACE.format(error="Label7Error"), "infer.py:31 an error"),
        (TRACE.format(error="KeyError").replace("31", "123456"), "KeyError"),
        (TRACE.format(error="KeyError").replace("infer.py", "label-is-7.py"), "KeyError"),
        ("no traceback, label 7", ""),
    ],
)
def test_where_it_failed_says_no_more_than_that(log: str, said: str) -> None:
    assert rules.where_it_failed(log, {"infer.py": 40}) == said


@pytest.mark.parametrize(
    ("exit_code", "oom", "status", "stop", "overflow", "outcome"),
    [
        (0, False, {}, False, False, "succeeded"),
        (0, True, {}, False, False, "succeeded"),
        (0, False, {"timed_out": True}, True, False, "succeeded"),
        (1, False, {}, False, False, "failed"),
        (137, True, {}, False, False, "out_of_memory"),
        (143, False, {"timed_out": True}, False, False, "timed_out"),
        (143, False, {}, True, False, "stopped"),
        (1, False, {}, False, True, "output_limit"),
        (None, False, {}, False, False, "lost"),
        (1, False, {"timed_out": "yes"}, False, False, "failed"),
    ],
)
def test_outcomes(
    exit_code: int | None, oom: bool, status: dict[str, object], stop: bool, overflow: bool, outcome: str
) -> None:
    ending = states.judge(exit_code, oom, status, stop_requested=stop, overflowed=overflow)
    assert ending.outcome == outcome
    assert bool(ending.warning) == (outcome == "succeeded" and oom)


@pytest.mark.parametrize(
    ("exit_code", "oom", "status", "stop", "ours"),
    [
        (0, False, {"exit_code": 0}, False, False),
        (0, False, {}, False, False),  # a full disk hides the status of a success, not the success
        (3, False, {"exit_code": 3}, False, False),
        (3, False, {}, False, True),  # killed before it could say how it ended
        (137, False, {}, False, True),
        (137, True, {}, False, False),  # the kernel's out-of-memory killer took the launcher too
        (143, False, {"exit_code": 143, "asked_to_end": True}, False, True),
        (0, False, {"exit_code": 0, "asked_to_end": True}, False, True),  # it ended well when told to, half-way
        (143, False, {"exit_code": 143, "asked_to_end": True}, True, False),  # we told it to
        (143, False, {"exit_code": 143, "asked_to_end": True, "timed_out": True}, False, False),
        (255, False, {"exit_code": 0}, False, True),  # the engine was away and made the code up
        (137, False, {"exit_code": 137, "asked_to_end": "yes"}, False, False),
        (None, False, {}, False, False),  # already known to be lost
    ],
)
def test_whose_doing_an_end_was(
    exit_code: int | None, oom: bool, status: dict[str, object], stop: bool, ours: bool
) -> None:
    assert bool(states.interrupted(exit_code, oom, status, stop_requested=stop)) == ours


def test_only_a_kill_from_outside_needs_no_second_witness() -> None:
    seen = [
        states.interrupted(code, False, status, stop_requested=False)
        for code, status in ((137, {}), (143, {"asked_to_end": True}), (255, {"exit_code": 0}), (3, {}))
    ]
    assert [one.certain for one in seen if one] == [True, False, False, False]


def test_only_our_fault_is_tried_again_and_not_for_ever() -> None:
    assert [states.retries(outcome, 1, 3) for outcome in ("lost", "preempted", "failed")] == [True, True, False]
    assert not states.retries("lost", 3, 3)


def test_equal_shown_scores_share_a_rank() -> None:
    events = [
        Scored(1, "a", 0.90001, 1.0),
        Scored(2, "b", 0.90004, 2.0),
        Scored(3, "c", 0.95, 3.0),
        Scored(4, "d", 0.5, 4.0),
        Scored(4, "e", 0.4, 5.0),
    ]
    places = rank(events, "max", 4)
    assert [(one.team, one.rank, one.tied, one.count) for one in places] == [
        (3, 1, False, 1),
        (1, 2, True, 1),
        (2, 2, True, 1),
        (4, 4, False, 2),
    ]
    assert [one.team for one in rank(events, "min", 4)] == [4, 1, 2, 3]
    assert places[3].history == ((4.0, 0.5),), "a worse score does not change the best"


def test_roles() -> None:
    table = {role: {action for action in roster.TABLE if roster.allowed(role, action)} for role in roster.EVERYONE}
    assert table["observer"] == {"see_course", "see_board"}
    assert table["student"] == {"see_course", "see_board", "push_run"}
    assert table["instructor"] - table["ta"] == {"import_roster", "manage_people", "manage_course", "push_assignment"}
    with pytest.raises(KeyError):
        roster.allowed("student", "no_such_action")


@pytest.mark.parametrize(
    ("change", "line", "key", "words"),
    [
        (("version: 1", "version: 2"), 1, "version", "1 was expected"),
        (("slug: digits", "slug: Digits!"), 2, "slug", "does not match"),
        (("rows: 2", "rows: two"), 5, "predictions.rows", "not of type"),
        (("goal: max", "goal: best"), 7, "metrics.0.goal", "not one of"),
        (("slug: digits", "slug: digits\ncolour: red"), 1, "", "colour"),
        (("train: data/train", "train: ../train"), 4, "data.train", "does not match"),
        (("due: 2026-12-01T00:00:00+09:00", "due: 2026-08-01T00:00:00+09:00"), 8, "schedule.due", "not after"),
        (("due: 2026-12-01T00:00:00+09:00", "due: 2026-12-01T00:00:00"), 8, "schedule.due", "time zone"),
    ],
)
def test_a_fault_names_its_line_and_key(change: tuple[str, str], line: int, key: str, words: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse(YAML.replace(*change).encode())
    problem = caught.value.problems[0]
    assert (problem.line, problem.key) == (line, key)
    assert words in problem.message


def test_all_faults_are_named_at_once() -> None:
    text = YAML.replace("version: 1", "version: 2").replace("goal: max", "goal: best").replace("rows: 2", "rows: x")
    with pytest.raises(BundleError) as caught:
        parse(text.encode())
    assert [one.line for one in caught.value.problems] == [1, 5, 7]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a: [1,\n",
        b"\xff\xfe",
        b"title: &a\n  en: *a\n",
        b"x" * 200_000,
        b"- 1",
        b"!!python/object/apply:os.system [id]",
        b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
        b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n",
    ],
)
def test_what_is_no_assignment_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        parse(content)
