"""Swish, with its special case SiLU: a number times the probability that it should pass.

    swish(x) = x sigmoid(b x)                         (Ramachandran, Zoph and Le 2017)
    silu(x)  = swish(x) with b = 1                    (Elfwing, Uchibe and Doya 2017)

A search over formulas found it; it is smooth, dips below zero once (to -0.278 near x = -1.278, for b = 1)
and so is not monotonic, and it has a slope on both sides. b says how sharp the bend is: b = 0 gives the
straight line x / 2, and for large b it becomes a ReLU. It may be fixed or learned, as one parameter of a
layer.

    slope in x:  sigmoid(b x) + b x sigmoid(b x) (1 - sigmoid(b x))
    slope in b:  x^2 sigmoid(b x) (1 - sigmoid(b x))

It is stable wherever its sigmoid is.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.activations.sigmoid import sigmoid_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Swish and SiLU",
    paper="https://arxiv.org/abs/1710.05941",
    year=2017,
    summary="Multiplies a number by its own sigmoid: a smooth ReLU with a small dip below zero.",
    rows=("AC06",),
    builds_on=("sigmoid",),
    oracle="torch.nn.functional.silu, and silu(b x) / b for other b; values and gradients in float64",
)


def silu(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Each x times sigmoid(x), for ``x`` of any shape. Raises ValueError unless x is floating-point."""
    _floating("x", x)
    return F.silu(x)


def swish(x: Shaped[Tensor, "*shape"], beta: float | Tensor = 1.0) -> Float[Tensor, "*shape"]:
    """Each x times sigmoid(beta x), with ``beta`` a finite number, or a tensor of one number.

    Such a tensor may be learned. Raises ValueError for other values or shapes of ``beta``, and unless x is
    floating-point.
    """
    _floating("x", x)
    if isinstance(beta, Tensor):
        _floating("beta", beta)
        if beta.numel() != 1:
            raise ValueError(f"beta has shape {tuple(beta.shape)}; it must hold one number")
        return x * torch.sigmoid(beta.reshape(()).to(x.dtype) * x)
    _finite(beta)
    return F.silu(x) if beta == 1 else x * torch.sigmoid(beta * x)


class Swish(nn.Module):
    """`swish` as a layer; with ``learned`` its ``beta`` is a parameter, begun at the value given."""

    def __init__(self, beta: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        _finite(beta)
        self.beta = nn.Parameter(torch.tensor(beta)) if learned else beta

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return swish(x, self.beta)

    def extra_repr(self) -> str:
        learned = isinstance(self.beta, Tensor)
        return f"beta={self.beta.item() if isinstance(self.beta, Tensor) else self.beta:g}, learned={learned}"


def silu_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The number, times its sigmoid."""
    return x * sigmoid_by_hand(x)


def swish_by_hand(x: Float[Tensor, "*shape"], beta: Float[Tensor, ""]) -> Float[Tensor, "*shape"]:
    """The number, times the sigmoid of beta times it."""
    return x * sigmoid_by_hand(beta * x)


def _finite(beta: float) -> None:
    if not math.isfinite(beta):
        raise ValueError(f"beta is {beta}; it must be finite")


def _floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"{name} has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.cat([torch.linspace(-8, 8, 33), torch.tensor([-40.0, 40.0, -1e4, 1e4])]).double()
    yield Twin("silu", silu, silu_by_hand, (x,))
    beta = torch.tensor(1.7, dtype=torch.float64)
    yield Twin("swish", swish, swish_by_hand, (x[:-2], beta))
