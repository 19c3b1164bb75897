"""The network, in a module of its own since train.py and predict.py both need it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def build() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(24 * 7 * 7, 10),
    )


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Images of 0 to 255 as a batch of one-channel images of 0 to 1."""
    return torch.from_numpy(images).float().div(255).unsqueeze(1)
