"""The rows of a board as HTML: each is drawn once for each thing that it shows, and then taken again.

A class of 300 watches one board and asks for it at each score; drawing all rows for each viewer would take seconds.
What a row shows is its key, its relative time included, so that what is taken again is never out of date.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from django.template.loader import get_template
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from courses.leaderboards.queries import BoardView
from hub.web.templatetags.seodang import age

KEPT_MAX = 5_000  # rows, of 2 kB each
MOVED_SECONDS = 30


class Drawn:
    """The rows drawn last, least recently used first."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept: OrderedDict[Any, SafeString] = OrderedDict()
        self._kept_max = kept_max
        self._lock = Lock()

    def rows(self, view: BoardView, start: int, end: int, own_team: int | None, live: Mapping[int, Any]) -> SafeString:
        """The rows from one place to before another, in the reader's language."""
        template = get_template("web/_row.html")
        language, now = get_language(), timezone.now()
        found = []
        for row in view.rows[start:end]:
            fresh = row.moved_at is not None and (now - row.moved_at).total_seconds() < MOVED_SECONDS
            point, own = live.get(row.team_id), row.team_id == own_team
            shown = (
                language, view.assignment, view.version, row.team_id, row.team, own, fresh, age(row.scored_at),
                row.rank, row.tied, row.previous_rank, row.score, row.count, row.scored_at,
                tuple(point.values()) if point else None,
            )  # fmt: skip
            html = self._kept.get(shown)
            if html is None:
                about = {"row": row, "view": view, "own": own, "fresh": fresh, "now": point}
                html = SafeString(template.render(about))
            self._keep(shown, html)
            found.append(html)
        return SafeString("".join(found))

    def _keep(self, shown: Any, html: SafeString) -> None:
        with self._lock:
            self._kept[shown] = html
            self._kept.move_to_end(shown)
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)


drawn = Drawn()
