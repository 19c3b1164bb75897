"""Who may do what in a course: one table. Pure."""

from __future__ import annotations

from collections.abc import Mapping

INSTRUCTOR, TA, STUDENT, OBSERVER = "instructor", "ta", "student", "observer"
STAFF = frozenset({INSTRUCTOR, TA})
EVERYONE = frozenset({INSTRUCTOR, TA, STUDENT, OBSERVER})

TABLE: Mapping[str, frozenset[str]] = {
    "see_course": EVERYONE,
    "see_board": EVERYONE,
    "push_run": frozenset({INSTRUCTOR, TA, STUDENT}),
    "see_all_runs": STAFF,
    "see_predict_log": STAFF,
    "stop_any_run": STAFF,
    "push_assignment": frozenset({INSTRUCTOR}),
    "manage_devices": STAFF,
    "import_roster": frozenset({INSTRUCTOR}),
    "manage_people": frozenset({INSTRUCTOR}),
    "manage_teams": STAFF,
    "manage_course": frozenset({INSTRUCTOR}),
    "see_people": STAFF,
    "see_audit": STAFF,
    "open_mlflow": STAFF,
}


def allowed(role: str, action: str) -> bool:
    """Whether ``role`` may do ``action``. An unknown action is a mistake of ours: KeyError."""
    return role in TABLE[action]
