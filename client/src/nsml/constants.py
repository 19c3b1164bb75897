"""``nsml.constants``, as older scripts import it."""

from __future__ import annotations

from seodang import DATASET_NAME, DATASET_PATH, GPU_NUM, HAS_DATASET, IS_DATASET, IS_ON_NSML, SESSION_NAME

__all__ = [
    "DATASET_NAME",
    "DATASET_PATH",
    "GPU_NUM",
    "HAS_DATASET",
    "IS_DATASET",
    "IS_ON_NSML",
    "SESSION_NAME",
]
