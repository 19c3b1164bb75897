"""Users, courses, memberships and API tokens."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person. Our own model from the first migration, so that it can grow."""

    language = models.CharField(max_length=8, blank=True)

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username


def new_join_code() -> str:
    return secrets.token_urlsafe(9)


class Course(models.Model):
    slug = models.SlugField(max_length=64, unique=True)
    title = models.CharField(max_length=200)
    term = models.CharField(max_length=60, blank=True)
    join_code = models.CharField(max_length=32, default=new_join_code, unique=True)
    is_open = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Role(models.TextChoices):
    INSTRUCTOR = "instructor", _("Instructor")
    TA = "ta", _("TA")
    STUDENT = "student", _("Student")
    OBSERVER = "observer", _("Observer")


STAFF_ROLES = (Role.INSTRUCTOR, Role.TA)


class Membership(models.Model):
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "user"], name="one_role_per_course")]

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF_ROLES


class ApiToken(models.Model):
    """A named, revocable token; only its SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
