"""RMS normalisation: layer normalisation without the mean.

Zhang and Sennrich (2019, equation 4) found that layer normalisation owes its success to the rescaling and not
to the recentring, and left the latter out: one pass less, one vector of weights less, the same quality. Most
large language models since LLaMA use it.

    rms(x) = sqrt(mean(x^2) + epsilon)        over n, the last axis
    y      = weight * x / rms(x)

Multiplying all features by a constant changes nothing; adding one to all does, unlike in layer normalisation.

Axes used below
    *b  any leading axes: batch, positions      n  features
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="RMS normalisation",
    paper="https://arxiv.org/abs/1910.07467",
    year=2019,
    summary="Divides the features of each sample by their root mean square: a cheaper layer normalisation.",
    rows=("RN10",),
    differs=("Epsilon stands under the root, as in LLaMA and in torch; the paper has none.",),
    oracle="torch.nn.RMSNorm: outputs and gradients, float64",
)


def rms_norm(x: Tensor, weight: Tensor | None = None, *, epsilon: float = 1e-6) -> Float[Tensor, "*b n"]:
    """``x`` (*b, n) divided by the root mean square of its last axis, times ``weight`` (n,).

    Raises ``ValueError`` for a dtype that is not floating, shapes that do not fit, and epsilon not positive.
    """
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    if x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(f"x has shape {tuple(x.shape)}; its last axis must hold 1 feature or more")
    if weight is not None and weight.shape != x.shape[-1:]:
        raise ValueError(f"weight has shape {tuple(weight.shape)}; x asks for ({x.shape[-1]},)")
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")
    return F.rms_norm(x, x.shape[-1:], weight, epsilon)


class RMSNorm(nn.RMSNorm):
    """`rms_norm` as a layer for inputs (*b, features). Its weight carries the name of torch's."""

    def __init__(self, features: int, *, epsilon: float = 1e-6, affine: bool = True) -> None:
        if features < 1:
            raise ValueError(f"features is {features}; it must be 1 or more")
        if not epsilon > 0:
            raise ValueError(f"epsilon is {epsilon}; it must be positive")
        super().__init__(features, epsilon, affine)

    def forward(self, x: Tensor) -> Float[Tensor, "*b n"]:
        if x.shape[-1:] != self.normalized_shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; this layer has features={self.normalized_shape[0]}"
            )
        return rms_norm(x, self.weight, epsilon=self.eps or 0.0)


def rms_norm_by_hand(
    x: Float[Tensor, "b n"], weight: Float[Tensor, "n"], epsilon: float = 1e-6
) -> Float[Tensor, "b n"]:
    """Sample by sample."""
    rows = []
    for sample in x:
        root_mean_square = torch.sqrt((sample * sample).sum() / len(sample) + epsilon)
        rows.append(weight * sample / root_mean_square)
    return torch.stack(rows)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, dtype=torch.float64, generator=dice) * 3 - 1
    weight = torch.randn(6, dtype=torch.float64, generator=dice)
    yield Twin("rms norm", rms_norm, rms_norm_by_hand, (x, weight))
