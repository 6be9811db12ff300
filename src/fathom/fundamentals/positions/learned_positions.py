"""Learned positions: a vector for each place, trained like the vectors of words.

The simplest way to tell attention where a word stands (Gehring et al. 2017, section 3.1; in GPT-2 and BERT):

    y[t] = x[t] + P[t]        P: longest x d, weights

Vaswani et al. (2017, table 3, row E) found it as good as sines. The price: each place is learned for itself.
Places that few texts reach are learned badly, and beyond the last row there is nothing: a longer text is
refused here, and has to be cut into windows by whoever has it.

Axes used below
    b  batch      t  places      d  width
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Learned positions",
    paper="https://arxiv.org/abs/1705.03122",
    year=2017,
    summary="Gives each place a vector of its own, learned with all other weights.",
    rows=("TR06",),
    oracle="transformers' GPT-2 without layers",
)


class LearnedPositions(nn.Module):
    """Adds a learned row to each place of inputs (b, t, width), at most ``longest`` of them.

    ``weight`` (longest, width) begins normal with deviation 0.02. Raises ``ValueError`` for sizes below 1.
    """

    def __init__(self, longest: int, width: int) -> None:
        super().__init__()
        if longest < 1 or width < 1:
            raise ValueError(f"longest is {longest}, width {width}; they must be 1 or more")
        self.weight = nn.Parameter(torch.empty(longest, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "b t d"], start: int = 0) -> Float[Tensor, "b t d"]:
        """``x`` and the rows from ``start`` on. Raises ``ValueError`` where there are too few."""
        end = start + x.shape[1]
        if start < 0 or end > len(self.weight):
            raise ValueError(
                f"places {start} to {end - 1} are asked for; this model learned 0 to {len(self.weight) - 1};"
                " cut the text into windows"
            )
        return x + self.weight[start:end]


def learned_positions_by_hand(
    x: Float[Tensor, "b t d"], weight: Float[Tensor, "n d"], start: int = 0
) -> Float[Tensor, "b t d"]:
    """As a layer over words would do it: each place a vector of zeros and a one, times the matrix."""
    rows = []
    for t in range(x.shape[1]):
        place = torch.zeros(len(weight), dtype=weight.dtype)
        place[start + t] = 1
        rows.append(x[:, t] + place @ weight)
    return torch.stack(rows, dim=1)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=dice)
    weight = torch.randn(6, 4, dtype=torch.float64, generator=dice)
    layer = LearnedPositions(6, 4)
    for start in (0, 3):

        def ours(x: Tensor, weight: Tensor, start: int = start) -> Tensor:
            return functional_call(layer, {"weight": weight}, (x, start))

        def by_hand(x: Tensor, weight: Tensor, start: int = start) -> Tensor:
            return learned_positions_by_hand(x, weight, start)

        yield Twin(f"from place {start}", ours, by_hand, (x, weight))
