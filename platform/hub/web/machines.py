"""The GPUs page: which device does what, for whom, how hard and for how long at most; and who waits."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from typing import Any

from django.db.models import Min, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.views.decorators.http import require_safe

from courses.roster import queries as roster
from courses.submissions import queries
from courses.submissions.models import Run, RunState, Submission
from hub.web import summaries
from hub.web.pages import context, page, watched
from runner import queue as runner_queue
from runner.models import Device, Lease


@page
@require_safe
def gpus(request: HttpRequest, slug: str) -> HttpResponse:
    place = roster.membership(request.user, slug)
    roster.require(place, "manage_devices")
    held = Lease.objects.filter(released_at=None).select_related("attempt__job")
    devices = list(
        Device.objects.filter(Q(gone=False) | Q(pk__in=held.values("device")))
        .select_related("node")
        .prefetch_related(Prefetch("leases", held))
        .order_by("node__name", "index")
    )
    leases = [lease for device in devices for lease in device.leases.all()]
    runs = runs_of({lease.attempt.job_id for lease in leases})
    nodes: dict[str, dict[str, Any]] = {}
    for device in devices:
        by_slot = {lease.slot: lease for lease in device.leases.all()}
        node = nodes.setdefault(device.node.name, {"node": device.node, "tiles": []})
        node["tiles"] += [tile(device, by_slot.get(slot), slot, runs) for slot in range(device.slots)]
    tiles = [one for node in nodes.values() for one in node["tiles"]]
    uses = Counter(one["use"] for one in tiles)
    teams = Counter(one["session"].split("/")[0] for one in tiles if one.get("session")).most_common(1)
    waiting = Run.objects.filter(assignment__course=place.course, state=RunState.QUEUED)
    return render(
        request,
        "web/gpus.html",
        context(
            place, "gpus", nodes=nodes, queue=queries.queue(place.course), slots=len(tiles),
            busy=uses["busy"] + uses["idle"], idle=uses["idle"], drained=uses["drained"],
            gpus=runner_queue.largest_node_gpus(), most=teams[0] if teams and teams[0][1] > 1 else None,
            longest=waiting.aggregate(at=Min("created_at"))["at"], **watched(place, [], every_seconds=10),
        ),
    )  # fmt: skip


def runs_of(jobs: set[uuid.UUID]) -> dict[uuid.UUID, tuple[uuid.UUID, bool]]:
    """job → (its run, whether it is the run itself and no check or scoring of it)."""
    found: dict[uuid.UUID, tuple[uuid.UUID, bool]] = {}
    for name, places in (("preflight_job", Run), ("predict_job", Submission), ("score_job", Submission), ("job", Run)):
        run = "pk" if places is Run else "run_id"
        rows = places.objects.filter(**{f"{name}__in": jobs}).values_list(name, run)
        found |= {job: (key, name == "job") for job, key in rows}
    return found


def tile(
    device: Device, lease: Lease | None, slot: int, runs: dict[uuid.UUID, tuple[uuid.UUID, bool]]
) -> dict[str, Any]:
    """One slot of a device: what it does now and for how long at most."""
    drained = device.drained or device.node.drained
    shown: dict[str, Any] = {"device": device, "slot": slot, "use": "drained" if drained else "free"}
    if lease is None:
        return shown
    job, spec = lease.attempt.job, lease.attempt.job.spec
    run, is_own = runs.get(job.id, (None, False))
    samples = lease.attempt.usage
    idle = summaries.idle_seconds(samples) if device.kind == "gpu" else 0.0
    return {
        **shown, "use": "idle" if idle >= summaries.IDLE_SECONDS else "busy", "since": lease.leased_at, "idle": idle,
        "ends": lease.leased_at + dt.timedelta(seconds=spec["limits"]["wall_seconds_max"]), "kind": job.kind,
        "age": (timezone.now() - lease.leased_at).total_seconds(), "session": spec["env"].get("SEODANG_SESSION", ""),
        "run": run, "may_stop": is_own and job.stop_requested_at is None, **load(device, spec["limits"], samples),
    }  # fmt: skip


def load(device: Device, limits: dict[str, Any], samples: list[list[Any]]) -> dict[str, Any]:
    """How hard the newest sample says that it works, and its memory beside what there is of it."""
    if not samples:
        return {"share": None}
    _at, cores, memory, gpu, gpu_memory = [*samples[-1], None, None][:5]
    if device.kind == "gpu" and gpu is not None:
        share, used, most = float(gpu), gpu_memory or 0, device.memory_bytes
    else:
        share, used, most = 100 * cores / (limits["cpus"] or 1), memory, limits["memory_bytes"]
    return {"share": round(min(100.0, share)), "memory": f"{filesizeformat(used)} / {filesizeformat(most)}"}
