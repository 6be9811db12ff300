"""ELU, SELU, CELU: a ReLU whose negative side bends softly towards a floor.

    elu(x)  = x for x > 0, a (e^x - 1) otherwise            (Clevert et al. 2016, section 3)
    celu(x) = x for x > 0, a (e^(x/a) - 1) otherwise        (Barron 2017; slope 1 at zero for every a)
    selu(x) = s x for x > 0, s a (e^x - 1) otherwise        (Klambauer et al. 2017, equation 2)

Negative outputs push the mean of a layer's outputs towards zero, which speeds up learning; the floor at -a
keeps a strongly negative input from saying how negative it is.

SELU chooses s = 1.0507 and a = 1.6733 so that a standard normal input gives outputs of mean 0 and variance
1. With weights of mean 0 and variance 1 / fan in (`lecun_normal_`) that point attracts: whatever mean and
variance come in, fifty layers later they are near 0 and 1, with no normalisation layer.
`self_normalizing_constants` solves for s and a.

In both forms e^x is wanted only for x <= 0. Raised for all x and selected afterwards it overflows for large
ones, and the gradient of the branch that was not selected is 0 * inf, not a number. So x is held at 0
first.
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
    title="ELU, SELU and CELU",
    paper="https://arxiv.org/abs/1511.07289",
    year=2015,
    summary="A ReLU with a smooth negative side; well scaled, it keeps a deep network normalised by itself.",
    rows=("AC05",),
    builds_on=("relu",),
    oracle="torch.nn.functional.elu, selu, celu in float64; SELU's constants by integration",
)

SELU_SCALE = 1.0507009873554804934
SELU_ALPHA = 1.6732632423543772848


def elu(x: Shaped[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """Positive x as they are, others alpha (e^x - 1). Refuses (ValueError) integers and alpha <= 0."""
    _floating(x)
    _positive(alpha)
    return F.elu(x, alpha)


def celu(x: Shaped[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """Positive x as they are, others alpha (e^(x / alpha) - 1). Refuses what `elu` refuses."""
    _floating(x)
    _positive(alpha)
    if (
        x.dtype == torch.float64
    ):  # torch 2.13 rounds 1 / alpha to float32 in the gradient: wrong from the 8th digit
        return alpha * F.elu(x / alpha)
    return F.celu(x, alpha)


def selu(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """ELU with the two constants that normalise. Raises ValueError unless x is floating-point."""
    _floating(x)
    return F.selu(x)


class ELU(nn.Module):
    """`elu` as a layer."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        _positive(alpha)
        self.alpha = alpha

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class CELU(nn.Module):
    """`celu` as a layer."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        _positive(alpha)
        self.alpha = alpha

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return celu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


def self_normalizing_constants() -> tuple[float, float]:
    """(scale, alpha) of SELU, from E selu(z) = 0 and E selu(z)^2 = 1 for a standard normal z.

    Completing the square gives E[e^(kz); z < 0] = e^(k^2/2) P(z < -k). The first condition,
    E[z; z > 0] + alpha E[e^z - 1; z < 0] = 0, then gives alpha, and the second the scale.
    """

    def below(k: float) -> float:
        """E[e^(kz); z < 0]."""
        return math.exp(k * k / 2) * 0.5 * math.erfc(k / math.sqrt(2))

    alpha = -1 / math.sqrt(2 * math.pi) / (below(1.0) - below(0.0))
    square = 0.5 + alpha**2 * (below(2.0) - 2 * below(1.0) + below(0.0))
    return 1 / math.sqrt(square), alpha


def elu_by_hand(x: Float[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """The straight part plus the bent part; one of the two is always zero."""
    zero = torch.zeros_like(x)
    above, below = torch.where(x > 0, x, zero), torch.where(x > 0, zero, x)
    return above + alpha * torch.expm1(below)  # expm1: e^x - 1 loses all digits for a small x


def celu_by_hand(x: Float[Tensor, "*shape"], alpha: float = 1.0) -> Float[Tensor, "*shape"]:
    """The same with the exponential stretched by alpha."""
    zero = torch.zeros_like(x)
    above, below = torch.where(x > 0, x, zero), torch.where(x > 0, zero, x)
    return above + alpha * torch.expm1(below / alpha)


def selu_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """ELU, times the scale, with the constants worked out on the spot."""
    scale, alpha = self_normalizing_constants()
    return scale * elu_by_hand(x, alpha)


def _positive(alpha: float) -> None:
    if not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha is {alpha}; it must be positive and finite")


def _floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.cat([torch.linspace(-6, 6, 32), torch.tensor([-1e4, 1e4])]).double()  # the kink is not hit
    yield Twin("elu", lambda t: elu(t, 0.7), lambda t: elu_by_hand(t, 0.7), (x,))
    yield Twin("celu", lambda t: celu(t, 0.7), lambda t: celu_by_hand(t, 0.7), (x,))
    yield Twin("selu", selu, selu_by_hand, (x,))
