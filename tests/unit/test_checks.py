"""What ``manage.py check`` says of settings, and what their readers refuse."""

from __future__ import annotations

from typing import Any

import pytest

from hub import checks, env

CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"ADDRESS": "http://lab.example:8400", "ALLOWED_HOSTS": ["lab.example"]}, ["seodang.W001"]),
    ({"ADDRESS": "https://lab.example", "ALLOWED_HOSTS": ["localhost"], "CSRF_TRUSTED_ORIGINS": ["https://lab.example"]},
     ["seodang.E001"]),
    ({"ADDRESS": "https://lab.example", "ALLOWED_HOSTS": ["lab.example"]}, ["seodang.W002"]),
    ({"ADDRESS": "https://lab.example", "ALLOWED_HOSTS": ["*"], "CSRF_TRUSTED_ORIGINS": ["https://lab.example"]}, []),
    ({"ADDRESS": "https://lab.example", "ALLOWED_HOSTS": ["*"], "CSRF_TRUSTED_ORIGINS": ["https://lab.example"],
      "DEBUG": True}, ["seodang.E002"]),
    ({"SOCKETS": "/srv/" + "x" * 90}, ["seodang.E003"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "ids"), CHANGES)
def test_checks(settings: Any, change: dict[str, Any], ids: list[str]) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    found = [*checks.addresses(None), *checks.sockets(None)]
    assert [one.id for one in found] == ids
    assert all(one.hint for one in found), "each says how to mend it"


@pytest.mark.parametrize(
    ("value", "mail"),
    [
        ("", None),
        ("smtp://mail.example", env.Mail("mail.example", 587, "", "", False)),
        ("smtp://a%40b:p%3Aw@mail.example:25", env.Mail("mail.example", 25, "a@b", "p:w", False)),
        ("smtps://u:p@mail.example", env.Mail("mail.example", 465, "u", "p", True)),
    ],
)
def test_a_mail_servers_address(monkeypatch: pytest.MonkeyPatch, value: str, mail: env.Mail | None) -> None:
    monkeypatch.setenv("SEODANG_EMAIL_URL", value)
    assert env.mail("SEODANG_EMAIL_URL") == mail


def test_what_is_no_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_EMAIL_URL", "mail.example:587")
    with pytest.raises(env.SettingError, match="SEODANG_EMAIL_URL"):
        env.mail("SEODANG_EMAIL_URL")


def test_half_a_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_OIDC_ISSUER", "https://id.example")
    with pytest.raises(env.SettingError, match="SEODANG_OIDC_CLIENT"):
        env.openid("SEODANG_OIDC")
