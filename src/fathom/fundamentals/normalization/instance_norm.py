"""Instance normalisation: each picture and channel for itself is brought to mean 0 and variance 1.

Ulyanov, Vedaldi and Lempitsky (2016, section 2) met it in style transfer: the contrast of the photograph
should not show in the painting, so every channel of every picture is normalised over its own pixels.

    mu = mean(x)    s2 = mean((x - mu)^2)        over *size, for each b and c
    y  = weight * (x - mu) / sqrt(s2 + epsilon) + bias

It is group normalisation with one channel to a group. What it takes away, a brightness and a contrast for
each channel, is what a style is made of: adaptive instance normalisation puts those of another picture in
their place.

Axes used below
    b  batch      c  channels      *size  positions: time, or height and width
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Instance normalisation",
    paper="https://arxiv.org/abs/1607.08022",
    year=2016,
    summary="Takes brightness and contrast out of every channel of every picture; made for style transfer.",
    rows=("RN11",),
    oracle="torch.nn.InstanceNorm1d to 3d, with and without running statistics: outputs, gradients, float64",
)


def instance_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Tensor, "b c *size"]:
    """``x`` (b, c, *size) normalised over size; ``weight`` and ``bias`` are (c,).

    Raises ``ValueError`` for a dtype that is not floating, other shapes, one position, epsilon not positive.
    """
    _check_input(x, uses_input=True)
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector.shape != x.shape[1:2]:
            raise ValueError(f"{name} has shape {tuple(vector.shape)}; x asks for ({x.shape[1]},)")
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")
    if not x.numel():
        return x.clone()
    return F.instance_norm(x, weight=weight, bias=bias, eps=epsilon)


class InstanceNorm(_NormBase):
    """`instance_norm` as a layer for inputs (b, features, *size). Its weights carry the names of torch's.

    With ``track`` it remembers averages in training and uses them afterwards, as batch normalisation does.
    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        affine: bool = False,
        track: bool = False,
        momentum: float = 0.1,
    ) -> None:
        if features < 1:
            raise ValueError(f"features is {features}; it must be 1 or more")
        if not epsilon > 0:
            raise ValueError(f"epsilon is {epsilon}; it must be positive")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")
        super().__init__(features, epsilon, momentum, affine, track)

    def forward(self, x: Tensor) -> Float[Tensor, "b c *size"]:
        uses_input = self.training or not self.track_running_stats
        _check_input(x, uses_input)
        if x.shape[1] != self.num_features:
            raise ValueError(f"x has {x.shape[1]} channels; this layer has features={self.num_features}")
        if not x.numel():
            return x.clone()
        return F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, uses_input, self.momentum or 0.0,
            self.eps,
        )  # fmt: skip


def instance_norm_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "c"],
    bias: Float[Tensor, "c"],
    epsilon: float = 1e-5,
) -> Float[Tensor, "b c *size"]:
    """Picture by picture, channel by channel."""
    pictures = []
    for picture in x:
        channels = []
        for c, pixels in enumerate(picture):
            mean = pixels.sum() / pixels.numel()
            variance = ((pixels - mean) ** 2).sum() / pixels.numel()
            channels.append(weight[c] * (pixels - mean) / torch.sqrt(variance + epsilon) + bias[c])
        pictures.append(torch.stack(channels))
    return torch.stack(pictures)


def _check_input(x: Tensor, uses_input: bool) -> None:
    if x.ndim < 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, channels, size, ...)")
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    if uses_input and math.prod(x.shape[2:]) == 1:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: one position, whose variance is 0; give at least 2 positions"
        )


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(2, 3, dtype=torch.float64, generator=dice)
    for size in ((7,), (3, 4)):
        x = torch.randn(2, 3, *size, dtype=torch.float64, generator=dice) * 2 + 1
        yield Twin(f"{len(size)} axes", instance_norm, instance_norm_by_hand, (x, weight, bias))
