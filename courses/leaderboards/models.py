"""A board's sequence number and its standings: a cache of the score events that can be rebuilt."""

from __future__ import annotations

from django.db import models

from courses.assignments.models import Assignment
from courses.submissions.models import Submission
from courses.teams.models import Team


class Board(models.Model):
    """The row whose lock orders all changes of one board."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="board", primary_key=True)
    seq = models.PositiveBigIntegerField(default=0)
    rule = models.CharField(max_length=200, blank=True)  # by which the standings are ranked: metric, goal, precision


class Standing(models.Model):
    board = models.ForeignKey(Board, on_delete=models.CASCADE, related_name="standings")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="standings")
    best = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()
    scores = models.JSONField(default=dict)
    count = models.PositiveIntegerField()
    rank = models.PositiveIntegerField()
    tied = models.BooleanField(default=False)
    previous_rank = models.PositiveIntegerField(null=True)
    scored_at = models.DateTimeField()  # when the best score came
    moved_at = models.DateTimeField(null=True)
    history = models.JSONField(default=list)  # best so far: [[unix seconds, score], …]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["board", "team"], name="one_standing_per_team")]
        ordering = ["rank", "scored_at"]
