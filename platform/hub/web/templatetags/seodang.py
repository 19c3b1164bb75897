"""How times, scores, states and small drawings are written on pages."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

register = template.Library()
SPARK_WIDTH, SPARK_HEIGHT, SPARK_PAD = 88.0, 20.0, 1.5


@register.filter
def ago(at: dt.datetime | None) -> str:
    """A relative time whose exact moment shows on hover."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    exact = f"{date_format(local, 'Y-m-d H:i:s')} {local.tzname()}"
    return format_html('<time datetime="{}" title="{}" data-ago>{}</time>', local.isoformat(), exact, words(at))


def words(at: dt.datetime) -> str:
    seconds = int((timezone.now() - at).total_seconds())
    if seconds < 60:
        return _("%d s ago") % max(0, seconds)
    if seconds < 3600:
        return _("%d min ago") % (seconds // 60)
    if seconds < 86400:
        return _("%d h ago") % (seconds // 3600)
    days = seconds // 86400
    return ngettext("%d day ago", "%d days ago", days) % days


@register.filter
def clock(at: dt.datetime | None) -> str:
    """The time of day; the day too when it is not today."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    today = local.date() == timezone.localdate()
    return date_format(local, "H:i:s" if today else "M j, H:i")


@register.filter
def until(at: dt.datetime) -> str:
    """``2 h 17 min``; for a countdown's first, script-less text."""
    seconds = int((at - timezone.now()).total_seconds())
    if seconds <= 0:
        return _("closed")
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours}
    return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}


@register.filter
def near(at: dt.datetime) -> str:
    """How near a deadline is: hour, day, or nothing."""
    seconds = (at - timezone.now()).total_seconds()
    return "hour" if 0 < seconds < 3600 else "day" if 0 < seconds < 86400 else ""


@register.filter
def score(value: float | None, precision: int = 4) -> str:
    return "" if value is None else f"{value:.{precision}f}"


@register.filter
def shape(state: str) -> str:
    """A state's name as the stylesheet knows it."""
    name = str(state).replace("_", "-")
    return {"preflight": "starting", "predicting": "running", "scoring": "running", "scored": "succeeded"}.get(
        name, name
    )


@register.filter
def spark(history: list[list[float]], goal: str) -> SafeString:
    """The path of a stepped line through the best scores so far, over their own range of time and value."""
    if not history:
        return SafeString("")
    times = [point[0] for point in history]
    values = [point[1] if goal == "max" else -point[1] for point in history]
    low, high = min(values), max(values)
    wide = (times[-1] - times[0]) or 1.0
    tall = (high - low) or 1.0

    def x(at: float) -> float:
        return (SPARK_WIDTH - 8) * (at - times[0]) / wide

    def y(value: float) -> float:
        return SPARK_HEIGHT - SPARK_PAD - (SPARK_HEIGHT - 2 * SPARK_PAD) * (value - low) / tall

    path = f"M0,{y(values[0]):.1f}"
    for at, value in zip(times[1:], values[1:], strict=True):
        path += f" H{x(at):.1f} V{y(value):.1f}"
    return SafeString(f"{path} H{SPARK_WIDTH:.0f}")


@register.filter
def spark_end(history: list[list[float]]) -> float:
    return SPARK_PAD if len(history) > 1 else SPARK_HEIGHT - SPARK_PAD


@register.filter
def item(mapping: dict[Any, Any], key: Any) -> Any:
    return mapping.get(key)


@register.filter
def moved(row: Any) -> int:
    """Places won since the rank before; negative when places were lost."""
    return 0 if row.previous_rank is None else row.previous_rank - row.rank


@register.filter
def absolute(number: int) -> int:
    return abs(number)
