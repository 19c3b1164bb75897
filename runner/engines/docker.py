"""The Docker engine, through its API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

import docker
import requests
from docker import errors
from docker.types import DeviceRequest

from runner.engines.base import CannotStart, EngineUnavailable, ImageMissing
from runner.sandbox import SandboxError, environment, host_config
from runner.spec import CONTAINER_UID, ContainerSpec, Observation, Reading

TIMEOUT_SECONDS = 30
Result = TypeVar("Result")


class DockerEngine:
    """One daemon. The client is made at the first call, so that importing this needs no Docker."""

    def __init__(self, address: str) -> None:
        self.address = address

    @cached_property
    def _api(self) -> Any:
        return docker.APIClient(base_url=self.address, version="1.41", timeout=TIMEOUT_SECONDS)

    def _call(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except (requests.exceptions.RequestException, errors.DockerException) as error:
            if isinstance(error, errors.APIError) and not (error.is_server_error() and "shutting down" in str(error)):
                raise
            raise EngineUnavailable(f"Docker does not answer: {error}") from error

    def start(self, spec: ContainerSpec) -> None:
        try:
            config = host_config(spec)
        except SandboxError as error:
            raise CannotStart(str(error)) from error
        try:
            self._call(lambda: self._create(spec, config))
            self._call(lambda: self._api.start(spec.name))
        except errors.ImageNotFound as error:
            raise ImageMissing(f"The image {spec.image} is not on this node.") from error
        except errors.NotFound as error:  # another caller's create has the name and is not done: look again
            raise EngineUnavailable(str(error)) from error
        except errors.APIError as error:
            raise CannotStart(str(error.explanation or error)) from error

    def _create(self, spec: ContainerSpec, config: dict[str, Any]) -> None:
        if spec.device_uuids:
            config["device_requests"] = [
                DeviceRequest(driver="nvidia", device_ids=list(spec.device_uuids), capabilities=[["gpu"]])
            ]
        try:
            self._api.create_container(
                spec.image,
                name=spec.name,
                command=list(spec.command),
                environment=environment(spec),
                labels=dict(spec.labels),
                user=f"{CONTAINER_UID}:{CONTAINER_UID}",
                hostname="seodang",
                host_config=self._api.create_host_config(**config),
            )
        except errors.APIError as error:
            if error.status_code != 409:  # 409: it was created before, by this attempt alone
                raise

    def poll(self, name: str) -> Observation:
        try:
            raw = self._call(lambda: self._api.inspect_container(name))
        except errors.NotFound:
            return Observation(name, "absent")
        return _observation(raw)

    def usage(self, name: str) -> Reading | None:
        try:
            # One shot: without it the daemon waits a second, to compute a difference that is computed here.
            raw = self._call(lambda: self._api.stats(name, stream=False, one_shot=True))
        except errors.NotFound:
            return None
        except errors.APIError as error:
            if error.status_code == 409:  # it is being removed
                return None
            raise EngineUnavailable(str(error)) from error
        return _reading(raw)

    def list(self, labels: Mapping[str, str]) -> list[Observation]:
        wanted = [f"{key}={value}" for key, value in labels.items()]
        found = self._call(lambda: self._api.containers(all=True, filters={"label": wanted}))
        return [self.poll(one["Names"][0].lstrip("/")) for one in found]

    def stop(self, name: str, grace_seconds: int) -> None:
        try:
            self._call(lambda: self._api.stop(name, timeout=grace_seconds))
        except errors.NotFound:
            return

    def remove(self, name: str) -> None:
        try:
            self._call(lambda: self._api.remove_container(name, force=True, v=True))
        except errors.NotFound:
            return
        except errors.APIError as error:
            if "already in progress" not in str(error):
                raise EngineUnavailable(str(error)) from error
            raise EngineUnavailable("The container is being removed.") from error

    def runtimes(self) -> frozenset[str]:
        found: dict[str, Any] = self._call(self._api.info)
        return frozenset(found.get("Runtimes") or ())

    def events(self, labels: Mapping[str, str]) -> Iterator[str]:
        wanted = [f"{key}={value}" for key, value in labels.items()]
        client = docker.APIClient(base_url=self.address, version="1.41", timeout=3600)
        stream = client.events(decode=True, filters={"event": ["die"], "label": wanted})
        for event in stream:
            yield event["Actor"]["Attributes"].get("name", "")


def _observation(raw: dict[str, Any]) -> Observation:
    state = raw["State"]
    status = {"restarting": "running", "paused": "running", "dead": "exited", "removing": "exited"}.get(
        state["Status"], state["Status"]
    )
    return Observation(
        name=raw["Name"].lstrip("/"),
        state=status,
        labels=raw["Config"]["Labels"] or {},
        exit_code=state["ExitCode"] if status == "exited" else None,
        oom_killed=bool(state["OOMKilled"]),
        error=state["Error"],
    )


def _reading(raw: dict[str, Any]) -> Reading | None:
    memory = raw.get("memory_stats") or {}
    used = memory.get("usage")
    if not used:  # a container that does not run is all zeros
        return None
    stats = memory.get("stats") or {}
    # cgroup v1 counts the cache of the whole tree under total_…, v2 knows the one name: as `docker stats` does.
    cache = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return Reading(
        at=dt.datetime.fromisoformat(raw["read"][:26].rstrip("Z") + "+00:00").timestamp(),  # it writes nanoseconds
        cpu_seconds=raw["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory_bytes=max(0, used - cache),
    )
