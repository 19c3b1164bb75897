"""The API's views of who somebody is: login, tokens."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth import authenticate
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle, SimpleRateThrottle
from rest_framework.views import APIView

from courses.roster import queries as roster
from courses.roster.services import create_token, revoke_token
from hub.api import serializers


def clean(form: type[Any], request: Request) -> dict[str, Any]:
    """The request's fields, checked."""
    given = form(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


class AddressThrottle(AnonRateThrottle):
    """Wide: in its first lab a whole class logs in from one address."""

    scope = "login_address"
    rate = "600/min"


class AccountThrottle(SimpleRateThrottle):
    """Narrow: nobody needs more tries at one account."""

    scope = "login_account"
    rate = "10/min"

    def get_cache_key(self, request: Request, view: Any) -> str:
        name = str(request.data.get("username", "") if hasattr(request.data, "get") else "").lower()
        return self.cache_format % {"scope": self.scope, "ident": roster.digest(name)}


LOGIN_FAILED = "login_failed"


class Login(APIView):
    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [AddressThrottle, AccountThrottle]

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"  # so that a wrong password is a 401

    @extend_schema(request=serializers.LoginInput, responses=dict)
    def post(self, request: Request) -> Response:
        """A new token for a username and password, and ``code`` where the account has a second factor."""
        given = clean(serializers.LoginInput, request)
        user = authenticate(request._request, username=given["username"], password=given["password"])
        if user is None:
            raise AuthenticationFailed(_("This username and password do not match."), LOGIN_FAILED)
        factors = list(Authenticator.objects.filter(user=user))
        if factors and not any(one.wrap().validate_code(given["code"]) for one in factors if given["code"]):
            raise AuthenticationFailed(_("This account also asks for the code of its second factor."), "second_factor")
        return Response({"token": create_token(user, given["name"]), "username": user.get_username()})


class Me(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        """Who I am, and in which courses."""
        places = roster.memberships(request.user)
        courses = [{"slug": one.course.slug, "title": one.course.title, "role": one.role} for one in places]
        return Response(
            {
                "username": request.user.get_username(),
                "name": getattr(request.user, "display_name", ""),
                "courses": courses,
            }
        )


class Tokens(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        """My tokens, newest first; never the tokens themselves."""
        fields = ("id", "name", "created_at", "last_used_at", "expires_at")
        return Response([{name: getattr(one, name) for name in fields} for one in roster.tokens(request.user)])

    @extend_schema(request=serializers.TokenInput, responses=dict)
    def post(self, request: Request) -> Response:
        """A new token, shown this once; with ``days`` it ends after them."""
        given = clean(serializers.TokenInput, request)
        return Response({"token": create_token(request.user, given["name"], given["days"])}, status=201)


class Token(APIView):
    @extend_schema(responses=None)
    def delete(self, request: Request, token: int) -> Response:
        """Revoke one of my tokens; what is open by it closes."""
        revoke_token(request.user, token)
        return Response(status=204)
