"""Mish: a number times the tanh of its softplus; smooth, unbounded above, with a dip below zero.

    mish(x) = x tanh(softplus(x)),   softplus(x) = log(1 + e^x)                                  (Misra 2019)

It looks like Swish and is a little steeper; the dip reaches -0.309 near x = -1.19. YOLOv4 made it known.

Written with three transcendental functions, it needs only one. With e^(softplus) = 1 + e^x,

    tanh(log(1 + e^x)) = ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1) = (e^2x + 2 e^x) / (e^2x + 2 e^x + 2)

For large x this is inf / inf. Divided through by e^2x it holds only z = e^-x: (1 + 2z) / (1 + 2z + 2z^2).
So each side of zero takes the form in which z = e^-|x| is at most 1, and nothing can overflow.
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
    title="Mish",
    paper="https://arxiv.org/abs/1908.08681",
    year=2019,
    summary="A smooth ReLU with a dip below zero, made known by the YOLOv4 detector.",
    rows=("AC09",),
    builds_on=("swish",),
    oracle="torch.nn.functional.mish and timm's; values and gradients in float64",
)


def mish(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Each x times tanh(log(1 + e^x)). Raises ValueError unless x is floating-point."""
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    return F.mish(x)


def mish_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The gate as a fraction of powers of z = e^-|x|, in the form for either side of zero."""
    positive = x >= 0
    z = torch.exp(torch.where(positive, -x, x))  # not abs(): its slope at 0 is taken to be 0
    top = torch.where(positive, 1 + 2 * z, z * z + 2 * z)
    rest = torch.where(positive, 2 * z * z, torch.full_like(z, 2.0))
    return x * top / (top + rest)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.cat([torch.linspace(-8, 8, 33), torch.tensor([-40.0, 40.0, -1e4, 1e4])]).double()
    yield Twin("mish", mish, mish_by_hand, (x,))
