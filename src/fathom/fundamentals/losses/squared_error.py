"""Squared error: the price of a mistake grows with its square, so the best constant guess is the mean.

Minimising the mean squared error is maximum likelihood when the noise is normal with the same variance
everywhere (Bishop 2006, section 3.1.1, equation 3.12). Its gradient is proportional to the error itself:
large mistakes pull hard, and one far outlier can pull harder than all other points together. Where that
hurts, see ``absolute_error``. The root has the unit of the target, which makes it fit to be read; as a
loss it has the same minimum, and steps whose size does not shrink with the error.

    MSE   sum_i w_i (p_i - t_i)^2 / sum_i w_i
    RMSE  sqrt(MSE)

The root has no slope at 0. There its gradient is set to zeros, so a perfect fit stays one and gives no NaN.

Axes used below
    *s  any shape, the same for prediction p and target t
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.losses.reduction import at_least_float32, check_alike, reduce_losses

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Squared error",
    paper="https://www.microsoft.com/en-us/research/people/cmbishop/prml-book/",
    year=2006,
    summary="The mean of squared mistakes, and its root: the usual loss and measure of regression.",
    rows=("LO02",),
    builds_on=("reduction",),
    oracle="torch.nn.functional.mse_loss with every reduction and with weights, value and gradient",
)


def mean_squared_error(
    prediction: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """The square of ``prediction`` (*s) minus ``target`` (*s), in the target's unit squared.

    ``weight`` broadcasts to (*s) and makes the mean a weighted one; an empty mean is 0. Raises ``ValueError``
    for shapes that differ ((b, 1) and (b,) too), dtypes not floating, and negative weights.
    """
    check_alike(prediction=prediction, target=target)
    errors = F.mse_loss(at_least_float32(prediction), at_least_float32(target), reduction="none")
    return reduce_losses(errors, reduction, weight=weight)


def root_mean_squared_error(
    prediction: Tensor, target: Tensor, *, weight: Tensor | None = None
) -> Float[Tensor, ""]:
    """The root of the mean squared error of (*s) and (*s), in the target's unit; 0 for nothing.

    The mean runs over all elements, so batches of different errors do not average to the whole set's.
    Raises ``ValueError`` as ``mean_squared_error`` does.
    """
    mean = mean_squared_error(prediction, target, weight=weight)
    perfect = mean == 0
    return torch.where(perfect, 0.0, torch.where(perfect, 1.0, mean).sqrt())


def mean_squared_error_by_hand(
    prediction: Float[Tensor, "*s"], target: Float[Tensor, "*s"]
) -> Float[Tensor, ""]:
    pairs = list(zip(prediction.flatten(), target.flatten(), strict=True))
    squares = [(p - t) ** 2 for p, t in pairs]
    return sum(squares, prediction.new_zeros(())) / len(squares)


def root_mean_squared_error_by_hand(
    prediction: Float[Tensor, "*s"], target: Float[Tensor, "*s"]
) -> Float[Tensor, ""]:
    return mean_squared_error_by_hand(prediction, target) ** 0.5


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    prediction = torch.randn(3, 4, dtype=torch.float64, generator=dice)
    target = torch.randn(3, 4, dtype=torch.float64, generator=dice)
    yield Twin("mean", mean_squared_error, mean_squared_error_by_hand, (prediction, target))
    yield Twin(
        "root of the mean", root_mean_squared_error, root_mean_squared_error_by_hand, (prediction, target)
    )
