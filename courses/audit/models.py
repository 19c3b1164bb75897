"""The audit log: append only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Entry(models.Model):
    """One thing somebody (or the platform itself) did."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    action = models.CharField(max_length=80)
    course_slug = models.CharField(max_length=64, blank=True)
    target = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["course_slug", "-id"])]


def record(actor: Any, action: str, target: object, course_slug: str = "", **detail: object) -> Entry:
    """Write one entry in the caller's transaction."""
    return Entry.objects.create(
        actor=actor, action=action, target=str(target)[:200], course_slug=course_slug, detail=detail
    )
