"""What rooms above may listen to, in the same transaction."""

from __future__ import annotations

from django.dispatch import Signal

team_renamed = Signal()  # kwargs: team (Team, as it was before)
