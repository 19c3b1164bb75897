"""Teams. A team belongs to a course, and may be for one assignment only (``scope`` is its slug)."""

from __future__ import annotations

from django.db import models

from courses.roster.models import Course, User


class Team(models.Model):
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="teams")
    name = models.SlugField(max_length=40, allow_unicode=True)
    scope = models.CharField(max_length=64, blank=True)  # "" is the whole course
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "name"], name="team_name_in_course")]

    def __str__(self) -> str:
        return self.name


class TeamMember(models.Model):
    """``course`` and ``scope`` repeat the team's, so that the database itself keeps one team per student."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="team_memberships")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="+")
    scope = models.CharField(max_length=64, blank=True)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["course", "scope", "user"], name="one_team_per_student_per_scope")
        ]


class Invitation(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="team_invitations")
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True)
    accepted = models.BooleanField(null=True)
