"""The door to MLflow's own UI: for a course's staff, for reading, on an address of its own.

MLflow's server listens on a socket that only this process opens. What a run left behind is hostile HTML on a staff
member's screen, so the UI has another origin (port) than the site: a script in it reaches neither the site's pages
nor its API. Each course is a workspace of MLflow's, and the door names it, whatever the browser asks for.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from courses.errors import CourseError
from courses.roster.queries import membership, require
from hub.tracking.mlflow_database import workspace_of
from hub.tracking.readonly import ARTIFACTS, may_call, policy

log = logging.getLogger("seodang.mlflow")
HOST = "mlflow"  # the only Host that MLflow's server answers to
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
SERVER_INFO = "ajax-api/3.0/mlflow/server-info"
BODY_BYTES_MAX = 1 << 20
BLOCK_BYTES = 1 << 16
TRUSTED_SECONDS = 10.0  # a person's place is looked up again after that
TRUSTED_MAX = 1_000
FORWARDED = ("Accept", "Content-Type", "If-None-Match", "If-Modified-Since", "Range")
RETURNED = ("Content-Type", "ETag", "Last-Modified", "Cache-Control", "Content-Disposition", "Content-Range")
STARTING = (
    "<!doctype html><meta http-equiv=refresh content=3><title>MLflow</title>"
    "<p>MLflow is starting; this page tries again by itself. / MLflow를 시작하고 있습니다. 잠시 뒤 자동으로 열립니다."
)


def course_of(session_key: str, slug: str) -> int | None:
    """The course's id, if the session's person is of its staff."""
    engine = import_module(settings.SESSION_ENGINE)
    request = HttpRequest()
    request.session = engine.SessionStore(session_key)
    try:
        place = membership(get_user(request), slug)
        require(place, "see_all_runs")
    except CourseError:
        return None
    return place.course_id


class Door:
    """A reverse proxy with a rule."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._trusted: dict[tuple[str, str], tuple[float, int | None]] = {}
        self._client: aiohttp.ClientSession | None = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/{slug:[-a-zA-Z0-9_]+}", self._slash)
        app.router.add_route("*", "/{slug:[-a-zA-Z0-9_]+}/{path:.*}", self.handle)
        app.cleanup_ctx.append(self._open)
        return app

    async def _open(self, app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.UnixConnector(path=str(self.socket))
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._client:
            yield

    async def _slash(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(f"/{request.match_info['slug']}/")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Anyone who is not of the course's staff finds nothing here."""
        slug, path = request.match_info["slug"], request.match_info["path"]
        course = await self._course(request, slug)
        if course is None:
            raise web.HTTPNotFound(text="Not found. Log in to the site as staff of this course, then open it again.")
        if not may_call(request.method, path):
            raise web.HTTPForbidden(text="MLflow is for reading here: runs are changed on the site.")
        try:
            return await self._forward(request, path, workspace_of(course))
        except aiohttp.ClientConnectorError:
            if path:
                raise web.HTTPServiceUnavailable(text="MLflow is starting.") from None
            return web.Response(status=503, text=STARTING, content_type="text/html", headers={"Retry-After": "3"})

    async def _course(self, request: web.Request, slug: str) -> int | None:
        cookie = SimpleCookie(request.headers.get("Cookie", ""))
        key = cookie[settings.SESSION_COOKIE_NAME].value if settings.SESSION_COOKIE_NAME in cookie else ""
        if not key:
            return None
        now = time.monotonic()
        known = self._trusted.get((key, slug))
        if known is None or now - known[0] > TRUSTED_SECONDS:
            if len(self._trusted) >= TRUSTED_MAX:
                self._trusted.clear()
            known = self._trusted[key, slug] = (now, await sync_to_async(course_of)(key, slug))
        return known[1]

    async def _forward(self, request: web.Request, path: str, workspace: str) -> web.StreamResponse:
        assert self._client is not None
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        headers |= {"Host": HOST, WORKSPACE_HEADER: workspace, "Accept-Encoding": "identity"}
        url = f"http://{HOST}/{path}"
        body = await request.read() if request.can_read_body else None
        async with self._client.request(
            request.method, url, params=request.query, data=body, headers=headers, allow_redirects=False
        ) as answer:
            if path == SERVER_INFO:
                return web.json_response(_one_course(await answer.json()))
            kept = {name: answer.headers[name] for name in RETURNED if name in answer.headers}
            kept |= {"Content-Security-Policy": policy(path), "X-Content-Type-Options": "nosniff"}
            if ARTIFACTS.fullmatch(path):
                kept["Content-Disposition"] = "attachment"
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for block in answer.content.iter_chunked(BLOCK_BYTES):
                await response.write(block)
            await response.write_eof()
            return response


def _one_course(info: Any) -> Any:
    """The UI must not offer to choose a workspace: there is one."""
    return json.loads(json.dumps(info)) | {"workspaces_enabled": False}
