"""What staff may call of MLflow's server behind the door: reads of one course's runs. Pure."""

from __future__ import annotations

import re

# The UI's searches are POSTs; what creates, renames or deletes is not here: the mirror alone writes.
READING_POSTS = re.compile(
    r"(graphql|ajax-api/[23]\.0/mlflow/("
    r"(experiments|runs|logged-models|datasets|registered-models|model-versions)/search"
    r"|experiments/search-datasets|traces/search|metrics/get-history-bulk(-interval)?))"
)
# /mlflow-artifacts/ knows no course; gateway-proxy calls out; the rest is of no use to a class.
READING_GETS = re.compile(
    r"|index\.html|static-files/.*|version|health|get-artifact|ajax-api/[23]\.0/mlflow/(?!gateway|secrets|users|auth).*"
)
ARTIFACTS = re.compile(r"get-artifact|.*/artifacts/files.*|.*get-trace-artifact.*|model-versions/get-artifact")
UI_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
ARTIFACT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def may_call(method: str, path: str) -> bool:
    """``path`` is below the course's prefix, without its first slash."""
    if ".." in path or "//" in path or "%" in path:
        return False
    pattern = {"GET": READING_GETS, "HEAD": READING_GETS, "POST": READING_POSTS}.get(method)
    return pattern is not None and pattern.fullmatch(path) is not None


def policy(path: str) -> str:
    """The content security policy of the answer. A run's files are hostile: no script of theirs runs."""
    return ARTIFACT_POLICY if ARTIFACTS.fullmatch(path) else UI_POLICY
