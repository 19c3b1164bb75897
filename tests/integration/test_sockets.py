"""Sockets: who may open one, and when it closes. The real application on the real layer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connections
from django.test import Client
from django.utils import timezone

from courses.roster import services as roster
from courses.roster.models import ApiToken, Membership, User
from courses.teams.models import TeamMember
from hub.asgi import application
from hub.web import consumers
from runner import notify
from tests.class_at_work import CAST, ClassAtWork, make_class
from tests.socket_client import Socket
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
OPEN, CLOSED = True, False
HERE = "http://testserver"

# Both prefixes answer alike: by cookie below ws/, by token below ws/api/.
TABLE = """
                       anon   outs   rival  stud   mate   obs    ta     teach
board/{assignment}/    closed closed open   open   open   open   open   open
run/{run}/             closed closed closed open   open   closed open   open
course/{course}/       closed closed closed closed closed closed open   open
course/9999999/        closed closed closed closed closed closed closed closed
board/9999999/         closed closed closed closed closed closed closed closed
"""


def rows() -> list[tuple[str, list[bool]]]:
    lines = [line.split() for line in TABLE.splitlines()[2:]]
    return [(line[0], [word == "open" for word in line[1:]]) for line in lines]


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> ClassAtWork:
    return make_class(world, tmp_path)


def by_cookie(user: User | None, path: str, origin: str = HERE) -> Socket:
    headers = [(b"origin", origin.encode()), (b"host", b"testserver")]
    if user is not None:
        client = Client()
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={client.cookies['sessionid'].value}".encode()))
    return Socket(application, f"/ws/{path}", headers)


def by_token(token: str, path: str) -> Socket:
    """As the command line does: a token, and no Origin."""
    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {token}".encode())]
    return Socket(application, f"/ws/api/{path}", headers)


def token_of(user: User | None) -> str:
    return roster.create_token(user, "test") if user else ""


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, as a server would."""

    async def whole() -> None:
        try:
            await scenario()
        finally:
            await get_channel_layer().close()

    asyncio.run(whole())


async def opens(socket: Socket) -> bool:
    accepted = await socket.connect()
    if accepted:
        first = await socket.read()
        assert first["type"] == "snapshot"
    await socket.disconnect()
    return accepted


async def aside(action: Callable[..., Any], *args: Any) -> None:
    """In another thread, with a connection of its own, as another process would."""

    def act() -> None:
        try:
            action(*args)
        finally:
            connections.close_all()

    await asyncio.to_thread(act)


async def closes(socket: Socket, action: Callable[..., Any], *args: Any) -> None:
    """It is open, and what ``action`` does closes it before another word is said."""
    accepted = await socket.connect()
    assert accepted
    await socket.read()
    await aside(action, *args)
    said = await socket.receive_output(timeout=10)
    assert said == {"type": "websocket.close", "code": consumers.GONE}


def test_the_cast_at_every_socket(at_work: ClassAtWork) -> None:
    wrong: list[str] = []
    sockets = []
    for path, answers in rows():
        where = path.format(assignment=at_work.assignment.pk, run=at_work.run.pk, course=at_work.world.course.pk)
        for person, answer in zip(CAST, answers, strict=True):
            user = at_work.people[person]
            sockets.append((f"ws/{path} {person}", answer, by_cookie(user, where)))
            sockets.append((f"ws/api/{path} {person}", answer, by_token(token_of(user), where)))

    async def scenario() -> None:
        for name, answer, socket in sockets:
            if await opens(socket) != answer:
                wrong.append(f"{name}: should be {'open' if answer else 'closed'}")

    play(scenario)
    assert not wrong, "\n".join(wrong)


def test_every_socket_route_has_its_line() -> None:
    kinds = {path.split("/")[0] for path, _ in rows()}
    assert {str(route.pattern).split("/")[0] for route in consumers.routes("")} == kinds


def test_a_cookie_from_another_site_opens_nothing(at_work: ClassAtWork) -> None:
    path = f"run/{at_work.run.pk}/"
    sockets = [by_cookie(at_work.world.student, path, origin) for origin in ("http://evil.example", "null", "")]
    tokenless = by_token("", path)

    async def scenario() -> None:
        for socket in [*sockets, tokenless]:
            assert await opens(socket) == CLOSED

    play(scenario)


def test_expired_revoked_and_made_up_tokens_open_nothing(at_work: ClassAtWork) -> None:
    path = f"run/{at_work.run.pk}/"
    tokens = [roster.create_token(at_work.world.student, name, 1) for name in ("good", "expired", "revoked")]
    ApiToken.objects.filter(name="expired").update(expires_at=timezone.now())
    roster.revoke_token(at_work.world.student, ApiToken.objects.get(name="revoked").pk)
    answers = [OPEN, CLOSED, CLOSED, CLOSED]
    sockets = [by_token(token, path) for token in [*tokens, "sdg_made-up"]]

    async def scenario() -> None:
        assert [await opens(socket) for socket in sockets] == answers

    play(scenario)


def test_who_is_removed_hears_no_more(at_work: ClassAtWork) -> None:
    world = at_work.world
    board, run = f"board/{at_work.assignment.pk}/", f"run/{at_work.run.pk}/"
    first, second = by_cookie(world.student, board), by_token(token_of(world.teammate), run)

    async def scenario() -> None:
        await closes(first, roster.remove_member, world.teacher, world.course, "student")
        await closes(second, roster.remove_member, world.teacher, world.course, "teammate")

    play(scenario)


def test_a_revoked_token_closes_what_it_opened_and_nothing_else(at_work: ClassAtWork) -> None:
    student, path = at_work.world.student, f"run/{at_work.run.pk}/"
    kept, lost = by_token(token_of(student), path), by_token(roster.create_token(student, "lost"), path)
    key = ApiToken.objects.get(name="lost").pk

    async def scenario() -> None:
        await kept.connect()
        await kept.read()
        await closes(lost, roster.revoke_token, student, key)
        await aside(notify.send, f"run.{at_work.run.pk}", {"type": "run.changed"})
        assert await kept.read() == {"type": "run.changed"}
        await kept.disconnect()

    play(scenario)


def test_an_open_socket_is_asked_again_even_when_nobody_told(
    at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that went by another way (an SQL console, a cascade) is found with the next event."""
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0)
    world, group = at_work.world, f"run.{at_work.run.pk}"
    path = f"run/{at_work.run.pk}/"
    member, mate, gone = (
        by_cookie(world.student, path),
        by_cookie(world.teammate, path),
        by_token(roster.create_token(world.ta, "old"), path),
    )

    def after(change: Callable[[], Any]) -> Callable[[], None]:
        def act() -> None:
            change()
            notify.send(group, {"type": "run.changed"})

        return act

    async def scenario() -> None:
        await closes(member, after(Membership.objects.filter(user=world.student).delete))
        await closes(mate, after(TeamMember.objects.filter(user=world.teammate).delete))
        ended = ApiToken.objects.filter(name="old")
        await closes(gone, after(lambda: ended.update(expires_at=timezone.now())))

    play(scenario)


def test_a_board_closes_by_the_clock_what_no_event_told(at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECHECK_BOARD_SECONDS", 0.2)
    socket = by_cookie(at_work.world.student, f"board/{at_work.assignment.pk}/")

    async def scenario() -> None:
        await closes(socket, Membership.objects.filter(user=at_work.world.student)._raw_delete, "default")

    play(scenario)


def test_who_logged_out_hears_no_more(at_work: ClassAtWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0)
    socket = by_cookie(at_work.world.student, f"run/{at_work.run.pk}/")
    browser = Client()
    browser.cookies.load(dict(socket.scope["headers"])[b"cookie"].decode())

    def log_out() -> None:
        assert browser.post("/accounts/logout/").status_code == 302
        notify.send(f"run.{at_work.run.pk}", {"type": "run.changed"})

    async def scenario() -> None:
        await closes(socket, log_out)

    play(scenario)


def test_a_board_for_the_staff_alone(at_work: ClassAtWork) -> None:
    world, path = at_work.world, f"board/{at_work.assignment.pk}/"
    version = at_work.assignment.current
    version.raw["board"] = {"visibility": "staff"}
    version.save()
    answers = {"student": CLOSED, "rival": CLOSED, "observer": CLOSED, "teacher": OPEN}
    sockets = {person: by_cookie(at_work.people[person], path) for person in answers}
    assistant = by_cookie(world.ta, path)

    async def scenario() -> None:
        assert {person: await opens(socket) for person, socket in sockets.items()} == answers
        await closes(assistant, roster.add_member, world.teacher, world.course, world.ta, "student")

    play(scenario)
