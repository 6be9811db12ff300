"""Sigmoid: any number becomes one between 0 and 1, to be read as a probability or used as a gate.

    sigmoid(x)     = 1 / (1 + e^-x)               slope: sigmoid(x) (1 - sigmoid(x))
    log_sigmoid(x) = -log(1 + e^-x)               slope: sigmoid(-x)

This is the unit of Rumelhart, Hinton and Williams (1986, equation 2). Its slope is 1/4 at most and dies away
on both sides: a unit far from zero is saturated and hardly learns, and twenty layers of sigmoids shrink a
gradient at least 4^20 times, weights aside. So today it closes gates and ends networks; it rarely stands
between layers.

Computed as written, both formulas break. For x = -1e4 the term e^-x is infinite; the value, 1 / inf = 0, is
still right, but the slope is inf * 0, which is not a number. And log(sigmoid(x)) is log 0 = -inf as soon as
sigmoid(x) rounds to zero, though the true value is close to x. The cure is never to raise e to a positive
power: z = e^-|x| lies in (0, 1], and either side of zero has its own form, 1 / (1 + z) and z / (1 + z).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Sigmoid",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="Squeezes any number into (0, 1), so that it can be read as a probability.",
    rows=("AC01",),
    oracle="torch.sigmoid and torch.nn.functional.logsigmoid; values and gradients in float64",
)


def sigmoid(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Each number of ``x``, of any shape, mapped into [0, 1]. Raises ValueError unless x is floating."""
    _floating(x)
    return torch.sigmoid(x)


def log_sigmoid(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The logarithm of ``sigmoid(x)``, finite where x is. Raises ValueError unless x is floating-point."""
    _floating(x)
    return F.logsigmoid(x)


def sigmoid_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Both sides of zero, each in the form whose exponential cannot overflow."""
    positive = x >= 0
    z = _e_to_minus_size(x)
    return torch.where(positive, torch.ones_like(x), z) / (1 + z)


def log_sigmoid_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """-log(1 + e^-x); for negative x, e^-x is taken out of the logarithm: x - log(e^x + 1)."""
    below = torch.where(x >= 0, torch.zeros_like(x), x)
    # log1p keeps the digits of a small z, which 1 + z would round away.
    return below - torch.log1p(_e_to_minus_size(x))


def _e_to_minus_size(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """e^-|x|. Not written with abs(), whose slope at 0 is taken to be 0: the gradient there would be lost."""
    return torch.exp(torch.where(x >= 0, -x, x))


def _floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.cat([torch.linspace(-8, 8, 33), torch.tensor([-40.0, 40.0, -1e4, 1e4])]).double()
    yield Twin("sigmoid", sigmoid, sigmoid_by_hand, (x,))
    yield Twin("log_sigmoid", log_sigmoid, log_sigmoid_by_hand, (x,))
