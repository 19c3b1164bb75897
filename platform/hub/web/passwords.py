"""A forgotten password, where the site may send no mail."""

from __future__ import annotations

from allauth.account.views import password_reset
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from courses.errors import Refused


def reset(request: HttpRequest) -> HttpResponse:
    """allauth's page, or word that no mail will come."""
    if settings.MAIL:
        answer: HttpResponse = password_reset(request)
        return answer
    error = Refused(
        "no_mail",
        _("This site sends no mail, so it cannot send you a link."),
        _("If you never chose a password, ask your instructor for a sign-in link; else ask whoever runs the site."),
    )
    return render(request, "error.html", {"error": error}, status=error.status)
