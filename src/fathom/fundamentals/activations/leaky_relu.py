"""Leaky ReLU and PReLU: the negative side keeps a small slope, so that no unit can die.

    leaky_relu(x) = x for x > 0, a x otherwise          a fixed, 0.01 (Maas, Hannun and Ng 2013, section 2)
    prelu(x)      = max(0, x) + a min(0, x)             a learned (He et al. 2015, equation 1)

A ReLU that is negative for every example gets no gradient and stays so. With a slope a > 0 on that side some
gradient always comes through. He et al. let the network find the slope: one for each channel, or one for a
whole layer, begun at 0.25. Its own gradient is the sum of the negative inputs (their equation 3),

    d prelu / d a = min(0, x)

so weight decay, which would pull a towards 0 and so back to a ReLU, should spare it (section 2.1).

At x = 0 the slope is taken to be a, as in torch.

Axes used below
    b  batch          c  channels: the second axis of the input
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Leaky ReLU and PReLU",
    paper="https://arxiv.org/abs/1502.01852",
    year=2015,
    summary="A ReLU whose negative side keeps a small slope, fixed or learned.",
    rows=("AC04",),
    builds_on=("relu",),
    oracle="torch.nn.functional.leaky_relu and prelu, the slope's gradient too; float64, gradcheck",
)


def leaky_relu(x: Shaped[Tensor, "*shape"], negative_slope: float = 0.01) -> Float[Tensor, "*shape"]:
    """Positive x as they are, others times ``negative_slope``.

    Raises ValueError unless x is floating-point and ``negative_slope`` is finite and 0 or more.
    """
    _floating("x", x)
    _slope("negative_slope", negative_slope)
    return F.leaky_relu(x, negative_slope)


def prelu(x: Shaped[Tensor, "*shape"], slope: Shaped[Tensor, "..."]) -> Float[Tensor, "*shape"]:
    """Positive x as they are, others times ``slope``.

    ``slope`` has shape (1,): one for all, or (c,): one for each channel of x (b, c, ...). Raises ValueError
    for another shape, or where x or slope are not floating-point.
    """
    _floating("x", x)
    _floating("slope", slope)
    if slope.ndim != 1 or (len(slope) != 1 and (x.ndim < 2 or x.shape[1] != len(slope))):
        raise ValueError(
            f"slope has shape {tuple(slope.shape)}; for x of shape {tuple(x.shape)} it must be (1,), or one "
            "number for each entry of the second axis"
        )
    return F.prelu(x, slope.to(x.dtype))


class LeakyReLU(nn.Module):
    """`leaky_relu` as a layer."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        _slope("negative_slope", negative_slope)
        self.negative_slope = negative_slope

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(nn.Module):
    """`prelu` as a layer that learns its slopes, in ``weight`` (torch's name, so that state dicts fit).

    ``channels`` slopes, 1 or as many as the second axis of the input, begun at ``initial``. Raises
    ValueError for fewer than one channel, or an ``initial`` that is not finite or below 0.
    """

    def __init__(self, channels: int = 1, initial: float = 0.25) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels is {channels}; it must be 1 or more")
        _slope("initial", initial)
        self.weight = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"channels={len(self.weight)}"


def leaky_relu_by_hand(x: Float[Tensor, "*shape"], negative_slope: float = 0.01) -> Float[Tensor, "*shape"]:
    """Two straight lines that meet at zero."""
    return torch.where(x > 0, x, negative_slope * x)


def prelu_by_hand(x: Float[Tensor, "*shape"], slope: Float[Tensor, " c"]) -> Float[Tensor, "*shape"]:
    """The same, with the slopes lined up with the second axis of x."""
    lined_up = slope.reshape(-1, *[1] * (x.ndim - 2)) if len(slope) > 1 else slope[0]
    return torch.where(x > 0, x, lined_up * x)


def _slope(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}; it must be finite and 0 or more")


def _floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"{name} has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.linspace(-5, 5, 36, dtype=torch.float64)  # an even number of points: the kink is not hit
    yield Twin("leaky_relu", leaky_relu, leaky_relu_by_hand, (x,))
    yield Twin("prelu, one slope", prelu, prelu_by_hand, (x, torch.tensor([0.25], dtype=torch.float64)))
    slopes = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    yield Twin("prelu, one slope a channel", prelu, prelu_by_hand, (x.reshape(4, 3, 3), slopes))
