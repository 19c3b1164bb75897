"""What rooms above may listen to, in the same transaction."""

from __future__ import annotations

from django.dispatch import Signal

score_recorded = Signal()  # kwargs: event (ScoreEvent)
