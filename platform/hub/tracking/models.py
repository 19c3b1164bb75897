"""What runs log. ``run_uuid`` is MLflow's run id: the 32 hex digits of the run's own id."""

from __future__ import annotations

from django.db import models


class TrackedRun(models.Model):
    run_uuid = models.CharField(max_length=32, primary_key=True)
    experiment_id = models.CharField(max_length=32)
    experiment_name = models.CharField(max_length=200)
    name = models.CharField(max_length=250)
    user = models.CharField(max_length=150, blank=True)
    started_ms = models.BigIntegerField()
    ended_ms = models.BigIntegerField(null=True)
    mirror_run_id = models.CharField(max_length=32, blank=True)  # the run in MLflow's own store
    mirror_cursor = models.BigIntegerField(default=0)  # last MetricPoint.id copied


class MetricPoint(models.Model):
    """MLflow's own key is (key, timestamp, step, value, is_nan)."""

    id = models.BigAutoField(primary_key=True)
    # The insert holds the run's row itself: a constraint would look at it again for each of a batch's thousand points.
    run = models.ForeignKey(
        TrackedRun, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="points"
    )
    key = models.CharField(max_length=250)
    value = models.FloatField()  # 0 where is_nan, as in MLflow's store
    is_nan = models.BooleanField(default=False)
    timestamp_ms = models.BigIntegerField()
    step = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["run", "id"], name="metric_point_order")]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "key", "timestamp_ms", "step", "value", "is_nan"], name="metric_point_once"
            )
        ]


class RunText(models.Model):
    """A param, a tag, or the JSON of what MLflow keeps beside them."""

    run = models.ForeignKey(TrackedRun, on_delete=models.CASCADE, related_name="texts")
    kind = models.CharField(max_length=8)  # param, tag; untag (a tag gone); input, model, output, official (JSON)
    key = models.CharField(max_length=250)
    value = models.TextField()
    mirrored = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "kind", "key"], name="run_text_once")]
        indexes = [models.Index(fields=["run"], name="run_text_waiting", condition=models.Q(mirrored=False))]
