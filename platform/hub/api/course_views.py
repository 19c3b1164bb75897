"""The API's views of what a course shares: its data, its machines, what was used."""

from __future__ import annotations

from django.db.models import Count
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from courses.assignments import queries as assignments
from courses.roster import queries as roster
from courses.submissions import machines, queries
from hub.tracking.models import MetricPoint


class Datasets(APIView):
    @extend_schema(parameters=[OpenApiParameter("search", str)], responses=dict)
    def get(self, request: Request, course: str) -> Response:
        """The data of the assignments that are open to me, with their licences."""
        place = roster.membership(request.user, course)
        return Response(assignments.datasets(place, request.query_params.get("search", "")))


class Devices(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, course: str) -> Response:
        """Which machine is busy, and with which runs of mine."""
        return Response(machines.devices(roster.membership(request.user, course)))


class Credit(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, course: str) -> Response:
        """What my team used, and its limits."""
        return Response(machines.credit(roster.membership(request.user, course)))


class Events(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, run: str) -> Response:
        """How many points the run logged, by key."""
        found = queries.run(request.user, run)
        rows = MetricPoint.objects.filter(run_id=found.id.hex).values("key").annotate(count=Count("id"))
        keys = {row["key"]: row["count"] for row in rows.order_by("key")[:500]}
        return Response({"count": sum(keys.values()), "keys": keys})
