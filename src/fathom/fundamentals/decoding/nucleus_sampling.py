"""Nucleus sampling: draw from the smallest set of tokens that holds a share p of the probability.

A fixed number of tokens is too many where one is nearly sure and too few where hundreds would do. Holtzman et
al. (2020, equation 2) let the model decide: sorted by probability, the likeliest tokens are taken until
together they have p or more, and the rest goes.

    keep i  iff  the probability of all that are likelier than i, together, is less than p

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
    title="Nucleus (top-p) sampling",
    paper="https://arxiv.org/abs/1904.09751",
    year=2020,
    summary="Keeps the fewest likeliest tokens that have a given share of the probability together.",
    rows=("NL08",),
    builds_on=("greedy_decoding",),
    oracle="TopPLogitsWarper of transformers",
)


def nucleus(logits: Float[Tensor, "*b v"], share: float) -> Float[Tensor, "*b v"]:
    """``logits`` of the fewest tokens that have ``share`` in (0, 1] of each row's probability; -inf else.

    The likeliest token always stays. Of equal ones at the edge those with the larger number stay. Raises
    ``ValueError`` for another share, and what `checked_logits` raises.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be in (0, 1]")
    rising, order = checked_logits(logits).sort(dim=-1, stable=True)
    # From below: what has 1 - share or less together with all that is less likely, is not needed.
    excluded = rising.softmax(dim=-1).cumsum(dim=-1) <= 1 - share
    excluded[..., -1] = False
    return logits.masked_fill(excluded.scatter(-1, order, excluded), -torch.inf)


def nucleus_by_hand(logits: Float[Tensor, "b v"], share: float) -> Float[Tensor, "b v"]:
    """Take the likeliest until there is enough."""
    rows = []
    for row in logits.softmax(dim=-1).tolist():
        falling = sorted(range(len(row)), key=lambda i: (row[i], i), reverse=True)
        kept: list[int] = []
        for i in falling:
            if kept and sum(row[j] for j in kept) >= share:
                break
            kept.append(i)
        rows.append([i in kept for i in range(len(row))])
    return logits.masked_fill(~torch.tensor(rows), -torch.inf)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 40, 60, dtype=torch.float64).sin().reshape(6, 10).round(decimals=1) * 3
    for share in (1e-9, 0.6, 0.93, 1.0):
        yield Twin(
            f"share {share}",
            lambda x, p=share: nucleus(x, p).softmax(dim=-1),
            lambda x, p=share: nucleus_by_hand(x, p).softmax(dim=-1),
            (logits,),
            gradients=False,
        )
