"""IA3: a trained model is tuned by making some of its activations louder and others quieter.

Liu et al. (2022, section 3.3) learn one factor for each entry of three activations of a block: of keys, of
values, and of what lies between the two dense layers. Nothing is added and all factors begin at 1:

    y = l * (W x + b)          of keys and values: what comes out is scaled
    y = W (l * x) + b          of the second dense layer: what goes in is

This is the least that can be learned of a layer, o or i numbers, and either is one linear layer again when
learning is over: a factor of what comes out scales rows of W and b, one of what goes in scales columns.

Axes used below
    b  batch      i  inputs      o  outputs
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
    title="IA3",
    paper="https://arxiv.org/abs/2205.05638",
    year=2022,
    summary="Tunes a trained model by one learned factor for each entry of a few activations.",
    rows=("TL08",),
    oracle="peft's IA3 on the same GPT-2, LLaMA and BERT: outputs, gradients and merged matrices",
)


class Scaled(nn.Module):
    """A linear layer ``base``, which stands still, with a learned factor for each output, or each input."""

    def __init__(self, base: nn.Module, *, inputs: bool = False) -> None:
        super().__init__()
        self.base, self.inputs = base, inputs
        size = int(base.in_features if inputs else base.out_features)  # type: ignore[arg-type]
        self.factor = nn.Parameter(torch.ones(size))

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return self.base(x * self.factor) if self.inputs else self.base(x) * self.factor

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One linear layer that gives the same. Raises ``ValueError`` for a base that is no such layer."""
        base = self.base
        if not isinstance(base, nn.Linear):
            raise ValueError(
                f"the base is a {type(base).__name__}; factors are merged into an nn.Linear only"
            )
        made = nn.Linear(base.in_features, base.out_features, base.bias is not None)
        made.to(base.weight)  # type of numbers and device
        made.weight.copy_(base.weight * (self.factor if self.inputs else self.factor[:, None]))
        if base.bias is not None:
            made.bias.copy_(base.bias if self.inputs else base.bias * self.factor)
        return made.train(self.training)


def scaled_by_hand(
    x: Float[Tensor, "b i"],
    weight: Float[Tensor, "o i"],
    bias: Float[Tensor, "o"],
    factor: Float[Tensor, "n"],
    inputs: bool,
) -> Float[Tensor, "b o"]:
    """Output by output, entry by entry."""
    rows = []
    for row in x:
        outputs = []
        for o, (column, offset) in enumerate(zip(weight, bias, strict=True)):
            heard = [row[i] * w * (factor[i] if inputs else 1) for i, w in enumerate(column)]
            outputs.append((sum(heard) + offset) * (1 if inputs else factor[o]))
        rows.append(torch.stack(outputs))
    return torch.stack(rows)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    names = ("base.weight", "base.bias", "factor")
    for inputs in (False, True):
        shapes = ((2, 5), (4, 5), (4,), (5 if inputs else 4,))
        given = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)
        layer = Scaled(nn.Linear(5, 4), inputs=inputs)

        def ours(x: Tensor, *weights: Tensor, layer: nn.Module = layer) -> Tensor:
            return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

        def merged(x: Tensor, *weights: Tensor, inputs: bool = inputs) -> Tensor:
            tuned = Scaled(nn.Linear(5, 4), inputs=inputs).double()
            tuned.load_state_dict(dict(zip(names, weights, strict=True)))
            return F.linear(x, tuned.merged().weight, tuned.merged().bias)

        by_hand = partial(scaled_by_hand, inputs=inputs)
        what = "inputs" if inputs else "outputs"
        yield Twin(f"factors of {what}", ours, by_hand, given)
        yield Twin(f"factors of {what}, merged", merged, by_hand, given, gradients=False)
