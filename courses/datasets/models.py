"""A data set's versions. Each split is a folder named by its archive's hash."""

from __future__ import annotations

from django.db import models

from courses.roster.models import Course


class DatasetVersion(models.Model):
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="datasets")
    name = models.SlugField(max_length=64)
    number = models.PositiveIntegerField()
    license = models.CharField(max_length=64)
    source = models.CharField(max_length=300, blank=True)
    train_sha256 = models.CharField(max_length=64)
    test_sha256 = models.CharField(max_length=64)
    labels_sha256 = models.CharField(max_length=64)
    sample_inputs_sha256 = models.CharField(max_length=64, blank=True)
    sample_labels_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "name", "number"], name="dataset_version")]
