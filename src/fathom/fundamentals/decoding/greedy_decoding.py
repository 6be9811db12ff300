"""Greedy decoding: write the likeliest token, each time.

A language model gives a logit to each token of its vocabulary; softmax makes them the probabilities of the
next one. Taking the largest needs no dice and gives the same text each time. It is not the likeliest text: a
token that is likely now may lead where all is unlikely, and on open questions greedy text repeats itself
(Holtzman et al. 2020, section 3).

What every way to choose a token needs stands here too: logits that can be chosen from. One that is not a
number would make every probability so, and a draw from them ends in the middle of a kernel.

Axes used below
    b  batch, any number of axes      v  vocabulary
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Greedy decoding",
    paper="https://arxiv.org/abs/1904.09751",
    year=2020,
    summary="Writes the likeliest token each time.",
    rows=("NL08",),
    oracle="torch.argmax; greedy generation of transformers, token by token",
)


def greedy(logits: Float[Tensor, "*b v"]) -> Int[Tensor, "*b"]:
    """The token with the largest logit, the first of equal ones. Raises what `checked_logits` raises."""
    return checked_logits(logits).argmax(dim=-1)


def checked_logits(logits: Float[Tensor, "*b v"]) -> Float[Tensor, "*b v"]:
    """``logits`` themselves, where a token can be chosen from each row.

    A logit of -inf excludes a token. Raises ``ValueError`` for NaN or +inf in a row, for a row where all are
    excluded, and for a vocabulary of none.
    """
    if not logits.ndim or not logits.shape[-1]:
        raise ValueError(
            f"logits has shape {tuple(logits.shape)}; its last axis must hold one or more tokens"
        )
    largest = logits.amax(dim=-1)  # NaN where any is
    if bool(torch.isfinite(largest).all()):
        return logits
    bad = (~torch.isfinite(largest)).nonzero()[0].tolist()
    value = largest[tuple(bad)].item()
    where = f" in row {bad[0] if len(bad) == 1 else tuple(bad)}" if bad else ""
    if value == -torch.inf:
        raise ValueError(f"logits excludes every token{where}: all are -inf; loosen what filters them")
    raise ValueError(
        f"logits holds {value}{where}; it must be numbers, or -inf for what is excluded. The model has"
        " overflowed or its weights are damaged: try float32, or an earlier checkpoint"
    )


def greedy_by_hand(logits: Float[Tensor, "*b v"]) -> Int[Tensor, "*b"]:
    """Walk through the vocabulary, keep the best so far."""
    rows = []
    for row in logits.reshape(-1, logits.shape[-1]).tolist():
        best = 0
        for token, logit in enumerate(row):
            if logit > row[best]:
                best = token
        rows.append(best)
    return torch.tensor(rows).reshape(logits.shape[:-1])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 40, 60, dtype=torch.float64).sin().reshape(2, 3, 10).round(decimals=1)
    yield Twin("greedy", greedy, greedy_by_hand, (logits,), gradients=False)
