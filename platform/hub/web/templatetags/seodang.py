"""How times, scores, states and small drawings are written on pages."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

register = template.Library()
SPARK_WIDTH, SPARK_HEIGHT, SPARK_PAD = 88.0, 20.0, 1.5


def exactly(at: dt.datetime) -> str:
    local = timezone.localtime(at)
    return f"{date_format(local, 'Y-m-d H:i:s')} {local.tzname()}"


@register.filter
def exact(at: dt.datetime | None) -> str:
    """The whole moment, for a title."""
    return "" if at is None else exactly(at)


@register.filter
def ago(at: dt.datetime | None) -> str:
    """A relative time whose exact moment shows on hover."""
    if at is None:
        return ""
    local = timezone.localtime(at).isoformat()
    return format_html('<time datetime="{}" title="{}" data-ago>{}</time>', local, exactly(at), words(at))


UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))  # seconds


def past_words() -> dict[str, str]:
    return {"d": _("%d d ago"), "h": _("%d h ago"), "min": _("%d min ago"), "s": _("%d s ago")}


def unit_words() -> dict[str, str]:
    return {
        "d": pgettext("unit of time", "d"), "h": pgettext("unit of time", "h"),
        "min": pgettext("unit of time", "min"), "s": pgettext("unit of time", "s"),
    }  # fmt: skip


@register.simple_tag
def time_words() -> str:
    """The page's script writes times in the same words as the server."""
    return json.dumps({"ago": past_words(), "units": unit_words(), "closed": _("closed")}, ensure_ascii=False)


def age(at: dt.datetime) -> tuple[str, int]:
    """In the largest unit that it fills: ("min", 5)."""
    seconds = max(0, int((timezone.now() - at).total_seconds()))
    name, size = next((one for one in UNITS if seconds >= one[1]), UNITS[-1])
    return name, seconds // size


def words(at: dt.datetime) -> str:
    name, count = age(at)
    return past_words()[name] % count


@register.filter
def clock(at: dt.datetime | None) -> str:
    """The time of day; the day too when it is not today."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    return date_format(local, "H:i:s" if local.date() == timezone.localdate() else DAY_FORMAT[korean()])


@register.filter
def about(at: dt.datetime | None) -> str:
    """A time that is only expected, so without seconds."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    return date_format(local, "H:i" if local.date() == timezone.localdate() else DAY_FORMAT[korean()])


DAY_FORMAT = {False: "j M, H:i", True: "n월 j일 H:i"}


def korean() -> bool:
    return (get_language() or "").startswith("ko")


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
def lasted(seconds: float | None) -> str:
    """``1 h 6 min``, ``19 min``, ``9 s``: how long something took, in its two largest units from the hour on."""
    if seconds is None:
        return ""
    whole, units = int(seconds), unit_words()
    space = "" if korean() else " "
    if whole < 60:
        return f"{whole}{space}{units['s']}"
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    parts = [(days, "d"), (hours, "h")] if days else [(hours, "h"), (minutes, "min")]
    return " ".join(f"{count}{space}{units[name]}" for count, name in parts if count)


@register.filter
def left(at: dt.datetime | None) -> str:
    """The time to a moment, counted down by the page's script."""
    if at is None:
        return ""
    words = lasted(max(0.0, (at - timezone.now()).total_seconds()))
    local = timezone.localtime(at).isoformat()
    return format_html('<time datetime="{}" title="{}" data-left>{}</time>', local, exactly(at), words)


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


@register.filter
def plain(number: float) -> str:
    """A number as SVG wants it, whatever the language's decimal sign."""
    return f"{number:g}"


@register.filter
def plain_whole(number: float) -> str:
    """A large number in all its digits, whatever the language groups them by."""
    return f"{number:.0f}" if number == int(number) else repr(number)


@register.filter
def initials(name: str) -> str:
    """Two letters of a name: Minji Kim is MK, 김민지 is 김민."""
    parts = name.split()
    return (parts[0][0] + parts[-1][0] if len(parts) > 1 else name[:2]).upper()
