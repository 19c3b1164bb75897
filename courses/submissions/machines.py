"""Reads of what the class's machines do, and of what a team used."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any

from django.utils import timezone

from courses.assignments.queries import assignments
from courses.roster.models import Membership
from courses.roster.rules import allowed
from courses.submissions.admission import submissions_today
from courses.submissions.models import Run
from courses.teams.models import TeamMember
from courses.teams.queries import team_of
from runner import states
from runner.models import Attempt, Device, Lease


def devices(place: Membership) -> list[dict[str, Any]]:
    """Each GPU, or the CPU slots: how many are busy, and with which runs of the member's own teams (staff: all)."""
    leases = Lease.objects.filter(released_at=None).values_list("device_id", "attempt__job_id")
    busy: dict[int, list[Any]] = defaultdict(list)
    for device, job in leases:
        busy[device].append(job)
    runs = Run.objects.select_related("team", "assignment").filter(
        assignment__course=place.course, job__in=[job for jobs in busy.values() for job in jobs]
    )
    if not allowed(place.role, "see_all_runs"):
        runs = runs.filter(team__in=TeamMember.objects.filter(user=place.user).values("team"))
    names = {run.job: run.session for run in runs}
    return [
        {
            "node": one.node.name, "index": one.index, "name": one.name, "kind": one.kind,
            "memory_bytes": one.memory_bytes, "slots": one.slots, "busy": len(busy[one.pk]),
            "drained": one.drained or one.node.drained,
            "runs": sorted(names[job] for job in busy[one.pk] if job in names),
        }
        for one in Device.objects.filter(gone=False).exclude(kind="express").select_related("node").order_by("node__name", "index")
    ]  # fmt: skip


def credit(place: Membership) -> list[dict[str, Any]]:
    """What the member's team used of each assignment, and its limits. The platform's own faults are not counted."""
    now = timezone.now()
    found = []
    for one in assignments(place.course):
        config, team = one.current.config, team_of(place.user, place.course, one.slug)
        minutes, gpu_minutes = _used(f"{team.pk}:{one.pk}", now) if team else (0.0, 0.0)
        running = Run.objects.filter(assignment=one, team=team, state="running").count() if team else 0
        found.append(
            {
                "assignment": one.slug, "team": team.name if team else "", "minutes": round(minutes, 1),
                "gpu_minutes": round(gpu_minutes, 1), "running": running, "running_at_once": config.running_at_once,
                "submissions_today": submissions_today(team, one) if team else 0,
                "submissions_per_day": config.submissions_per_day,
            }
        )  # fmt: skip
    return found


def _used(owner_key: str, now: dt.datetime) -> tuple[float, float]:
    """Minutes on machines, and those times the GPUs."""
    rows = (
        Attempt.objects.filter(job__owner_key=owner_key, job__kind="run")
        .exclude(outcome__in=states.OURS)
        .values_list("created_at", "ended_at", "job__spec__gpus")
    )
    minutes = [((ended or now) - began, gpus or 0) for began, ended, gpus in rows]
    return (
        sum(spent.total_seconds() / 60 for spent, _gpus in minutes),
        sum(spent.total_seconds() / 60 * gpus for spent, gpus in minutes),
    )
