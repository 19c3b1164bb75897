"""How people come in who did not sign up: by a roster's links, or by the school's own provider."""

from __future__ import annotations

import base64
import csv
import io
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.test import Client

from courses.roster.models import Membership, User
from courses.roster.services import import_roster
from hub import env
from tests.world import World

pytestmark = pytest.mark.django_db
ROSTER = "username,name,email\nkim,Kim Minji,kim@school.example\n"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def links(client: Client) -> list[dict[str, str]]:
    answer = client.post("/c/ml/people/", {"links": "1"})
    assert answer.status_code == 200, answer.status_code
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


@pytest.fixture
def teacher(world: World) -> Client:
    import_roster(world.teacher, world.course, ROSTER, dry_run=False)
    client = Client()
    client.force_login(world.teacher, BACKEND)
    return client


def test_a_rosters_link_lets_somebody_choose_a_password_once(teacher: Client) -> None:
    rows = links(teacher)
    assert [(row["username"], row["email"]) for row in rows] == [("kim", "kim@school.example")], (
        "whoever has a password gets no link"
    )
    path = urllib.parse.urlsplit(rows[0]["link"]).path
    newcomer = Client()
    form = newcomer.get(path, follow=True)
    where = form.redirect_chain[-1][0]
    chosen = {"password1": "a long enough one", "password2": "a long enough one"}
    assert newcomer.post(where, chosen).status_code == 302
    assert Client().login(username="kim", password="a long enough one")
    assert links(teacher) == [], "there is none for somebody who can sign in"
    again = Client().get(path, follow=True)
    assert b"password1" not in again.content, "the link opened once"


def test_only_instructors_get_links(world: World, teacher: Client) -> None:
    for person, status in ((world.ta, 403), (world.student, 403), (world.outsider, 404)):
        client = Client()
        client.force_login(person, BACKEND)
        assert client.post("/c/ml/people/", {"links": "1"}).status_code == status


def test_a_name_that_looks_like_a_formula_is_text(world: World, teacher: Client) -> None:
    User.objects.filter(username="kim").update(first_name="=cmd()", last_name="")
    assert links(teacher)[0]["name"] == "'=cmd()"


class Provider(BaseHTTPRequestHandler):
    """As much of an OpenID provider as a sign-in needs."""

    issuer = ""
    claims: dict[str, Any] = {}

    def do_GET(self) -> None:
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/keys", "token_endpoint_auth_methods_supported": ["client_secret_post"],
            },
            "/userinfo": self.claims,
        }  # fmt: skip
        self._answer(documents[self.path.partition("?")[0]])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        head, body = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in ({"alg": "none"}, {**self.claims, "iss": self.issuer, "aud": "seodang", "exp": 4_000_000_000})
        )
        self._answer({"access_token": "t", "token_type": "Bearer", "id_token": f"{head}.{body}."})

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[type[Provider]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    Provider.claims = {"sub": "1", "email": "kim@school.example", "email_verified": True, "name": "Kim Minji"}
    for name, value in {"ISSUER": Provider.issuer, "CLIENT": "seodang", "SECRET": "s", "TITLE": "KAIST"}.items():
        monkeypatch.setenv(f"SEODANG_OIDC_{name}", value)
    settings.SOCIALACCOUNT_PROVIDERS = env.openid("SEODANG_OIDC")
    cache.clear()
    yield Provider
    server.shutdown()
    server.server_close()
    thread.join()


def sign_in_by_the_school(client: Client) -> Any:
    assert b"KAIST" in client.get("/accounts/login/").content
    away = client.post("/accounts/oidc/school/login/")
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(away.url).query)["state"][0]
    return client.get("/accounts/oidc/school/login/callback/", {"code": "c", "state": state}, follow=True)


def test_the_schools_account_is_the_rosters(provider: type[Provider], teacher: Client, world: World) -> None:
    client = Client()
    page = sign_in_by_the_school(client)
    assert page.request["PATH_INFO"] == "/c/ml/", page.redirect_chain
    assert Membership.objects.filter(course=world.course, user__username="kim").exists()
    assert client.get("/c/ml/team/").status_code == 200
    assert links(teacher) == []


def test_an_address_that_the_school_did_not_verify_finds_nobody(provider: type[Provider], teacher: Client) -> None:
    Provider.claims = {**Provider.claims, "email_verified": False}
    client = Client()
    sign_in_by_the_school(client)
    assert client.get("/c/ml/").status_code in {302, 404}, "not the roster's account"


def test_a_forgotten_password(settings: Any, mailoutbox: list[Any]) -> None:
    """No page says that a mail was sent where none is."""
    User.objects.create_user("kim", "kim@school.example", "a long enough one")
    asked = {"email": "kim@school.example"}
    settings.MAIL = None
    answer = Client().post("/accounts/password/reset/", asked)
    assert answer.status_code == 409 and b"This site sends no mail" in answer.content
    assert mailoutbox == []
    settings.MAIL = env.Mail("mail.example", 587, "", "", False)
    assert Client().post("/accounts/password/reset/", asked).status_code == 302
    assert [mail.to for mail in mailoutbox] == [["kim@school.example"]]


def log_in(**fields: str) -> Any:
    return Client().post("/api/v1/login", fields)


def test_the_command_asks_for_the_second_factor_too() -> None:
    user = User.objects.create_user("kim", password="a long enough one")
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(user, secret)
    known = {"username": "kim", "password": "a long enough one"}
    cache.clear()
    for code in ("", "000000"):
        refused = log_in(**known, code=code)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "second_factor")
    now = next(totp.yield_hotp_counters_from_time())
    right = totp.format_hotp_value(totp.hotp_value(secret, now))
    answer = log_in(**known, code=right)
    assert answer.status_code == 200, answer.json()
    assert log_in(**known, code=right).status_code == 401, "a code opens once"


def test_guessing_is_bound_to_the_account_and_not_to_a_labs_address(db: object) -> None:
    cache.clear()
    for number in range(30):  # a class behind one address
        User.objects.create_user(f"s{number}", password="a long enough one")
        assert log_in(username=f"s{number}", password="a long enough one").status_code == 200
    answers = [log_in(username="s0", password=f"guess {number}").status_code for number in range(12)]
    assert answers[0] == 401 and answers[-1] == 429
    assert log_in(username="s1", password="a long enough one").status_code == 200
