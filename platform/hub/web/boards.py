"""The board: who leads, what just moved, how far it is to the pass line."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from courses.assignments import queries as assignments
from courses.leaderboards.queries import board as board_view
from courses.roster import queries as roster
from courses.roster.rules import allowed
from courses.submissions import admission
from courses.teams import queries as team_queries
from hub.tracking import queries as tracking
from hub.web import folding, summaries
from hub.web.drawn import drawn
from hub.web.pages import context, page
from hub.web.shown import in_words

WORDS = {
    folding.OVERVIEW: _("Overview"),
    folding.US: _("Around us"),
    folding.PASS: _("Around the pass line"),
    folding.ALL: _("All"),
}


@page
@require_safe
def board(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Who leads and what just moved; ``?fragment=1`` is the rows alone."""
    place = roster.membership(request.user, slug)
    listed = assignments.assignments(place.course)
    found = assignments.named(listed, place.course, name)
    config = found.current.config
    is_staff = allowed(place.role, "see_all_runs")
    if config.visibility == "staff":
        roster.require(place, "see_all_runs")
    view = board_view(found)
    team = team_queries.team_of(request.user, place.course, found.slug)
    place_of_own = next((at for at, row in enumerate(view.rows) if team and row.team_id == team.pk), None)
    own = None if place_of_own is None else view.rows[place_of_own]
    live = tracking.live_for_board(found.pk)
    passing = summaries.passing(view)
    asked = request.GET.get("show", "")
    choices = folding.choices(len(view.rows), place_of_own, passing)
    show = asked if asked in choices else folding.ALL if is_staff or not choices else folding.OVERVIEW
    body = [
        (one, drawn.rows(view, one.start, one.end, team.pk if team else None, live))
        for one in folding.stretches(view.rows, place_of_own, passing, show)
    ]
    shown = context(
        place, "board", listed, assignment=found, config=config, title=in_words(dict(config.title)), view=view, own=own,
        team=team, live=live, leader=view.rows[0] if view.rows else None,
        just_moved=summaries.just_moved(view.rows), left=admission.submissions_left(team, found) if team else None,
        passing=passing, body=body, show=show,
        choices=[(name, WORDS[name]) for name in choices], strip=summaries.strip(view, own),
        boards=[(one, in_words(dict(one.current.config.title))) for one in listed],
        gap=abs(own.score - view.rows[0].score) if own else None,
    )  # fmt: skip
    return render(request, "web/_board.html" if "fragment" in request.GET else "web/board.html", shown)
