"""Softmax: scores become probabilities that add up to 1, and the largest score gets the largest share.

    p_i = e^(x_i / T) / sum_j e^(x_j / T)             (Bridle 1990; T is the temperature)
    log p_i = x_i / T - log sum_j e^(x_j / T)
    d p_i / d x_j = p_i ([i = j] - p_j) / T           the Jacobian

Only differences between scores count: adding one number to all of them changes nothing. A temperature below 1
sharpens the shares towards the largest score, one above 1 evens them out.

That invariance is also what makes it computable. e^x overflows from x = 710 in float64 (from 89 in
float32), and inf / inf is not a number. With the largest score taken away first, the largest exponent is
e^0 = 1 and the sum lies between 1 and k. Logarithms of probabilities get their own function:
log(softmax(x)) is log 0 = -inf for any score that lies 746 below the largest, where the true value is -746.
The difference is taken before dividing by T, so that a small T cannot overflow a large score either.

The Jacobian is symmetric, its rows add up to 0 (the shares always sum to 1), and it nearly vanishes when
one share is near 1: a softmax that is sure learns slowly.

Axes used below
    k  classes, the axis that is shared out
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
    title="Softmax",
    paper="https://doi.org/10.1007/978-3-642-76153-9_28",
    year=1990,
    summary="Turns a list of scores into probabilities that add up to one.",
    rows=("AC08",),
    oracle="torch.softmax, log_softmax; the Jacobian against torch.autograd.functional.jacobian; float64",
)


def softmax(x: Shaped[Tensor, "*shape"], dim: int = -1, temperature: float = 1.0) -> Float[Tensor, "*shape"]:
    """Shares in [0, 1] that add up to 1 along ``dim``.

    Scores of -inf get share 0; where all along ``dim`` are -inf there is no answer and the shares are NaN,
    as in torch (to look for it would stop an accelerator at each call). Raises ValueError for an axis that
    x does not have, a temperature that is not positive and finite, and unless x is floating-point.
    """
    return F.softmax(_scaled(x, dim, temperature), dim)


def log_softmax(
    x: Shaped[Tensor, "*shape"], dim: int = -1, temperature: float = 1.0
) -> Float[Tensor, "*shape"]:
    """The logarithm of `softmax`, finite where the shares themselves round to 0. Raises what it raises."""
    return F.log_softmax(_scaled(x, dim, temperature), dim)


def softmax_jacobian(x: Shaped[Tensor, "*shape"], temperature: float = 1.0) -> Float[Tensor, "*shape k"]:
    """How each share (rows) moves with each score (columns), for scores along the last axis.

    Raises ValueError for scores without an axis, and what `softmax` raises.
    """
    if x.ndim < 1:
        raise ValueError("x has shape (); it must have at least one axis, of scores")
    p = softmax(x, -1, temperature)
    return (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)) / temperature


class Softmax(nn.Module):
    """`softmax` as a layer."""

    def __init__(self, dim: int = -1, temperature: float = 1.0) -> None:
        super().__init__()
        _positive(temperature)
        self.dim, self.temperature = dim, temperature

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return softmax(x, self.dim, self.temperature)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, temperature={self.temperature}"


def softmax_by_hand(
    x: Float[Tensor, "*shape"], dim: int = -1, temperature: float = 1.0
) -> Float[Tensor, "*shape"]:
    """Take the largest away, raise, divide by the sum."""
    weights = torch.exp(_from_largest(x, dim) / temperature)
    return weights / weights.sum(dim, keepdim=True)


def log_softmax_by_hand(
    x: Float[Tensor, "*shape"], dim: int = -1, temperature: float = 1.0
) -> Float[Tensor, "*shape"]:
    """Take the largest away, then the logarithm of the sum, which is at least log 1 = 0."""
    shifted = _from_largest(x, dim) / temperature
    return shifted - torch.log(torch.exp(shifted).sum(dim, keepdim=True))


def softmax_jacobian_by_hand(x: Float[Tensor, " k"], temperature: float = 1.0) -> Float[Tensor, "k k"]:
    """Entry by entry."""
    p = softmax_by_hand(x, 0, temperature)
    rows = []
    for i in range(len(p)):
        rows.append(torch.stack([p[i] * ((1 if i == j else 0) - p[j]) / temperature for j in range(len(p))]))
    return torch.stack(rows)


def _from_largest(x: Tensor, dim: int) -> Tensor:
    """Scores less the largest; a constant for the gradient, since any constant gives the same shares."""
    return x - x.amax(dim, keepdim=True).detach() if x.numel() else x


def _scaled(x: Tensor, dim: int, temperature: float) -> Tensor:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    axes = max(x.ndim, 1)
    if not -axes <= dim < axes:
        raise ValueError(f"dim is {dim}; x of shape {tuple(x.shape)} has axes {-axes} to {axes - 1}")
    _positive(temperature)
    return x if temperature == 1 else _from_largest(x, dim) / temperature


def _positive(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}; it must be positive and finite")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.linspace(-3, 4, 12, dtype=torch.float64).reshape(3, 4).sin() * 3
    x[0, 1] = 1e4
    yield Twin("softmax", softmax, softmax_by_hand, (x,))
    yield Twin(
        "softmax, first axis, T = 2", lambda t: softmax(t, 0, 2.0), lambda t: softmax_by_hand(t, 0, 2.0), (x,)
    )
    yield Twin("log_softmax", log_softmax, log_softmax_by_hand, (x,))
    yield Twin("softmax_jacobian", softmax_jacobian, softmax_jacobian_by_hand, (x[1],))
