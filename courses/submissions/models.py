"""Runs, checkpoints, submissions and score events."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from courses.assignments.models import Assignment, AssignmentVersion
from courses.teams.models import Team


class RunState(models.TextChoices):
    PREFLIGHT = "preflight", _("checking")
    QUEUED = "queued", _("queued")
    STARTING = "starting", _("starting")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    OUT_OF_MEMORY = "out_of_memory", _("out of memory")
    TIMED_OUT = "timed_out", _("timed out")
    OUTPUT_LIMIT = "output_limit", _("output limit")
    STOPPED = "stopped", _("stopped")
    PREEMPTED = "preempted", _("preempted")
    LOST = "lost", _("lost")
    REFUSED = "refused", _("refused")


ACTIVE_RUN_STATES = (RunState.PREFLIGHT, RunState.QUEUED, RunState.STARTING, RunState.RUNNING)


class Run(models.Model):
    """One push. Its session name is TEAM/ASSIGNMENT/NUMBER."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="runs")
    version = models.ForeignKey(AssignmentVersion, on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="runs")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="runs")
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="forks")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=RunState.choices, default=RunState.PREFLIGHT)
    sentence = models.TextField(blank=True)  # what happened and whose fault, for the student
    memo = models.CharField(max_length=500, blank=True)
    entry = models.CharField(max_length=300)
    args = models.CharField(max_length=1000, blank=True)
    code_sha256 = models.CharField(max_length=64)
    code_files = models.PositiveIntegerField()
    code_bytes = models.PositiveBigIntegerField()
    wants_submit = models.BooleanField(default=False)
    idempotency_key = models.CharField(max_length=100, blank=True)
    preflight_job = models.UUIDField(null=True)
    job = models.UUIDField(null=True)
    resources = models.JSONField(default=dict)  # asked for with the push, where it is less than the assignment gives
    checkpoint_name = models.CharField(max_length=128, blank=True)  # the parent's, that this run finds in /checkpoint
    checkpoint_sha256 = models.CharField(max_length=64, blank=True)  # kept here too: the parent may remove it
    hidden_at = models.DateTimeField(null=True)  # its team removed it from its lists
    outputs = models.JSONField(default=list)  # [{path, size, sha256}]
    exit_code = models.IntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "assignment", "number"], name="run_number"),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], condition=~models.Q(idempotency_key=""), name="run_idempotency"
            ),
        ]
        indexes = [models.Index(fields=["assignment", "-created_at"])]

    @property
    def session(self) -> str:
        return f"{self.team.name}/{self.assignment.slug}/{self.number}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_RUN_STATES


class Checkpoint(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="checkpoints")
    name = models.CharField(max_length=128)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="checkpoint_name")]
        ordering = ["-created_at", "name"]


class SubmissionState(models.TextChoices):
    PREDICTING = "predicting", _("predicting")
    SCORING = "scoring", _("scoring")
    SCORED = "scored", _("scored")
    FAILED = "failed", _("failed")


class Submission(models.Model):
    """One checkpoint sent to be scored; ``trial`` runs on the public sample and costs nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="submissions")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, related_name="submissions")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    trial = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=SubmissionState.choices, default=SubmissionState.PREDICTING)
    counts = models.BooleanField(default=True)  # against the day's limit; False when the fault was ours or staff's
    sentence = models.TextField(blank=True)
    staff_detail = models.TextField(blank=True)
    predict_job = models.UUIDField(null=True)
    score_job = models.UUIDField(null=True)
    predictions_sha256 = models.CharField(max_length=64, blank=True)
    scores = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["run", "-created_at"])]


class ScoreEvent(models.Model):
    """An official score. One a submission: the database refuses a second."""

    submission = models.OneToOneField(Submission, on_delete=models.CASCADE, related_name="score_event")
    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="score_events")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="score_events")
    scores = models.JSONField()
    primary = models.FloatField()
    provenance = models.JSONField(default=dict)  # hashes of code, checkpoint, data, scorer, image
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["assignment", "team", "id"])]
