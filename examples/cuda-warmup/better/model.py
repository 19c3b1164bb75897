"""The network and the device, in a module of its own since train.py and predict.py both need them."""

from __future__ import annotations

import torch
from torch import nn


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))


def pick_device() -> torch.device:
    """The GPU of this job; the CPU with a warning where there is none, so that the code can be tried at home."""
    if torch.cuda.is_available():
        print(f"computing on {torch.cuda.get_device_name(0)} ({torch.cuda.device_count()} in this job)")
        return torch.device("cuda")
    print("WARNING: no GPU in this job, computing on the CPU")
    return torch.device("cpu")
