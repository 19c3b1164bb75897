"""The API's views: parse, call a service or a query, answer."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from courses.assignments import queries as assignments
from courses.assignments.services import check_bundle, push_bundle
from courses.errors import Invalid, NotFound
from courses.leaderboards.queries import board
from courses.roster import queries as roster
from courses.roster.rules import allowed
from courses.submissions import queries, services
from hub.api import serializers
from hub.api.accounts import clean
from hub.download import attachment, starter, training_data
from hub.tracking import queries as tracking
from runner import blobs

WAIT = OpenApiParameter("wait", int, description="1: hold the answer, at most 25 s, until there is something new.")
STATE = OpenApiParameter("state", str, description="With wait: the state that is known already.")


@contextmanager
def uploaded(upload: Any, bytes_max: int) -> Iterator[Path]:
    """An upload as a file, for as long as it is looked at. Raises Invalid."""
    if (upload.size or 0) > bytes_max:
        raise Invalid(
            "too_large",
            _("%(size)s bytes are more than the %(most)s allowed.")
            % {"size": f"{upload.size:,}", "most": f"{bytes_max:,}"},
            _("Name data and outputs in .nsmlignore."),
        )
    with tempfile.NamedTemporaryFile(suffix=".zip") as sink:
        for block in upload.chunks():
            sink.write(block)
        sink.flush()
        yield Path(sink.name)


class Assignments(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, course: str) -> Response:
        """The course's assignments."""
        place = roster.membership(request.user, course)
        rows = []
        for one in assignments.assignments(place.course):
            config = one.current.config
            rows.append(
                {
                    "slug": one.slug,
                    "title": one.title,
                    "opens": one.opens_at,
                    "due": one.due_at,
                    "primary_metric": {"name": config.primary.name, "goal": config.primary.goal},
                    "environment": config.environment,
                    "resources": {"gpus": config.gpus, "cpus": config.cpus, "minutes": config.minutes},
                    "limits": {"submissions_per_day": config.submissions_per_day},
                }
            )
        return Response(rows)

    @extend_schema(request=serializers.BundleInput, responses=dict)
    def put(self, request: Request, course: str) -> Response:
        """A new version of an assignment, as a zip of its folder; with ``check``, every fault of it and no change."""
        place = roster.membership(request.user, course)
        roster.require(place, "push_assignment")
        given = clean(serializers.BundleInput, request)
        with uploaded(given["bundle"], settings.BUNDLE_BYTES_MAX) as path:
            if given["check"]:
                config = check_bundle(request.user, place.course, path)
                return Response({"slug": config.slug, "version": None})
            version = push_bundle(request.user, place.course, path)
        return Response({"slug": version.assignment.slug, "version": version.number}, status=201)


class AssignmentRuns(APIView):
    @extend_schema(request=serializers.PushInput, responses=dict)
    def post(self, request: Request, course: str, slug: str) -> Response:
        """Push code and start a run."""
        place = roster.membership(request.user, course)
        assignment = assignments.assignment(place.course, slug)
        given = clean(serializers.PushInput, request)
        with uploaded(given.pop("code"), settings.CODE_BYTES_MAX) as path:
            wishes = {name: given.pop(name) for name in serializers.WISHES}
            run = services.start_run(request.user, assignment, path, wishes=wishes, **given)
        return Response(queries.run_view(run), status=201)


class Data(APIView):
    @extend_schema(responses=bytes)
    def get(self, request: Request, course: str, slug: str) -> StreamingHttpResponse:
        """The training split as a tar, with its licence in it."""
        place = roster.membership(request.user, course)
        return training_data(assignments.readable_data(place, slug))


class Start(APIView):
    @extend_schema(responses=bytes)
    def get(self, request: Request, course: str, slug: str) -> StreamingHttpResponse:
        """The task, its baseline and its public sample as a tar."""
        return starter(assignments.startable(roster.membership(request.user, course), slug))


class Runs(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, course: str) -> Response:
        """My team's runs, newest first; with ``session=`` that one."""
        place = roster.membership(request.user, course)
        wanted = request.query_params
        if session := wanted.get("session"):
            return Response(summarised([queries.run_by_session(request.user, course, session)]))
        limit = wanted.get("limit", "50")
        found = queries.runs(
            place,
            wanted.get("assignment") or None,
            all_teams=wanted.get("all") == "1",
            limit=max(1, int(limit)) if limit.isdecimal() and len(limit) < 6 else 50,
        )
        return Response(summarised(found))


def summarised(runs: Iterable[Any]) -> list[dict[str, Any]]:
    """As a list shows them: with the metrics that each run's code marked for it."""
    runs = list(runs)
    marked = tracking.summaries(run.id.hex for run in runs)
    return [{**queries.run_view(run), "summary": marked.get(run.id.hex, {})} for run in runs]


class Run(APIView):
    @extend_schema(parameters=[WAIT, STATE], responses=dict)
    def get(self, request: Request, run: str) -> Response:
        """One run."""
        found = queries.run(request.user, run)
        latest = {key: points[-1][1] for key, points in tracking.metrics(found.id.hex).items() if points}
        return Response({**queries.run_view(found), "summary": latest})

    @extend_schema(parameters=[OpenApiParameter("force", int, description="1: stop it first.")], responses=None)
    def delete(self, request: Request, run: str) -> Response:
        """Take an ended run off the team's lists; its scores stay."""
        force = request.query_params.get("force") == "1"
        services.hide_run(request.user, queries.run(request.user, run), force=force)
        return Response(status=204)


class Stop(APIView):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, run: str) -> Response:
        """Stop a run; twice is once."""
        found = queries.run(request.user, run)
        services.stop_run(request.user, found)
        return Response(queries.run_view(queries.run(request.user, run)))


class Fork(APIView):
    @extend_schema(request=serializers.ForkInput, responses=dict)
    def post(self, request: Request, run: str) -> Response:
        """A new run with the same code."""
        given = clean(serializers.ForkInput, request)
        made = services.fork_run(request.user, queries.run(request.user, run), **given)
        return Response(queries.run_view(made), status=201)


class Resume(APIView):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, run: str) -> Response:
        """Go on from an ended run's newest checkpoint, as a new run."""
        made = services.resume_run(request.user, queries.run(request.user, run))
        return Response(queries.run_view(made), status=201)


class Memo(APIView):
    @extend_schema(request=serializers.MemoInput, responses=dict)
    def post(self, request: Request, run: str) -> Response:
        """Change a run's memo."""
        given = clean(serializers.MemoInput, request)
        services.set_memo(request.user, queries.run(request.user, run), given["memo"])
        return Response(queries.run_view(queries.run(request.user, run)))


class Log(APIView):
    @extend_schema(parameters=[WAIT, OpenApiParameter("offset", int)], responses=dict)
    def get(self, request: Request, run: str) -> Response:
        """The log from a byte offset."""
        offset = request.query_params.get("offset", "0")
        if not offset.isdecimal() or len(offset) > 15:
            raise Invalid("offset", _("The offset is a number of bytes."), _("Begin with offset=0."))
        part = queries.log(queries.run(request.user, run), int(offset))
        return Response({**vars(part), "gap": list(part.gap) if part.gap else None})


class Code(APIView):
    @extend_schema(responses=bytes)
    def get(self, request: Request, run: str) -> HttpResponse:
        """The code as it was pushed, as a zip."""
        found = queries.run(request.user, run)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
            for path, _size in queries.code_files(found):
                bundle.writestr(path, queries.code_file(found, path))
        name = found.session.replace("/", "-")
        return HttpResponse(
            buffer.getvalue(),
            content_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{name}.zip"'},
        )


class Outputs(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, run: str) -> Response:
        """The files that the run left in /out."""
        found = queries.run(request.user, run)
        return Response([{"path": one["path"], "size": one["size"]} for one in found.outputs])


class Output(APIView):
    @extend_schema(responses=bytes)
    def get(self, request: Request, run: str, path: str) -> StreamingHttpResponse:
        """One of them."""
        found = queries.run(request.user, run)
        sha = next((one["sha256"] for one in found.outputs if one["path"] == path), None)
        if sha is None:
            raise NotFound(
                "no_such_file",
                _("%(session)s left no %(path)s.") % {"session": found.session, "path": path},
                _("List them on the run's page, or get all of them: seodang download SESSION PATH"),
            )
        return attachment(path.rsplit("/", 1)[-1], blobs.open_blob(sha))


class Checkpoints(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, run: str) -> Response:
        """The run's checkpoints."""
        found = queries.run(request.user, run)
        return Response(
            [
                {
                    "name": one.name,
                    "size": one.size,
                    "created_at": one.created_at,
                    "submissions": [
                        queries.submission_view(sub, found)
                        for sub in found.submissions.all()
                        if sub.checkpoint_id == one.id
                    ],
                }
                for one in found.checkpoints.all()
            ]
        )


class Checkpoint(APIView):
    @extend_schema(responses=bytes)
    def get(self, request: Request, run: str, name: str) -> StreamingHttpResponse:
        """One checkpoint, as a tar."""
        found = queries.run(request.user, run)
        one = found.checkpoints.filter(name=name).first()
        if one is None:
            raise NotFound(
                "no_checkpoint",
                _("%(session)s has no checkpoint %(name)s.") % {"session": found.session, "name": name},
                _("List them: seodang model ls %s") % found.session,
            )
        return attachment(f"{name}.tar", blobs.open_blob(one.sha256))

    @extend_schema(responses=None)
    def delete(self, request: Request, run: str, name: str) -> Response:
        """Remove a checkpoint that was not submitted."""
        services.remove_checkpoint(request.user, queries.run(request.user, run), name)
        return Response(status=204)


class Metrics(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, run: str) -> Response:
        """What the run logged: key → [[step, value, milliseconds], …]."""
        found = queries.run(request.user, run)
        return Response(tracking.metrics(found.id.hex, request.query_params.get("key") or None))


class Submissions(APIView):
    @extend_schema(request=serializers.SubmitInput, responses=dict)
    def post(self, request: Request, run: str) -> Response:
        """Have a checkpoint scored; with ``trial`` on the public sample, free."""
        given = clean(serializers.SubmitInput, request)
        found = queries.run(request.user, run)
        made = services.submit(request.user, found, given["checkpoint"] or None, trial=given["trial"])
        return Response(with_rank(made), status=201)


class Submission(APIView):
    @extend_schema(parameters=[WAIT, STATE], responses=dict)
    def get(self, request: Request, submission: str) -> Response:
        """One submission, with its team's rank now."""
        return Response(with_rank(queries.submission(request.user, submission)))


def with_rank(submission: Any) -> dict[str, Any]:
    view = queries.submission_view(submission)
    shown = submission.state == "scored" and not submission.trial
    if submission.run.assignment.current.config.visibility == "staff":
        shown = False  # the place would tell of the others
    rows = board(submission.run.assignment).rows if shown else []
    view["rank"] = next((row.rank for row in rows if row.team_id == submission.run.team_id), None)
    return view


class Board(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, course: str, slug: str) -> Response:
        """The leaderboard: official places, and what runs log now."""
        place = roster.membership(request.user, course)
        assignment = assignments.assignment(place.course, slug)
        view = board(assignment)
        hidden = assignment.current.config.visibility == "staff" and not allowed(place.role, "see_all_runs")
        live = tracking.live_for_board(assignment.pk)
        rows = [
            {
                "rank": row.rank,
                "tied": row.tied,
                "team": row.team,
                "score": row.score,
                "scores": row.scores,
                "count": row.count,
                "scored_at": row.scored_at,
                "live": [live[row.team_id]] if row.team_id in live else [],
            }
            for row in view.rows
            if not hidden
        ]
        return Response({"seq": view.seq, "metric": vars(view.metric), "rows": rows})


class Queue(APIView):
    @extend_schema(responses=dict)
    def get(self, request: Request, course: str) -> Response:
        """Who waits in this course, in the order in which they go."""
        return Response(queries.queue(roster.membership(request.user, course).course))
