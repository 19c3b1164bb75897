"""That bad input changed nothing: every row of every table, and every blob."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings

# What a good look changes too: a session's end, when a token was last used.
NOT_LOOKED_AT = {"Session", "ApiToken"}


def state() -> dict[str, Any]:
    rows = {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in apps.get_models()
        if model.__name__ not in NOT_LOOKED_AT
    }
    blobs = Path(settings.BLOBS)
    files = sorted(str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file())
    return {**rows, "blobs": files}


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = state()
    yield
    after = state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"changed: {', '.join(changed)}"
