"""What may be pushed or submitted now, and the refusal with its next step where it may not."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from courses.assignments.models import Assignment
from courses.errors import Refused
from courses.roster.models import Membership
from courses.roster.rules import allowed
from courses.submissions.models import ACTIVE_RUN_STATES, Run, Submission, SubmissionState
from courses.teams import queries as team_queries
from courses.teams.models import Team

ACTIVE_MAX = 100  # a team's runs of one assignment that have not ended: a script that pushes in a loop ends here
TRIALS_MAX = 10  # a team's tries on the sample of one assignment that have not ended


def require_course_open(place: Membership) -> None:
    if not place.course.is_open and not allowed(place.role, "see_all_runs"):
        raise Refused("course_closed", _("The course is closed."), _("Ask your instructor."))


def require_open(assignment: Assignment, place: Membership) -> None:
    now = timezone.now()
    if allowed(place.role, "see_all_runs"):
        return
    require_course_open(place)
    if now < assignment.opens_at:
        raise Refused("not_open_yet", _("The assignment opens %s.") % assignment.opens_at.isoformat())
    if now > assignment.due_at:
        raise Refused("past_due", _("The deadline was %s.") % assignment.due_at.isoformat(), _("Ask for an extension."))


def require_room(actor: Any, assignment: Assignment, submit: bool) -> None:
    """The team is not too large, and what is to be submitted at the end still may be. Raises Refused."""
    team = team_queries.team_of(actor, assignment.course, assignment.slug)
    if team is None:
        return
    config = assignment.current.config
    if (size := team.members.count()) > config.team_size:
        raise Refused(
            "team_too_large",
            _("Your team has %(size)d members; this assignment allows %(most)d.")
            % {"size": size, "most": config.team_size},
            _("Some of you must leave the team, on its page."),
        )
    if submit:
        require_a_submission_left(team, assignment)


def require_a_submission_left(team: Team, assignment: Assignment) -> None:
    limit = assignment.current.config.submissions_per_day
    used = submissions_today(team, assignment)
    if used >= limit:
        raise Refused(
            "day_limit",
            _("Your team used %(used)d of %(limit)d submissions today.") % {"used": used, "limit": limit},
            _("Try it free on the sample with -t, or submit after midnight."),
        )


def require_a_place_in_the_queue(team: Team, assignment: Assignment) -> None:
    """Call it under the team's lock. Raises Refused."""
    if Run.objects.filter(team=team, assignment=assignment, state__in=ACTIVE_RUN_STATES).count() >= ACTIVE_MAX:
        raise Refused(
            "too_many_waiting",
            _("%(most)d runs of your team wait or run already.") % {"most": ACTIVE_MAX},
            _("Stop those you no longer need: seodang ps, then seodang stop SESSION."),
        )


def require_a_trial_left(team: Team, assignment: Assignment) -> None:
    """Call it under the team's lock. Raises Refused."""
    going = Submission.objects.filter(run__team=team, run__assignment=assignment, trial=True).filter(
        state__in=[SubmissionState.PREDICTING, SubmissionState.SCORING]
    )
    if going.count() >= TRIALS_MAX:
        raise Refused(
            "too_many_trials",
            _("%(most)d tries of your team on the sample have not ended yet.") % {"most": TRIALS_MAX},
            _("Wait until one ends."),
        )


def submissions_today(team: Team, assignment: Assignment) -> int:
    """Counted from the rows: today's, by the site's clock, without those that our fault ended."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        Submission.objects.filter(_of(team), run__assignment=assignment, trial=False, counts=True)
        .filter(created_at__gte=midnight, created_at__lt=midnight + dt.timedelta(days=1))
        .count()
    )


def _of(team: Team) -> Q:
    """What the team submitted, and what its members did in other teams: a new team begins with what they used."""
    return Q(run__team=team) | Q(owner__in=team.members.values("user"))


def submissions_left(team: Team, assignment: Assignment) -> tuple[int, int]:
    """(left today, allowed a day)."""
    most = assignment.current.config.submissions_per_day
    return max(0, most - submissions_today(team, assignment)), most
