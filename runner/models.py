"""Jobs, attempts, nodes, devices, leases and the outbox."""

from __future__ import annotations

import uuid

from django.db import models


class JobState(models.TextChoices):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class Job(models.Model):
    """Something to run in a container. ``owner_key`` and ``share_path`` are opaque here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16)
    spec = models.JSONField()
    owner_key = models.CharField(max_length=100)  # limits on runs at once are counted by it
    owner_running_max = models.PositiveIntegerField(default=0)  # 0: no limit
    share_path = models.CharField(max_length=200)  # "course/team"
    priority_class = models.CharField(max_length=16, default="normal")  # express, normal
    state = models.CharField(max_length=16, choices=JobState.choices, default=JobState.QUEUED)
    outcome = models.CharField(max_length=16, blank=True)
    detail = models.JSONField(default=dict)  # exit_code, error, collected files, seconds
    stop_requested_at = models.DateTimeField(null=True)
    held = models.BooleanField(default=False)
    tries = models.PositiveIntegerField(default=0)
    tries_max = models.PositiveIntegerField(default=3)
    not_before = models.DateTimeField(null=True)
    reason = models.CharField(max_length=1000, blank=True)  # why it waits, as runner.sentences writes it
    position = models.PositiveIntegerField(null=True)
    expected_start_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["state", "created_at"])]


class Attempt(models.Model):
    """One try of a job. ``fence`` is the token that each write of its worker must carry."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    fence = models.UUIDField(default=uuid.uuid4)
    node = models.ForeignKey("Node", on_delete=models.PROTECT, related_name="attempts")
    state = models.CharField(max_length=16, default="starting")  # starting, running, ended
    outcome = models.CharField(max_length=16, blank=True)
    detail = models.JSONField(default=dict)
    usage = models.JSONField(default=list)  # see runner.usage: [unix seconds, cores, memory bytes, GPU %, GPU bytes]
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number"),
            models.UniqueConstraint(
                fields=["job"], condition=~models.Q(state="ended"), name="one_live_attempt_per_job"
            ),
        ]


class Node(models.Model):
    name = models.CharField(max_length=100, unique=True)
    cpus = models.FloatField(default=0)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    drained = models.BooleanField(default=False)
    runtimes = models.JSONField(default=list)  # that its engine can run containers under, besides its own
    seen_at = models.DateTimeField(null=True)


class Device(models.Model):
    """A GPU, or the CPU of a node (kind ``cpu``) whose slots stand in for GPUs where there are none."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="devices")
    uuid = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=8)  # gpu, cpu
    index = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=100)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    slots = models.PositiveIntegerField(default=1)
    drained = models.BooleanField(default=False)
    gone = models.BooleanField(default=False)  # its node did not have it when it last told what it has


class Lease(models.Model):
    """A slot of a device, held by an attempt. The partial unique index makes a double lease impossible."""

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="leases")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="leases")
    slot = models.PositiveIntegerField()
    leased_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device", "slot"], condition=models.Q(released_at=None), name="slot_leased_once"
            )
        ]


class EnvironmentBuild(models.Model):
    """The image of an environment as its folder is now; another content is another tag, and so another row.

    ``absent`` is wanted and not begun. A row that is ``building`` when a runner starts is begun again.
    """

    tag = models.CharField(max_length=200, unique=True)
    environment = models.CharField(max_length=100)
    state = models.CharField(max_length=10, default="absent")  # absent, building, ready, failed
    step = models.PositiveIntegerField(default=0)  # 0 until the engine counts them
    steps = models.PositiveIntegerField(default=0)
    line = models.CharField(max_length=200, blank=True)  # the last that the build said
    log = models.TextField(blank=True)  # its end, bounded
    error = models.CharField(max_length=300, blank=True)
    failures = models.PositiveIntegerField(default=0)
    wanted_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    try_again_at = models.DateTimeField(null=True)  # of a failed one, when a job wants it


class OutboxEvent(models.Model):
    """A transition, for one handler to react to. Written in the transition's own transaction."""

    handler = models.CharField(max_length=40)
    kind = models.CharField(max_length=32)  # job_started, job_ended, job_retrying
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    handled_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(handled_at=None), name="outbox_open")]
