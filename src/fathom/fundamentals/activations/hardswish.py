"""Hardswish and hardsigmoid: Swish and its gate from straight lines, for chips where e^x is dear.

    hardsigmoid(x) = min(max(x + 3, 0), 6) / 6             0 up to -3, 1 from 3 on, a line between
    hardswish(x)   = x hardsigmoid(x)                      (Howard et al. 2019, MobileNetV3, section 5.2)

An exponential costs many instructions and has no exact form in eight-bit integers; a minimum, a maximum and
a product do. The result stays within 0.15 of Swish. Below -3 it is flat, so units can die there as those of
a ReLU do.

At the two corners the slope is that of the outer side, as in torch: 0 at x = -3 and 1 at x = 3 (0 for the
gate).
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
    title="Hardswish",
    paper="https://arxiv.org/abs/1905.02244",
    year=2019,
    summary="Swish drawn with straight lines, cheap enough for a phone.",
    rows=("AC09",),
    builds_on=("swish",),
    oracle="torch.nn.functional.hardswish, hardsigmoid, also at the corners, and timm's; float64",
)


def hardsigmoid(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The line (x + 3) / 6, held within [0, 1]. Raises ValueError unless x is floating-point."""
    _floating(x)
    if x.dtype == torch.float64:  # torch 2.13 takes 1/6 in float32 for the gradient: wrong from the 8th digit
        return F.relu6(x + 3) / 6
    return F.hardsigmoid(x)


def hardswish(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Each x times its `hardsigmoid`. Raises ValueError unless x is floating-point."""
    _floating(x)
    return F.hardswish(x)


def hardsigmoid_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Three pieces; the corners belong to the flat ones."""
    middle = torch.where(x >= 3, torch.ones_like(x), (x + 3) / 6)
    return torch.where(x <= -3, torch.zeros_like(x), middle)


def hardswish_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The number, times the gate: one factor in [0, 1], so no square of x is ever formed."""
    return x * hardsigmoid_by_hand(x)


def _floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    # No point lies on a corner, where finite differences have no answer.
    x = torch.cat([torch.linspace(-5, 5, 32), torch.tensor([-1e4, 1e4])]).double()
    yield Twin("hardsigmoid", hardsigmoid, hardsigmoid_by_hand, (x,))
    yield Twin("hardswish", hardswish, hardswish_by_hand, (x,))
