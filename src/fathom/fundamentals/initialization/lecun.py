"""LeCun initialisation: the forward half of Xavier's argument, twelve years before it.

    s^2 = 1 / fan_in        (LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.6)

A unit that adds up fan_in inputs of variance 1, each times a weight of variance 1 / fan_in, has variance 1
itself. The paper scales its tanh so that variance 1 stays variance 1. SELU is made to do the same, and so
asks for these weights (Klambauer et al. 2017, section 3); a ReLU is not, and needs twice the variance
(he.py).

Three ways to draw them: normal, uniform, and normal without tails, whose deviation is enlarged so that
cutting the tails off leaves s. The last is what TensorFlow, JAX and timm mean by "lecun normal".
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.initialization.truncated_normal import (
    scaled_truncated_normal_,
    truncated_normal_by_hand,
    truncated_std,
    truncated_std_by_hand,
)
from fathom.fundamentals.initialization.xavier import fans

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="LeCun initialisation",
    paper="https://doi.org/10.1007/3-540-49430-8_2",
    year=1998,
    summary="Weights of variance one over the number of inputs, so that outputs vary as much as inputs.",
    rows=("IN04",),
    builds_on=("xavier", "truncated_normal"),
    oracle="torch.nn.init.kaiming_normal_ and kaiming_uniform_ with gain 1; timm.layers.lecun_normal_",
)


@torch.no_grad()
def lecun_normal_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``tensor`` (outputs, inputs, *kernel) from N(0, 1 / fan_in); return it.

    Draws from ``generator``, or torch's global one. Raises ValueError for fewer than two axes, and unless
    the tensor is floating-point.
    """
    return tensor.normal_(0.0, _std(tensor), generator=generator)


@torch.no_grad()
def lecun_uniform_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``tensor`` from U(-a, a) with a = sqrt(3 / fan_in); return it. Otherwise as `lecun_normal_`."""
    bound = math.sqrt(3.0) * _std(tensor)
    return tensor.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def lecun_truncated_normal_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``tensor`` with variance 1 / fan_in from a normal cut at two deviations; return it.

    Otherwise as `lecun_normal_`.
    """
    return scaled_truncated_normal_(tensor, std=_std(tensor) / truncated_std(), generator=generator)


def lecun_normal_by_hand(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """New weights: standard normal draws over sqrt(fan_in)."""
    draws = torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)
    return draws / math.sqrt(tensor[0].numel())


def lecun_uniform_by_hand(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """New weights: draws from [-1, 1), whose variance is 1/3, times sqrt(3 / fan_in)."""
    draws = torch.rand(tensor.shape, dtype=tensor.dtype, generator=generator)
    return (2 * draws - 1) * math.sqrt(3 / tensor[0].numel())


def lecun_truncated_normal_by_hand(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """New weights: draws without tails, brought back to variance 1, over sqrt(fan_in)."""
    draws = truncated_normal_by_hand(tensor, generator=generator)
    return draws / truncated_std_by_hand() / math.sqrt(tensor[0].numel())


def _std(tensor: Tensor) -> float:
    # An empty weight has nothing to draw; 1 keeps its fan of 0 out of the division.
    return 1 / math.sqrt(max(1, fans(tensor)[0]))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: equal draws from generators in the same state."""
    from fathom.fundamentals.twin import Twin

    def draw(fill: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda shape: fill(shape.clone(), generator=torch.Generator().manual_seed(7))

    weight = torch.zeros(4, 3, 3, dtype=torch.float64)
    yield Twin("lecun_normal_", draw(lecun_normal_), draw(lecun_normal_by_hand), (weight,), gradients=False)
    yield Twin(
        "lecun_uniform_", draw(lecun_uniform_), draw(lecun_uniform_by_hand), (weight,), gradients=False
    )
    yield Twin(
        "lecun_truncated_normal_",
        draw(lecun_truncated_normal_),
        draw(lecun_truncated_normal_by_hand),
        (weight,),
        tolerance=1e-9,  # of the deviation found by hand
        gradients=False,
    )
