"""The SDK that a student's script imports. Standard library only, so that any container can import it."""

from __future__ import annotations

from seodang._sdk import (
    DATASET_NAME,
    DATASET_PATH,
    GPU_NUM,
    HAS_DATASET,
    IS_DATASET,
    IS_ON_NSML,
    SESSION_NAME,
    bind,
    infer,
    load,
    paused,
    report,
    save,
)

__all__ = [
    "DATASET_NAME",
    "DATASET_PATH",
    "GPU_NUM",
    "HAS_DATASET",
    "IS_DATASET",
    "IS_ON_NSML",
    "SESSION_NAME",
    "bind",
    "infer",
    "load",
    "paused",
    "report",
    "save",
]
