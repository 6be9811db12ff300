"""An exponential moving average of weights and buffers, evaluated in place of the raw model."""

import copy

import torch
from torch import nn


class Average:
    """``average <- decay * average + (1 - decay) * model`` after each step (Polyak and Juditsky 1992).

    Early on the average would remember the random start, so the decay is ``min(decay, (1 + t) / (10 + t))``
    at step t, as in TensorFlow's ExponentialMovingAverage. Integer buffers (counters) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"average is {decay}; a decay lies between 0 and 1 (0 turns it off)")
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.refresh(model)

    def refresh(self, model: nn.Module) -> None:
        """Pair the tensors up again, after a device move or a load replaced them."""
        source = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        target = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        moving = [n for n, t in target.items() if t.is_floating_point()]
        self._moving = [target[n] for n in moving], [source[n] for n in moving]
        self._copied = [(target[n], source[n]) for n in target if n not in set(moving)]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._moving, 1 - decay)  # type: ignore[attr-defined]
        for target, source in self._copied:
            target.copy_(source)
