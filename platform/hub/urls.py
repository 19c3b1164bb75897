"""Every address of the site."""

from __future__ import annotations

from django.urls import include, path

from hub.web.passwords import reset

urlpatterns = [
    path("accounts/password/reset/", reset, name="account_reset_password"),  # in place of allauth's own
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("hub.api.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("hub.web.urls")),
]
