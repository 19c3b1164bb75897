"""Assignments and their versions. Old versions are kept: a score names the version it was made with."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.functional import cached_property

from courses.assignments.bundle import AssignmentConfig
from courses.datasets.models import DatasetVersion
from courses.roster.models import Course


class Assignment(models.Model):
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="assignments")
    slug = models.SlugField(max_length=64)
    title = models.CharField(max_length=200)
    opens_at = models.DateTimeField()
    due_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "slug"], name="assignment_slug_in_course")]

    def __str__(self) -> str:
        return self.slug

    kept: AssignmentVersion | None = None  # what a query read with it, for as long as that query's answer lives

    @property
    def current(self) -> AssignmentVersion:
        if self.kept is not None:
            return self.kept
        version = self.versions.order_by("-number").first()
        assert version is not None  # made in the same transaction as the assignment
        return version


class AssignmentVersion(models.Model):
    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    raw = models.JSONField()  # assignment.yaml as parsed
    readme = models.TextField(blank=True)
    dataset = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="+")
    scorer_sha256 = models.CharField(max_length=64)
    bundle_sha256 = models.CharField(max_length=64)
    baseline_sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["assignment", "number"], name="assignment_version")]

    @cached_property
    def config(self) -> AssignmentConfig:
        return AssignmentConfig.from_raw(self.raw)
