"""Links by which people of a roster choose their first password: the way in where the site sends no mail."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def link(user: Any) -> str:
    """Opens a page that asks for a new password, once, for Django's PASSWORD_RESET_TIMEOUT seconds."""
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    uid, _, token = key.partition("-")
    return f"{settings.ADDRESS}{reverse('account_reset_password_from_key', kwargs={'uidb36': uid, 'key': token})}"


def as_csv(users: Iterable[Any]) -> HttpResponse:
    """``username,name,email,link``, for a mail merge."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(["username", "name", "email", "link"])
    for user in users:
        writer.writerow([_text(one) for one in (user.username, user.display_name, user.email)] + [link(user)])
    headers = {"Content-Disposition": 'attachment; filename="sign-in-links.csv"', "Cache-Control": "no-store"}
    return HttpResponse(sink.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _text(value: str) -> str:
    """A spreadsheet would run what begins like a formula."""
    return f"'{value}" if value.startswith(FORMULA) else value
