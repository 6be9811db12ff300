"""Weight standardisation: the filters of a convolution are brought to mean 0 and variance 1, not its outputs.

Qiao, Wang, Liu, Shen and Yuille (2019) standardise each output channel's filter over its
inputs and positions before it is used. Like batch normalisation this smooths the loss, but it looks at
weights only, so the size of the batch is free; with group normalisation it reaches batch normalisation's
accuracy at batch size 1.

    mu = mean(w)    s2 = mean((w - mu)^2)        over i and *k, for each o
    w' = (w - mu) / sqrt(s2 + epsilon)

The gradient goes through the standardisation, so what is learned stays free of mean and scale.

Axes used below
    o  output channels      i  input channels      *k  kernel
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
    title="Weight standardisation",
    paper="https://arxiv.org/abs/1903.10520",
    year=2019,
    summary="Gives every filter of a convolution mean 0 and variance 1, which helps where batches are tiny.",
    rows=("RN13",),
    differs=("Epsilon stands under the root, as in timm; the authors' code adds it to the deviation.",),
    oracle="timm.layers.StdConv2d: outputs and gradients",
)


def standardize(weight: Tensor, *, epsilon: float = 1e-6) -> Float[Tensor, "o i *k"]:
    """Filters ``weight`` (o, i, *k), each with mean 0 and variance 1 over i and k.

    A constant filter becomes zeros. Raises ``ValueError`` for fewer than two axes, a dtype that is not
    floating, filters of one number, and epsilon not positive.
    """
    if weight.ndim < 2:
        raise ValueError(f"weight has shape {tuple(weight.shape)}; it must be (outputs, inputs, ...)")
    if not weight.is_floating_point():
        raise ValueError(f"weight has dtype {weight.dtype}; it must hold floating-point numbers")
    if weight[:1].numel() == 1:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}: one number to a filter, which would always become 0"
        )
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")
    rows = weight.flatten(1)
    return F.layer_norm(rows, rows.shape[1:], eps=epsilon).reshape(weight.shape)


class StandardizedConv2d(nn.Conv2d):
    """A 2d convolution that uses its filters standardised. Weights have the names and shapes of torch's."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
        self.epsilon = epsilon
        standardize(self.weight, epsilon=epsilon)  # refuses what cannot be standardised

    def forward(self, input: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return self._conv_forward(input, standardize(self.weight, epsilon=self.epsilon), self.bias)


def standardize_by_hand(weight: Float[Tensor, "o i *k"], epsilon: float = 1e-6) -> Float[Tensor, "o i *k"]:
    """Filter by filter."""
    filters = []
    for one in weight:
        mean = one.sum() / one.numel()
        variance = ((one - mean) ** 2).sum() / one.numel()
        filters.append((one - mean) / torch.sqrt(variance + epsilon))
    return torch.stack(filters)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 2, 2, 3, dtype=torch.float64, generator=dice) * 0.1 + 0.3
    yield Twin("standardize", standardize, standardize_by_hand, (weight,))
