"""What a run uses beside what it may: meters of the newest sample, each with its last minutes as a line."""

from __future__ import annotations

from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from courses.submissions import queries
from courses.submissions.models import Run
from hub.web import summaries
from runner.models import Device

SAMPLES_SHOWN = 60
USED = "{used}"  # where the page's script writes the newest number


def device_of(run: Run) -> Device | None:
    """The GPU, or the CPU's slot, that the run's newest attempt holds or held last."""
    if run.job is None:
        return None
    held = Device.objects.select_related("node").filter(leases__attempt__job=run.job)
    return held.order_by("-leases__attempt__number", "-leases__pk").first()


def shown(run: Run) -> dict[str, Any] | None:
    """None as long as nothing was measured."""
    used = queries.usage(run)
    samples = used["samples"][-SAMPLES_SHOWN:]
    if not samples:
        return None
    device = device_of(run)
    gpu_bytes = device.memory_bytes if device and device.kind == "gpu" else 0
    found = [
        meter("cpu", _("CPU"), _("%(used)s of %(most)s cores"), samples, 1, used["cpus"], f"{used['cpus']:g}"),
        meter(
            "memory", _("Memory"), _("%(used)s of %(most)s"), samples, 2, used["memory_bytes"],
            filesizeformat(used["memory_bytes"]), warns=True,
        ),
    ]  # fmt: skip
    if used["gpus"]:
        found = [
            meter("gpu", _("GPU"), "%(used)s%%", samples, 3, 100, "100"),
            meter(
                "gpu_memory", _("GPU memory"), _("%(used)s of %(most)s"), samples, 4, gpu_bytes,
                filesizeformat(gpu_bytes),
            ),
            *found,
        ]  # fmt: skip
    meters = [one for one in found if one]
    return {
        "meters": meters, "samples": samples, "device": device, "most": filesizeformat(used["memory_bytes"]),
        "full": any(one["key"] == "memory" and one["level"] != "busy" for one in meters),
        "peak": filesizeformat(used.get("memory_bytes_peak") or max(one[2] for one in samples)),
    }  # fmt: skip


def meter(
    key: str,
    label: str,
    text: str,
    samples: list[list[Any]],
    place: int,
    limit: float,
    most: str,
    *,
    warns: bool = False,
) -> dict[str, Any] | None:
    """One of the samples' values beside its limit; None where it is not measured."""
    values = [one[place] if len(one) > place else None for one in samples]
    newest = values[-1]
    if newest is None or not limit:
        return None
    shares = [100 * (one or 0) / limit for one in values]
    made = summaries.meter(label, text % {"used": written(key, newest), "most": most}, shares[-1], warns=warns)
    return {
        **made, "key": key, "place": place, "limit": limit, "template": text % {"used": USED, "most": most},
        "path": summaries.share_path(shares), "warns": warns,
    }  # fmt: skip


def written(key: str, value: float) -> str:
    """A number as its meter says it; static/run/usage.js writes the same."""
    if key == "cpu":
        return f"{value:.1f}"
    return f"{value:.0f}" if key == "gpu" else filesizeformat(value)
