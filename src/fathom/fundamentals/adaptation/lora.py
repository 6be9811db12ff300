"""LoRA: what a trained layer has to learn for a new task is of low rank, so only that much is learned.

A large model is tuned to a task by a change of its matrices that could be said in few numbers. Hu et al.
(2022, section 4.1) leave the matrix W as it is and learn the change as a product of two thin ones:

    y = W x + b + (a / r) B A x          A (r, i) drawn at random, B (o, r) zero at first

So the tuned model begins as the one that it was, r (i + o) numbers are learned in place of i o, and the
optimizer remembers as few. When learning is over the product is added to W, and the layer costs what it did:

    W' = W + (a / r) B A

The scale a / r keeps the size of a step when r is changed.

Axes used below
    b  batch      i  inputs      o  outputs      r  rank
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
    title="LoRA",
    paper="https://arxiv.org/abs/2106.09685",
    year=2022,
    summary="Tunes a trained layer by a thin product of matrices beside it, merged into it at the end.",
    rows=("TL08",),
    differs=("A is drawn as torch draws a linear layer, as in the authors' code; the paper says normal.",),
    oracle="peft's LoRA on the same GPT-2, LLaMA and BERT: outputs, gradients and merged matrices",
)


class LowRank(nn.Module):
    """A linear layer ``base``, which stands still, with a learned change of rank ``rank`` beside it.

    ``alpha`` is a above; ``dropout`` thins the input of the change alone. Raises ``ValueError`` for a rank
    below 1, an alpha that is not positive, and a dropout outside [0, 1).
    """

    def __init__(self, base: nn.Module, rank: int, *, alpha: float = 16.0, dropout: float = 0.0) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank is {rank}; it must be 1 or more")
        if not 0 < alpha < float("inf"):
            raise ValueError(f"alpha is {alpha}; it must be positive")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be in [0, 1)")
        self.base, self.scale = base, alpha / rank
        inputs, outputs = int(base.in_features), int(base.out_features)  # type: ignore[arg-type]
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.zeros_(self.up.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return self.base(x) + self.up(self.down(self.dropout(x))) * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One linear layer that gives the same. Raises ``ValueError`` for a base that is no such layer."""
        base = self.base
        if not isinstance(base, nn.Linear):
            raise ValueError(
                f"the base is a {type(base).__name__}; a change is merged into an nn.Linear only"
            )
        made = nn.Linear(base.in_features, base.out_features, base.bias is not None)
        made.to(base.weight)  # type of numbers and device
        made.weight.copy_(base.weight + self.scale * self.up.weight @ self.down.weight)
        if base.bias is not None:
            made.bias.copy_(base.bias)
        return made.train(self.training)


def low_rank_by_hand(
    x: Float[Tensor, "b i"],
    weight: Float[Tensor, "o i"],
    bias: Float[Tensor, "o"],
    down: Float[Tensor, "r i"],
    up: Float[Tensor, "o r"],
    alpha: float,
) -> Float[Tensor, "b o"]:
    """The whole matrix W + (a / r) B A, entry by entry a sum over the rank, and then one product."""
    change = torch.zeros_like(weight)
    for one, other in zip(up.T, down, strict=True):
        change = change + one[:, None] * other[None, :]
    return x @ (weight + alpha / len(down) * change).T + bias


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    names = ("base.weight", "base.bias", "down.weight", "up.weight")
    for rank, alpha in ((1, 2.0), (3, 8.0)):
        layer = LowRank(nn.Linear(5, 4), rank, alpha=alpha)
        shapes = ((2, 5), (4, 5), (4,), (rank, 5), (4, rank))
        given = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)

        def ours(x: Tensor, *weights: Tensor, layer: nn.Module = layer) -> Tensor:
            return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

        def merged(x: Tensor, *weights: Tensor, rank: int = rank, alpha: float = alpha) -> Tensor:
            tuned = LowRank(nn.Linear(5, 4), rank, alpha=alpha).double()
            tuned.load_state_dict(dict(zip(names, weights, strict=True)))
            return F.linear(x, tuned.merged().weight, tuned.merged().bias)

        by_hand = partial(low_rank_by_hand, alpha=alpha)
        yield Twin(f"rank {rank}", ours, by_hand, given)
        yield Twin(f"rank {rank}, merged", merged, by_hand, given, gradients=False)
