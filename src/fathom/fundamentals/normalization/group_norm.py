"""Group normalisation: the channels of a picture are normalised in groups; the batch does not matter.

Wu and He (2018, equations 1, 2, 7) measure mean and variance over the pixels of a group of channels of one
picture. One group is layer normalisation over the whole picture, one channel to a group is instance
normalisation; between them lies what suits convolutions, whose channels are alike in kind and not in all.

    mu = mean(x)    s2 = mean((x - mu)^2)        over *size and the c / groups channels of a group, for each b
    y  = weight * (x - mu) / sqrt(s2 + epsilon) + bias

Where memory allows two pictures at a time, as in detection, batch normalisation measures noise: the paper's
figure 1 shows its error rise as batches shrink, and this one's stay. Without positions to average over it is
worst: of two samples a batch-normalised feature can only be +1 or -1.

Axes used below
    b  batch      c  channels      *size  positions: none, time, or height and width
"""

import math
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
    title="Group normalisation",
    paper="https://arxiv.org/abs/1803.08494",
    year=2018,
    summary="Normalises groups of channels of each picture alone, so that batches of two are enough.",
    rows=("RN12",),
    oracle="torch.nn.GroupNorm: outputs and gradients, float64; batches of 2 against batch normalisation's",
)


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Tensor, "b c *size"]:
    """``x`` (b, c, *size) normalised over size and each of ``groups`` runs of channels, as in the equation.

    ``weight`` and ``bias`` are (c,). Raises ``ValueError`` for a dtype that is not floating, channels that
    ``groups`` does not divide, one value to a group, other shapes, and epsilon not positive.
    """
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, channels, ...)")
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    _check_settings(groups, x.shape[1], epsilon)
    if x.shape[1] // groups * math.prod(x.shape[2:]) == 1:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and groups is {groups}: one value to a group, whose variance "
            "is 0; take fewer groups"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector.shape != x.shape[1:2]:
            raise ValueError(f"{name} has shape {tuple(vector.shape)}; x asks for ({x.shape[1]},)")
    return F.group_norm(x, groups, weight, bias, epsilon) if x.numel() else x.clone()


class GroupNorm(nn.GroupNorm):
    """`group_norm` as a layer for inputs (b, features, *size). Its weights carry the names of torch's."""

    def __init__(self, groups: int, features: int, *, epsilon: float = 1e-5, affine: bool = True) -> None:
        _check_settings(groups, features, epsilon)
        super().__init__(groups, features, epsilon, affine)

    def forward(self, input: Tensor) -> Float[Tensor, "b c *size"]:
        if input.ndim >= 2 and input.shape[1] != self.num_channels:
            raise ValueError(f"x has {input.shape[1]} channels; this layer has features={self.num_channels}")
        return group_norm(input, self.num_groups, self.weight, self.bias, epsilon=self.eps)


def group_norm_by_hand(
    x: Float[Tensor, "b c *size"],
    groups: int,
    weight: Float[Tensor, "c"],
    bias: Float[Tensor, "c"],
    epsilon: float = 1e-5,
) -> Float[Tensor, "b c *size"]:
    """Picture by picture, group by group."""
    pictures, wide = [], x.shape[1] // groups
    for picture in x:
        channels = []
        for first in range(0, x.shape[1], wide):
            group = picture[first : first + wide]
            mean = group.sum() / group.numel()
            variance = ((group - mean) ** 2).sum() / group.numel()
            normal = (group - mean) / torch.sqrt(variance + epsilon)
            channels += [weight[first + i] * normal[i] + bias[first + i] for i in range(wide)]
        pictures.append(torch.stack(channels))
    return torch.stack(pictures)


def _check_settings(groups: int, features: int, epsilon: float) -> None:
    if features < 1:
        raise ValueError(f"features is {features}; it must be 1 or more")
    if groups < 1 or features % groups:
        raise ValueError(f"groups is {groups}; it must divide the {features} channels")
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64, generator=dice) * 2 + 1
    weight, bias = torch.randn(2, 4, dtype=torch.float64, generator=dice)
    for groups in (1, 2, 4):
        yield Twin(
            f"{groups} groups",
            lambda x, w, b, groups=groups: group_norm(x, groups, w, b),
            lambda x, w, b, groups=groups: group_norm_by_hand(x, groups, w, b),
            (x, weight, bias),
        )
