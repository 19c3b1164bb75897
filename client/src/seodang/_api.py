"""The server's HTTP API as methods: retries where a repeat is harmless, and errors that say what to do next."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx

from seodang._errors import NetworkError, Refused

Json = Any
Advance = Callable[[int], None]

RETRY_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)
TIMEOUT_SECONDS = 40.0  # longer than the server holds a request, which is 25
RETRY_AFTER_SECONDS_MAX = 30.0
_BUSY = (502, 503, 504)


def default_transport() -> httpx.BaseTransport | None:
    """None: httpx's own. Tests put a fake server here."""
    return None


class _Counted(io.RawIOBase):
    """A file that says how far it has been read, for the progress bar."""

    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._advance(len(block))
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        before = self._file.tell()
        after = self._file.seek(offset, whence)
        self._advance(after - before)  # a retry starts the bar again
        return after

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class Api:
    """One server, one token."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address = address
        headers = {"Accept": "application/json", "User-Agent": "seodang-cli"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            base_url=f"{address}/api/v1/",
            headers=headers,
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=10.0),
            transport=default_transport(),
        )

    def close(self) -> None:
        self._client.close()

    # Each method below is one line of the API.
    def login(self, username: str, password: str, name: str, code: str = "") -> str:
        """A new token. ``code`` is the second factor's, where the account has one."""
        body = {"username": username, "password": password, "name": name, "code": code}
        return str(self._json("POST", "login", json=body)["token"])

    def me(self) -> Json:
        return self._json("GET", "me")

    def assignments(self, course: str) -> Json:
        return self._json("GET", f"courses/{_part(course)}/assignments")

    def push_assignment(self, course: str, bundle: IO[bytes], advance: Advance, *, check: bool = False) -> Json:
        # A PUT of the same bundle is the same assignment, so a repeat is harmless.
        fields = {"check": "1"} if check else {}
        return self._upload("PUT", f"courses/{_part(course)}/assignments", "bundle", bundle, fields, advance)

    def start_run(
        self, course: str, assignment: str, code: IO[bytes], fields: Mapping[str, str], advance: Advance
    ) -> Json:
        """``fields`` must hold an idempotency_key: the same key and body make one run, however often it is sent."""
        if not fields.get("idempotency_key"):
            raise ValueError("start_run needs an idempotency_key")
        path = f"courses/{_part(course)}/assignments/{_part(assignment)}/runs"
        return self._upload("POST", path, "code", code, fields, advance)

    def runs(
        self, course: str, *, assignment: str = "", session: str = "", everyone: bool = False, limit: int = 0
    ) -> Json:
        params: dict[str, str] = {}
        if assignment:
            params["assignment"] = assignment
        if session:
            params["session"] = session
        if everyone:
            params["all"] = "1"
        if limit:
            params["limit"] = str(limit)
        return self._json("GET", f"courses/{_part(course)}/runs", params=params)

    def run(self, run: str, known: str = "", *, retry: bool = True) -> Json:
        """One run; with ``known``, a state, held by the server until there is something else to say."""
        return self._json("GET", f"runs/{run}", params=_waiting(known), repeat=retry)

    def find(self, course: Callable[[], str], session: str) -> Json:
        """The run of a session ``team/slug/N``, or of a run's id. Raises Refused where there is none."""
        try:
            return self.run(str(uuid.UUID(session)))
        except ValueError:
            pass
        found = [run for run in self.runs(course(), session=session) if run["session"] == session]
        if not found:
            raise Refused(f"There is no run {session} in {course()}", next="seodang ps -a", code="no_such_run")
        return found[0]

    def stop(self, run: str) -> Json:
        return self._json("POST", f"runs/{run}/stop", repeat=True)

    def fork(self, run: str, args: str | None, memo: str | None, checkpoint: str | None) -> Json:
        given = {"args": args, "memo": memo, "checkpoint": checkpoint}
        body = {name: value for name, value in given.items() if value is not None}
        return self._json("POST", f"runs/{run}/fork", json=body)

    def resume(self, run: str) -> Json:
        return self._json("POST", f"runs/{run}/resume")

    def remove(self, run: str, force: bool) -> None:
        self._send("DELETE", f"runs/{run}", params={"force": "1"} if force else {}, repeat=True)

    def metrics(self, run: str) -> Json:
        return self._json("GET", f"runs/{run}/metrics")

    def events(self, run: str) -> Json:
        return self._json("GET", f"runs/{run}/events")

    def memo(self, run: str, memo: str) -> Json:
        return self._json("POST", f"runs/{run}/memo", json={"memo": memo}, repeat=True)

    def log(self, run: str, offset: int, *, wait: bool = False, retry: bool = True) -> Json:
        params = {"offset": str(offset), **({"wait": "1"} if wait else {})}
        return self._json("GET", f"runs/{run}/log", params=params, repeat=retry)

    def code(self, run: str) -> IO[bytes]:
        return io.BytesIO(self._send("GET", f"runs/{run}/code").content)

    def outputs(self, run: str) -> Json:
        return self._json("GET", f"runs/{run}/outputs")

    def save_output(self, run: str, path: str, target: Path) -> None:
        self._save(f"runs/{run}/outputs/{quote(path)}", target)

    def checkpoints(self, run: str) -> Json:
        return self._json("GET", f"runs/{run}/checkpoints")

    def save_checkpoint(self, run: str, name: str, target: Path) -> None:
        self._save(f"runs/{run}/checkpoints/{_part(name)}", target)

    def remove_checkpoint(self, run: str, name: str) -> None:
        self._send("DELETE", f"runs/{run}/checkpoints/{_part(name)}", repeat=True)

    def submit(self, run: str, checkpoint: str | None, trial: bool) -> Json:
        return self._json("POST", f"runs/{run}/submissions", json={"checkpoint": checkpoint, "trial": int(trial)})

    def submission(self, submission: str, known: str = "", *, retry: bool = True) -> Json:
        return self._json("GET", f"submissions/{submission}", params=_waiting(known), repeat=retry)

    def board(self, course: str, assignment: str) -> Json:
        return self._json("GET", f"courses/{_part(course)}/assignments/{_part(assignment)}/board")

    def queue(self, course: str) -> Json:
        return self._json("GET", f"courses/{_part(course)}/queue")

    def devices(self, course: str) -> Json:
        return self._json("GET", f"courses/{_part(course)}/devices")

    def credit(self, course: str) -> Json:
        return self._json("GET", f"courses/{_part(course)}/credit")

    def datasets(self, course: str, word: str = "") -> Json:
        return self._json("GET", f"courses/{_part(course)}/datasets", params={"search": word} if word else {})

    def save_starter(self, course: str, name: str, target: Path) -> None:
        self._save(f"courses/{_part(course)}/assignments/{_part(name)}/start", target)

    def save_training_data(self, course: str, name: str, target: Path) -> None:
        self._save(f"courses/{_part(course)}/assignments/{_part(name)}/data", target)

    # How a request is sent.
    def _json(self, method: str, path: str, **options: Any) -> Json:
        response = self._send(method, path, **options)
        if not response.content:
            return {}
        try:
            return response.json()
        except ValueError as error:
            raise NetworkError(
                f"{self.address} did not answer with JSON", next="Check the address: seodang login ADDRESS"
            ) from error

    def _upload(
        self, method: str, path: str, field: str, file: IO[bytes], fields: Mapping[str, str], advance: Advance
    ) -> Json:
        def fresh() -> dict[str, Any]:
            counted = _Counted(file, advance)
            counted.seek(0)
            return {"files": {field: (f"{field}.zip", counted, "application/zip")}}

        return self._json(method, path, data=dict(fields), fresh=fresh, repeat=True)

    def _send(
        self,
        method: str,
        path: str,
        *,
        repeat: bool | None = None,
        fresh: Callable[[], dict[str, Any]] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """``repeat``: whether sending twice is harmless; GET is. What never reached the server is always sent again,
        except where the caller passes False and repeats by itself."""
        can_repeat = method == "GET" if repeat is None else repeat
        for wait in (*RETRY_WAITS_SECONDS, None):
            last = wait is None or repeat is False
            try:
                response = self._client.request(method, path, **options, **(fresh() if fresh else {}))
            except httpx.TransportError as error:
                never_arrived = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
                if last or not (can_repeat or never_arrived):
                    raise self._unreachable(error) from error
            else:
                asked = _retry_after(response)
                if last or not (asked is not None or (response.status_code in _BUSY and can_repeat)):
                    return self._checked(response)
                wait = asked if asked is not None else wait
            time.sleep(wait or 0.0)
        raise AssertionError("the last turn of the loop returns or raises")

    def _save(self, path: str, target: Path) -> None:
        """Stream a file to disk; a download that breaks leaves nothing half-written under the final name."""
        partial = target.with_name(target.name + ".part")
        try:
            with self._client.stream("GET", path) as response, partial.open("wb") as file:
                if response.status_code >= 300:
                    response.read()
                self._checked(response)
                for block in response.iter_bytes():
                    file.write(block)
            partial.replace(target)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            partial.unlink(missing_ok=True)

    def _unreachable(self, error: Exception) -> NetworkError:
        return NetworkError(
            f"{self.address} cannot be reached: {str(error) or type(error).__name__}",
            next="Check the network and try again; nothing is lost",
            code="unreachable",
        )

    def _checked(self, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status < 300:
            return response
        if status < 400:
            where = response.headers.get("Location", "elsewhere")
            raise NetworkError(f"{self.address} redirects to {where}", next="seodang login with that address")
        try:
            body = response.json()
        except ValueError:
            body = {}
        said = body.get("error") if isinstance(body, dict) else None
        said = said if isinstance(said, dict) else {}
        message = said.get("message") or f"{self.address} answered {status} {response.reason_phrase}"
        kind = NetworkError if status >= 500 else Refused
        advice = said.get("next") or ("seodang login ADDRESS" if status == 401 else "")
        raise kind(message, next=advice, code=said.get("code") or f"http_{status}", details=said.get("details"))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds the server asks to wait, where it refused only for the moment and the wait is short."""
    asked = response.headers.get("Retry-After", "")
    if response.status_code not in (429, 503) or not asked.isdigit():
        return None
    return float(asked) if float(asked) <= RETRY_AFTER_SECONDS_MAX else None


def _waiting(known: str) -> dict[str, str]:
    return {"wait": "1", "state": known} if known else {}


def _part(name: str) -> str:
    return quote(name, safe="")
