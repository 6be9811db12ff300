"""What to minimise. An objective sees the model and a batch, and returns a mean loss.

Objectives that many systems share live here. One that belongs to a single system (the set matching
of a detector, the noise prediction of a diffusion model) lives in that system's file.

A batch is a tuple ``(*inputs, target)``. ``count`` says over how many targets the mean is taken:
with it, the engine weighs micro-batches so that accumulated gradients equal those of the big batch
even where sequences differ in length.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.training.loop import Metrics

IGNORE = -100  # a target that is not scored: padding, a pixel without a label


@runtime_checkable
class Objective(Protocol):
    """Settings of a loss, as a frozen dataclass."""

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        """The mean loss over the targets of ``batch``, and scalars to log."""
        ...

    def count(self, batch: Any) -> Tensor | int:
        """The number of targets the mean is taken over."""
        ...


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Softmax classification: ``(*inputs, label)``, logits (b, classes).

    Labels are int64 (b,), or probabilities (b, classes) of rows that were mixed; what is likeliest counts
    as right then.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be in [0, 1)")

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, label = batch
        logits = model(*inputs)
        loss = F.cross_entropy(logits, label, label_smoothing=self.label_smoothing)
        with torch.no_grad():
            wanted = label if label.ndim == 1 else label.argmax(dim=-1)
            accuracy = (logits.argmax(dim=-1) == wanted).float().mean()
        return loss, {"accuracy": accuracy}

    def count(self, batch: Any) -> int:
        return len(batch[-1])


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError:
    """Regression: ``(*inputs, target)``, prediction of the target's shape (b, ...) or (b,) for (b, 1)."""

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, target = batch
        prediction = model(*inputs).reshape(target.shape)
        return F.mse_loss(prediction, target), {}

    def count(self, batch: Any) -> int:
        return batch[-1].numel()


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """Language modelling: ``(*inputs, targets)``, targets int64 (b, time), logits (b, time, vocabulary).

    Targets equal to ``IGNORE`` are padding and are not counted. Reports nats per token as the loss.
    """

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        *inputs, target = batch
        logits = model(*inputs)
        return F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=IGNORE), {}

    def count(self, batch: Any) -> Tensor:
        return (batch[-1] != IGNORE).sum()


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """Autoencoding: ``(input, ...)``; the model's output is compared with its input, element by element."""

    binary: bool = False  # inputs in [0, 1] and outputs are logits: cross-entropy instead of squares

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, Metrics]:
        original = batch[0]
        output = model(original)
        if self.binary:
            return F.binary_cross_entropy_with_logits(output, original), {}
        return F.mse_loss(output, original), {}

    def count(self, batch: Any) -> int:
        return batch[0].numel()
