"""What a person may be told: each error has a code, a message for its reader, and the next step."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext


class CourseError(Exception):
    """The root of the domain's errors."""

    status = 400

    def __init__(self, code: str, message: str, next: str = "", details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.next = code, str(message), str(next)
        self.details = details or []


class Invalid(CourseError):
    """What was sent is malformed."""

    status = 400


class Forbidden(CourseError):
    """They can see it, and may not do that."""

    status = 403


class NotFound(CourseError):
    """It does not exist, or it does not exist for them."""

    status = 404

    def __init__(self, code: str = "not_found", message: str = "", next: str = "") -> None:
        super().__init__(
            code,
            message or gettext("There is nothing here for you."),
            next or gettext("Check the address, or ask your instructor to add you to the course."),
        )


class Refused(CourseError):
    """Well-formed and allowed, and cannot be done now."""

    status = 409
