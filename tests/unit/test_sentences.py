"""Sentences of rows: written once, read in any language, and never a way in for what a student wrote."""

from __future__ import annotations

import json

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from courses.sentences import read
from runner import sentences
from runner.sentences import Said, Written, join, kept, tell

RUNS = {"running": 2, "most": 2}


def test_a_sentence_is_read_in_the_readers_language() -> None:
    stored = tell("Your team runs {running} of {most} at once.", **RUNS)
    assert read(stored) == "Your team runs 2 of 2 at once."
    with translation.override("ko"):
        assert "2" in read(stored)
        assert "team" not in read(stored)


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    stored = tell("Predict failed (your code): {reason}.", reason=tell("{file} was not written", file="p.csv"))
    words = {"Predict failed (your code): {reason}.": "A {reason}", "{file} was not written": "B {file}"}
    assert sentences.read(stored, lambda template: words[template]) == "A B p.csv"


def test_sentences_follow_each_other_and_empty_ones_are_left_out() -> None:
    assert read(join(tell("One."), "", "Two.", tell("Three {n}.", n=3))) == "One. Two. Three 3."


def test_numbers_keep_their_format() -> None:
    assert read(tell("{n:,} rows", n=1234567)) == "1,234,567 rows"


@pytest.mark.parametrize("plain", ["", "Finished.", "[", "[]", "[1]", '{"a": 1}', '[["{x}"]]', '[["{x}", 1]]'])
def test_a_plain_text_comes_back_as_it_is(plain: str) -> None:
    assert read(plain) == ("" if plain == "[]" else plain)


@given(st.text())
def test_what_a_student_wrote_is_a_value_and_never_a_template(words: str) -> None:
    assert read(tell("Preflight failed: {lines}", lines=words)) == f"Preflight failed: {words}"


def test_a_template_made_by_a_student_is_not_formatted() -> None:
    forged = json.dumps([["{lines.__class__}", {"lines": "x"}]])
    assert read(tell("Preflight failed: {lines}", lines=forged)) == f"Preflight failed: {forged}"


def test_a_translation_with_a_wrong_placeholder_falls_back() -> None:
    assert sentences.read(tell("{n} rows", n=3), lambda _template: "{wrong}") == "3 rows"


def test_an_error_speaks_its_sentence_and_keeps_it() -> None:
    error = Said(tell("Line {line} is not JSON.", line=4))
    assert str(error) == "Line 4 is not JSON."
    assert read(tell("Bad: {reason}", reason=error.written)) == "Bad: Line 4 is not JSON."
    assert str(Said("plain {x}")) == "plain {x}"


def test_a_sentence_survives_a_row() -> None:
    again = kept(json.loads(json.dumps(tell("Finished."))))
    assert isinstance(again, Written)
    assert kept("plain") == "plain"
    assert not isinstance(kept("plain"), Written)
