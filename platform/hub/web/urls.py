"""The pages' addresses."""

from __future__ import annotations

from django.urls import path

from hub.web import boards, home, machines, manage, runs, views

app_name = "web"
urlpatterns = [
    path("", views.home, name="home"),
    path("settings/tokens/", views.tokens, name="tokens"),
    path("runs/<uuid:key>/", runs.run, name="run"),
    path("runs/<uuid:key>/log.txt", runs.log, name="log"),
    path("runs/<uuid:key>/diff/<uuid:other>/", runs.diff, name="diff"),
    path("runs/<uuid:key>/<slug:verb>/", runs.act, name="act"),
    path("c/<slug:slug>/", home.course, name="course"),
    path("c/<slug:slug>/runs/", runs.runs, name="runs"),
    path("c/<slug:slug>/team/", views.team, name="team"),
    path("c/<slug:slug>/people/", manage.people, name="people"),
    path("c/<slug:slug>/assignments/", manage.bundles, name="bundles"),
    path("c/<slug:slug>/settings/", manage.course_settings, name="settings"),
    path("c/<slug:slug>/gpus/", machines.gpus, name="gpus"),
    path("c/<slug:slug>/a/<slug:name>/", views.assignment, name="assignment"),
    path("c/<slug:slug>/a/<slug:name>/data/", manage.data, name="data"),
    path("c/<slug:slug>/a/<slug:name>/start/", manage.start, name="start"),
    path("c/<slug:slug>/a/<slug:name>/board/", boards.board, name="board"),
]
