"""The first course of an installation."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from courses.roster.models import Course, Membership, User

pytestmark = pytest.mark.django_db


def make(*words: str) -> str:
    out = io.StringIO()
    call_command("create_course", *words, stdout=out)
    return out.getvalue()


def test_a_course_with_a_new_instructor() -> None:
    told = make("ML", "Machine Learning", "--term", "Fall", "--instructor", "kim")
    course = Course.objects.get()
    assert (course.slug, course.title, course.term) == ("ml", "Machine Learning", "Fall")
    assert course.join_code in told
    client = Client()
    password = re.search(r"shown once: (\S+)", told)
    assert password and client.login(username="kim", password=password[1])
    assert client.get("/c/ml/people/").status_code == 200


def test_an_instructor_who_is_there_keeps_the_password() -> None:
    User.objects.create_user("kim", password="a long enough one")
    assert "Password" not in make("ml", "Machine Learning", "--instructor", "kim")
    assert Client().login(username="kim", password="a long enough one")
    assert Membership.objects.get().role == "instructor"


@pytest.mark.parametrize(("slug", "told"), [("ml", "already"), ("../x", "no short name")])
def test_what_cannot_be_made_changes_nothing(slug: str, told: str) -> None:
    make("ml", "Machine Learning", "--instructor", "kim")
    with pytest.raises(CommandError, match=told):
        make(slug, "Other", "--instructor", "lee")
    assert not User.objects.filter(username="lee").exists()
