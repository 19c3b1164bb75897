"""What can go wrong in the command; each error says what to do next and carries its exit status."""

from __future__ import annotations

from typing import Any


class SeodangError(Exception):
    """Base of the tree. ``message`` is for the person who reads it; ``next`` is the step to take."""

    exit_code = 1

    def __init__(self, message: str, next: str = "", code: str = "error", details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.next = next
        self.code = code
        self.details = details

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": self.message, "next": self.next}
        if self.details:
            body["details"] = self.details
        return {"error": body}


class Refused(SeodangError):
    """The server understood and said no, or a local check did."""


class Usage(SeodangError):
    """The command line or the saved settings lack something."""

    exit_code = 2


class NetworkError(SeodangError):
    """The server could not be reached, or answered with a fault of its own."""

    exit_code = 3
