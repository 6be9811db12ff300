"""Top-k sampling: draw from the k likeliest tokens only.

The tail of a vocabulary is long: thousands of tokens with next to no probability each have much of it
together, and one drawn from there derails a text. Fan, Lewis and Dauphin (2018, section 5.4) keep the k
largest and share out their probability anew.

    x_i -> x_i where x_i >= the k-th largest, else -inf

With equal logits at the edge more than k stay: none of them is better than the others.

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
    title="Top-k sampling",
    paper="https://arxiv.org/abs/1805.04833",
    year=2018,
    summary="Keeps the k likeliest tokens and excludes the others.",
    rows=("NL08",),
    builds_on=("greedy_decoding",),
    oracle="TopKLogitsWarper of transformers",
)


def top_k(logits: Float[Tensor, "*b v"], count: int) -> Float[Tensor, "*b v"]:
    """``logits`` of the ``count`` likeliest tokens of each row, and of those equal to the last; -inf else.

    A count beyond the vocabulary keeps all. Raises ``ValueError`` for one below 1, and what
    `checked_logits` raises.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be 1 or more tokens")
    least = checked_logits(logits).topk(min(count, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def top_k_by_hand(logits: Float[Tensor, "b v"], count: int) -> Float[Tensor, "b v"]:
    """A token stays where fewer than ``count`` are strictly better."""
    rows = []
    for row in logits.tolist():
        rows.append([x if sum(other > x for other in row) < count else -torch.inf for x in row])
    return torch.tensor(rows, dtype=logits.dtype)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 40, 60, dtype=torch.float64).sin().reshape(6, 10).round(decimals=1)
    for count in (1, 3, 99):
        yield Twin(
            f"{count} kept",
            lambda x, k=count: top_k(x, k).softmax(dim=-1),
            lambda x, k=count: top_k_by_hand(x, k).softmax(dim=-1),
            (logits,),
            gradients=False,
        )
