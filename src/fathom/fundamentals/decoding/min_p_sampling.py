"""Min-p sampling: exclude what is much less likely than the likeliest token.

The threshold is relative (Nguyen et al. 2024, section 3): where the model is sure, only few tokens reach it,
where it is not, many do; a high temperature flattens both sides and does not open the tail.

    keep i  iff  p_i >= m * max_j p_j        or, in logits,   x_i >= max_j x_j + log m

Axes used below
    b  batch, any number of axes      v  vocabulary
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.decoding.greedy_decoding import checked_logits

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Min-p sampling",
    paper="https://arxiv.org/abs/2407.01082",
    year=2024,
    summary="Keeps the tokens that have at least a given share of the likeliest one's probability.",
    rows=("NL08",),
    builds_on=("greedy_decoding",),
    oracle="MinPLogitsWarper of transformers",
)


def min_p(logits: Float[Tensor, "*b v"], share: float) -> Float[Tensor, "*b v"]:
    """``logits`` of the tokens with ``share`` in [0, 1] or more of the largest probability; -inf else.

    Raises ``ValueError`` for another share, and what `checked_logits` raises.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be in [0, 1]")
    shares = checked_logits(logits).softmax(dim=-1)
    return logits.masked_fill(shares < share * shares.amax(dim=-1, keepdim=True), -torch.inf)


def min_p_by_hand(logits: Float[Tensor, "b v"], share: float) -> Float[Tensor, "b v"]:
    """In logits: how far below the best one."""
    reach = torch.tensor(share, dtype=logits.dtype).log().item()
    rows = [[x if x - max(row) >= reach else -torch.inf for x in row] for row in logits.tolist()]
    return torch.tensor(rows, dtype=logits.dtype)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 40, 60, dtype=torch.float64).sin().reshape(6, 10).round(decimals=1) * 3
    for share in (0.0, 0.1, 0.7, 1.0):
        yield Twin(
            f"share {share}",
            lambda x, p=share: min_p(x, p).softmax(dim=-1),
            lambda x, p=share: min_p_by_hand(x, p).softmax(dim=-1),
            (logits,),
            gradients=False,
        )
