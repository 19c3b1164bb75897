"""From an answered ``log_metric`` to its point on the board: 200 viewers, 16 runs that log once a second."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

import httpx
from websockets.asyncio.client import connect

from bench import runs
from bench.setup import Site

VIEWERS = 200
RUNS = 16
START_SECONDS = 90
MEASURED_SECONDS = 20
ROUND_TRIPS = 200


def measure(site: Site) -> list[dict[str, Any]]:
    people = make_people(site)
    at = time.time() + START_SECONDS
    words = f"--mode paced --at {at} --seconds {MEASURED_SECONDS}"
    made = {team: (runs.push(site, args=words, person=person), person) for team, person in people.items()}
    seen = asyncio.run(_view(site, at + MEASURED_SECONDS + 2))
    delays = []
    for team, (run, person) in made.items():
        ended = json.loads(runs.await_end(site, run, person).strip().splitlines()[-1])
        answered = {float(value): when for value, when in ended["answered"]}
        delays += [1000 * (when - answered[value]) for value, when in seen.get(str(team), []) if value in answered]
    expected = VIEWERS * RUNS * MEASURED_SECONDS
    round_trip = _round_trip(site)
    cuts = statistics.quantiles(delays, n=100)
    return [
        {
            "what": f"log_metric answered to point received, {VIEWERS} viewers of one board, {RUNS} runs a second",
            "ours": cuts[98], "p50": cuts[49], "p99": cuts[98], "unit": "ms", "received": len(delays),
            "expected": expected, "compared_with": "one localhost round trip of the same server",
            "theirs": round_trip, "ratio": cuts[98] / round_trip, "aim": "p99 <= 250 ms",
        }
    ]  # fmt: skip


def make_people(site: Site) -> dict[int, str]:
    """Team id → its only member, one for each run."""
    from courses.roster.models import Course, User
    from courses.roster.services import add_member, create_token
    from courses.teams.services import create

    course, teacher = Course.objects.get(slug="ml"), User.objects.get(username="teacher")
    found = {}
    for number in range(RUNS):
        user = User.objects.create_user(f"viewer{number}")
        add_member(teacher, course, user, "student")
        site.cast[user.username] = {"token": create_token(user, "bench")}
        found[create(user, course, f"bench{number}", "").pk] = user.username
    return found


async def _view(site: Site, until: float) -> dict[str, list[tuple[float, float]]]:
    """Team → (value, when it came) at every viewer."""
    seen: dict[str, list[tuple[float, float]]] = {}

    async def one() -> None:
        address = f"{site.live}/board/{site.assignment.pk}/"
        async with connect(address, additional_headers=site.headers(), open_timeout=60) as socket:
            while True:
                text = await socket.recv()
                now = time.time()
                message = json.loads(text)
                for team, point in message.get("points", {}).items():
                    if point["key"] == "x":
                        seen.setdefault(team, []).append((point["value"], now))

    tasks = [asyncio.create_task(one()) for _ in range(VIEWERS)]
    done, _ = await asyncio.wait(tasks, timeout=until - time.time())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()  # a viewer that was thrown out fails the figure
    return seen


def _round_trip(site: Site) -> float:
    """Milliseconds, median, of the smallest answer of the same server."""
    with httpx.Client(base_url=site.address, headers=site.headers()) as client:
        took = []
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            client.get("/static/favicon.svg").raise_for_status()
            took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)
