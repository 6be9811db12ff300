"""Logits to filter, those of people's models among them, and the filters of transformers."""

from typing import Any

import torch
from torch import Tensor


def logits(rows: int = 64, size: int = 50) -> Tensor:
    """From flat to sharp, some with tokens that are excluded already."""
    dice = torch.Generator().manual_seed(0)
    sharpness = torch.linspace(0.1, 12, rows)[:, None]
    made = torch.randn(rows, size, generator=dice) * sharpness
    made[1::4, :5] = -torch.inf
    return made


def theirs(name: str, *settings: Any) -> Any:
    """The logits processor of that name."""
    from transformers.generation import logits_process

    return getattr(logits_process, name)(*settings)


NOTHING = torch.zeros(64, 1, dtype=torch.int64)  # the text so far, which most filters do not look at
