"""The API's addresses, below /api/v1/."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from hub.api import accounts, course_views, views

app_name = "api"
urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("login", accounts.Login.as_view(), name="login"),
    path("me", accounts.Me.as_view(), name="me"),
    path("tokens", accounts.Tokens.as_view(), name="tokens"),
    path("tokens/<int:token>", accounts.Token.as_view(), name="token"),
    path("courses/<slug:course>/assignments", views.Assignments.as_view(), name="assignments"),
    path("courses/<slug:course>/assignments/<slug:slug>/runs", views.AssignmentRuns.as_view(), name="push"),
    path("courses/<slug:course>/assignments/<slug:slug>/data", views.Data.as_view(), name="data"),
    path("courses/<slug:course>/assignments/<slug:slug>/start", views.Start.as_view(), name="start"),
    path("courses/<slug:course>/assignments/<slug:slug>/board", views.Board.as_view(), name="board"),
    path("courses/<slug:course>/runs", views.Runs.as_view(), name="runs"),
    path("courses/<slug:course>/queue", views.Queue.as_view(), name="queue"),
    path("courses/<slug:course>/datasets", course_views.Datasets.as_view(), name="datasets"),
    path("courses/<slug:course>/devices", course_views.Devices.as_view(), name="devices"),
    path("courses/<slug:course>/credit", course_views.Credit.as_view(), name="credit"),
    path("runs/<uuid:run>", views.Run.as_view(), name="run"),
    path("runs/<uuid:run>/stop", views.Stop.as_view(), name="stop"),
    path("runs/<uuid:run>/fork", views.Fork.as_view(), name="fork"),
    path("runs/<uuid:run>/resume", views.Resume.as_view(), name="resume"),
    path("runs/<uuid:run>/memo", views.Memo.as_view(), name="memo"),
    path("runs/<uuid:run>/log", views.Log.as_view(), name="log"),
    path("runs/<uuid:run>/code", views.Code.as_view(), name="code"),
    path("runs/<uuid:run>/outputs", views.Outputs.as_view(), name="outputs"),
    path("runs/<uuid:run>/outputs/<path:path>", views.Output.as_view(), name="output"),
    path("runs/<uuid:run>/checkpoints", views.Checkpoints.as_view(), name="checkpoints"),
    path("runs/<uuid:run>/checkpoints/<str:name>", views.Checkpoint.as_view(), name="checkpoint"),
    path("runs/<uuid:run>/metrics", views.Metrics.as_view(), name="metrics"),
    path("runs/<uuid:run>/events", course_views.Events.as_view(), name="events"),
    path("runs/<uuid:run>/submissions", views.Submissions.as_view(), name="submit"),
    path("submissions/<uuid:submission>", views.Submission.as_view(), name="submission"),
]
