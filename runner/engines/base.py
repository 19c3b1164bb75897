"""What an engine is, by what a caller can observe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from runner.spec import ContainerSpec, Observation, Reading


class EngineError(Exception):
    """The engine refused; the message is for the operator."""


class EngineUnavailable(EngineError):
    """It does not answer: nothing is known, ask again later."""


class CannotStart(EngineError):
    """It answered that this container cannot start."""


class ImageMissing(CannotStart):
    """Its image is not on this node (any more)."""


class Engine(Protocol):
    """Safe to call before a start, during it, after the container is gone, and twice."""

    def start(self, spec: ContainerSpec) -> None:
        """Create and start; a container of this name that exists is started, if it never was. Raises EngineError."""

    def poll(self, name: str) -> Observation:
        """What is there now; ``absent`` if nothing is."""

    def usage(self, name: str) -> Reading | None:
        """What it uses, answered at once; None when it does not run."""

    def list(self, labels: Mapping[str, str]) -> list[Observation]:
        """All containers that carry the labels."""

    def stop(self, name: str, grace_seconds: int) -> None:
        """Ask, and after the grace insist. Nothing happens when it is gone."""

    def remove(self, name: str) -> None:
        """Gone when this returns."""

    def runtimes(self) -> frozenset[str]:
        """Names of what it can run containers under, as ``runsc``; its own default needs none."""

    def events(self, labels: Mapping[str, str]) -> Iterator[str]:
        """Names of containers as they end, until the connection does."""
