"""Layer normalisation: each sample is brought to mean 0 and variance 1 over its own features.

Ba, Kiros and Hinton (2016, equation 3) measure mean and variance over the features of one sample (in a
sequence: of one position) instead of over the batch. Nothing then depends on the other samples, so training
and use are the same, and a batch of one will do. Every feature has its own scale and place afterwards:

    mu = mean(x)    s2 = mean((x - mu)^2)        over *n, the last axes
    y  = weight * (x - mu) / sqrt(s2 + epsilon) + bias

Adding a constant to all features, or multiplying all by one, changes nothing (section 5.1).

Axes used below
    *b  any leading axes: batch, positions      *n  the axes that are normalised together
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Layer normalisation",
    paper="https://arxiv.org/abs/1607.06450",
    year=2016,
    summary="Brings the features of each sample to mean 0 and variance 1; the other samples do not matter.",
    rows=("RN10",),
    oracle="torch.nn.LayerNorm: outputs and gradients, float64",
)


def layer_norm(
    x: Tensor,
    shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Tensor, "..."]:
    """``x`` (*b, *n) normalised over its last axes, whose sizes are ``shape``, as are weight and bias.

    Raises ``ValueError`` where shapes do not fit, a dtype is not floating, or epsilon is not positive.
    """
    shape = _sizes(shape, epsilon)
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    if tuple(x.shape[-len(shape) :]) != shape:
        raise ValueError(f"x has shape {tuple(x.shape)}; its last axes must be {shape}")
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and tuple(vector.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(vector.shape)}; it must be {shape}")
    return F.layer_norm(x, shape, weight, bias, epsilon)


class LayerNorm(nn.LayerNorm):
    """`layer_norm` as a layer for inputs (*b, *shape). Its weights carry the names of torch's."""

    def __init__(
        self, shape: int | Sequence[int], *, epsilon: float = 1e-5, affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__(list(_sizes(shape, epsilon)), epsilon, affine, bias)

    def forward(self, input: Tensor) -> Float[Tensor, "..."]:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, epsilon=self.eps)


def layer_norm_by_hand(
    x: Float[Tensor, "b n"], weight: Float[Tensor, "n"], bias: Float[Tensor, "n"], epsilon: float = 1e-5
) -> Float[Tensor, "b n"]:
    """Sample by sample, over one axis."""
    rows = []
    for sample in x:
        mean = sample.sum() / len(sample)
        variance = ((sample - mean) ** 2).sum() / len(sample)
        rows.append(weight * (sample - mean) / torch.sqrt(variance + epsilon) + bias)
    return torch.stack(rows)


def _sizes(shape: int | Sequence[int], epsilon: float) -> tuple[int, ...]:
    """``shape`` as a tuple, after a check of both; raises ``ValueError``."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or math.prod(sizes) < 1:
        raise ValueError(f"shape is {shape}; it must hold sizes of 1 or more")
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")
    return sizes


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, dtype=torch.float64, generator=dice) * 3 - 1
    weight, bias = torch.randn(2, 6, dtype=torch.float64, generator=dice)
    yield Twin("layer norm", lambda x, w, b: layer_norm(x, 6, w, b), layer_norm_by_hand, (x, weight, bias))

    def flat(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return layer_norm_by_hand(x.flatten(1), weight.flatten(), bias.flatten()).reshape(x.shape)

    yield Twin(
        "over two axes",
        lambda x, w, b: layer_norm(x, (2, 3), w, b),
        flat,
        (x.reshape(4, 2, 3), weight.reshape(2, 3), bias.reshape(2, 3)),
    )
