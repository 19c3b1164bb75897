"""One shape for every error: a code, a message for its reader, and the next step."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, views
from rest_framework.response import Response

from courses.errors import CourseError, NotFound

NEXT = {
    401: _("Log in: seodang login ADDRESS"),
    403: _("Ask your instructor for access."),
    404: _("Check the address."),
    429: _("Wait a minute, then try again."),
}


def body(code: str, message: str, next: str = "", details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message, "next": next}
    if details:
        error["details"] = details
    return {"error": error}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler."""
    if isinstance(error, Http404):
        error = NotFound()
    if isinstance(error, CourseError):
        views.set_rollback()
        return Response(body(error.code, error.message, error.next, error.details), status=error.status)
    response = views.exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else "invalid"
    next = NEXT.get(response.status_code, _("Mend the request."))
    if code == "login_failed":
        next = _("Type them again, or make a token on the web page and log in with --token.")
    message = str(error.detail) if isinstance(codes, str) else gettext("Some fields are missing or malformed.")
    details = [] if isinstance(codes, str) else [{"fields": error.detail}]
    response.data = body(code, message, str(next), details)
    return response
