"""Absolute error and its relatives: losses that outliers cannot pull without limit.

The best constant guess under the absolute error is the median, not the mean: each point pulls with the
same force however far it lies. The price is a corner at 0, where the force jumps from -1 to 1 and small
steps jitter. Huber (1964) rounds the corner: a parabola within ``delta`` of the target, straight lines
outside. Smooth L1 (Girshick 2015, equation 3) is the same curve divided by its width, so that the lines
keep slope 1. Tilting the two arms instead gives the pinball loss (Koenker and Bassett 1978, equation 1.1),
whose best guess is a quantile: at 0.9 it costs nine times as much to guess too low as too high.

With e = t - p, target minus prediction:

    absolute   |e|
    Huber      e^2 / 2                  where |e| < delta,    delta (|e| - delta / 2)   elsewhere
    smooth L1  e^2 / (2 beta)           where |e| < beta,     |e| - beta / 2            elsewhere
    pinball    max(q e, (q - 1) e)

Axes used below
    *s  any shape      q  quantiles
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.losses.reduction import (
    at_least_float32,
    check_alike,
    check_floating,
    reduce_losses,
    require,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Absolute error, Huber, smooth L1 and pinball loss",
    paper="https://doi.org/10.1214/aoms/1177703732",
    year=1964,
    summary="Regression losses that far outliers cannot pull without limit, and one that finds quantiles.",
    rows=("LO03",),
    builds_on=("reduction",),
    oracle="torch.nn.functional.l1_loss, huber_loss, smooth_l1_loss; sklearn.metrics.mean_pinball_loss",
)


def mean_absolute_error(
    prediction: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """The distance of ``prediction`` (*s) and ``target`` (*s), in the target's unit; gradient 0 at 0.

    ``weight`` broadcasts to (*s) and makes the mean a weighted one. Raises ``ValueError`` for shapes that
    differ, dtypes not floating, and negative weights.
    """
    check_alike(prediction=prediction, target=target)
    errors = F.l1_loss(at_least_float32(prediction), at_least_float32(target), reduction="none")
    return reduce_losses(errors, reduction, weight=weight)


def huber_loss(
    prediction: Tensor,
    target: Tensor,
    *,
    delta: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Half the square of errors below ``delta``, beyond it a line of slope ``delta``; both (*s).

    ``delta`` > 0 has the target's unit. The mean divides by the number of elements whatever their
    ``weight``, as torch's does. Raises ``ValueError`` as ``mean_absolute_error`` does, and for ``delta``.
    """
    _positive("delta", delta)
    check_alike(prediction=prediction, target=target)
    p, t = at_least_float32(prediction), at_least_float32(target)
    losses = F.huber_loss(p, t, reduction="none", delta=delta)
    return reduce_losses(losses, reduction, weight=weight, share=losses.new_ones(()))


def smooth_l1_loss(
    prediction: Tensor,
    target: Tensor,
    *,
    beta: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Huber's loss divided by its width ``beta``, so that far errors have slope 1; both (*s).

    ``beta`` > 0 has the target's unit. The mean divides by the number of elements, as Huber's. Raises
    ``ValueError`` as ``huber_loss`` does.
    """
    _positive("beta", beta)
    check_alike(prediction=prediction, target=target)
    p, t = at_least_float32(prediction), at_least_float32(target)
    losses = F.smooth_l1_loss(p, t, reduction="none", beta=beta)
    return reduce_losses(losses, reduction, weight=weight, share=losses.new_ones(()))


def pinball_loss(
    prediction: Tensor,
    target: Tensor,
    *,
    quantile: float | tuple[float, ...] = 0.5,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The loss whose minimum is the ``quantile`` of the target, in (0, 1); 0.5 is half the absolute error.

    One quantile: ``prediction`` and ``target`` are (*s). Several, as (0.1, 0.5, 0.9): ``prediction`` is
    (*s, q) and ``target`` (*s). ``weight`` broadcasts to the prediction and makes the mean a weighted one.
    Raises ``ValueError`` for a quantile outside (0, 1), for other shapes, dtypes and negative weights.
    """
    several = isinstance(quantile, tuple)
    for q in quantile if isinstance(quantile, tuple) else (quantile,):
        require(0 < q < 1, "quantile", quantile, "between 0 and 1, ends left out")
    check_floating(prediction=prediction, target=target)
    p, t = at_least_float32(prediction), at_least_float32(target)
    level = p.new_tensor(quantile)
    if several:
        shape = (*target.shape, len(level))
        require(prediction.shape == shape, "prediction.shape", tuple(prediction.shape), f"{shape}")
        t = t.unsqueeze(-1)
    else:
        check_alike(prediction=prediction, target=target)
    error = t - p
    return reduce_losses(torch.maximum(level * error, (level - 1) * error), reduction, weight=weight)


@dataclass(frozen=True, kw_only=True)
class HuberLoss:
    """``huber_loss`` with its settings, as a value."""

    delta: float = 1.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        _positive("delta", self.delta)

    def __call__(self, prediction: Tensor, target: Tensor) -> Float[Tensor, "..."]:
        return huber_loss(prediction, target, delta=self.delta, reduction=self.reduction)


@dataclass(frozen=True, kw_only=True)
class PinballLoss:
    """``pinball_loss`` with its settings, as a value."""

    quantile: float | tuple[float, ...] = 0.5
    reduction: str = "mean"

    def __call__(self, prediction: Tensor, target: Tensor) -> Float[Tensor, "..."]:
        return pinball_loss(prediction, target, quantile=self.quantile, reduction=self.reduction)


def _positive(name: str, value: float) -> None:
    require(0 < value < float("inf"), name, value, "positive and finite")


def mean_absolute_error_by_hand(
    prediction: Float[Tensor, "*s"], target: Float[Tensor, "*s"]
) -> Float[Tensor, ""]:
    e = target - prediction
    return torch.where(e < 0, -e, e).mean()


def huber_loss_by_hand(
    prediction: Float[Tensor, "*s"], target: Float[Tensor, "*s"], delta: float = 1.0
) -> Float[Tensor, ""]:
    e = target - prediction
    size = torch.where(e < 0, -e, e)
    return torch.where(size < delta, e**2 / 2, delta * (size - delta / 2)).mean()


def smooth_l1_loss_by_hand(
    prediction: Float[Tensor, "*s"], target: Float[Tensor, "*s"], beta: float = 1.0
) -> Float[Tensor, ""]:
    return huber_loss_by_hand(prediction, target, delta=beta) / beta


def pinball_loss_by_hand(
    prediction: Float[Tensor, "*s"], target: Float[Tensor, "*s"], quantile: float = 0.5
) -> Float[Tensor, ""]:
    too_low = target > prediction
    return torch.where(
        too_low, quantile * (target - prediction), (1 - quantile) * (prediction - target)
    ).mean()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    inputs = tuple(2 * torch.randn(4, 3, dtype=torch.float64, generator=dice) for _ in range(2))
    yield Twin("absolute", mean_absolute_error, mean_absolute_error_by_hand, inputs)
    for width in (0.3, 1.0, 2.0):
        huber, by_hand = partial(huber_loss, delta=width), partial(huber_loss_by_hand, delta=width)
        yield Twin(f"Huber {width}", huber, by_hand, inputs)
        smooth, by_hand = partial(smooth_l1_loss, beta=width), partial(smooth_l1_loss_by_hand, beta=width)
        yield Twin(f"smooth L1 {width}", smooth, by_hand, inputs)
    for q in (0.1, 0.5, 0.9):
        pinball, by_hand = partial(pinball_loss, quantile=q), partial(pinball_loss_by_hand, quantile=q)
        yield Twin(f"pinball {q}", pinball, by_hand, inputs)
