"""Repetition penalty: what was written already becomes less likely.

Keskar et al. (2019, section 4.1) divide the logit of every token that stands in the text by a penalty
theta > 1. A negative logit would rise by that, so it is multiplied instead; theta = 1.2 gave them a balance
of truth and of not repeating.

    x_i -> x_i / theta  where x_i >= 0,   x_i * theta  where x_i < 0,    for i in the text

The zero that divides the two has no meaning, for only differences of logits have one: the same model with
all logits moved by a constant is penalised otherwise. That is the method.

Axes used below
    b  batch      v  vocabulary      t  time: tokens so far
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.decoding.greedy_decoding import checked_logits

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Repetition penalty",
    paper="https://arxiv.org/abs/1909.05858",
    year=2019,
    summary="Lowers the logits of tokens that stand in the text already.",
    rows=("NL08",),
    builds_on=("greedy_decoding",),
    differs=("Negative logits are multiplied, as in transformers; the paper divides all.",),
    oracle="RepetitionPenaltyLogitsProcessor of transformers",
)


def repetition_penalty(
    logits: Float[Tensor, "b v"],
    tokens: Int[Tensor, "b t"],
    penalty: float,
    mask: Bool[Tensor, "b t"] | None = None,
) -> Float[Tensor, "b v"]:
    """``logits`` with those of the ``tokens`` so far lowered by ``penalty``, or raised where it is below 1.

    Tokens where ``mask`` is false, which are padding, count as not written. Raises ``ValueError`` for a
    penalty that is not positive and finite, a token outside the vocabulary, and what `checked_logits`
    raises.
    """
    if not (math.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty is {penalty}; it must be positive and finite, 1 for none")
    size = logits.shape[-1]
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < size:
        raise ValueError(f"tokens holds {int(tokens.min())} to {int(tokens.max())}; allowed: 0 to {size - 1}")
    counted = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    written = torch.zeros_like(logits, dtype=torch.int64).scatter_add(-1, tokens, counted.long()) > 0
    lowered = torch.where(checked_logits(logits) < 0, logits * penalty, logits / penalty)
    return torch.where(written, lowered, logits)


def repetition_penalty_by_hand(
    logits: Float[Tensor, "b v"], tokens: Int[Tensor, "b t"], penalty: float
) -> Float[Tensor, "b v"]:
    """Logit by logit."""
    rows = []
    for row, text in zip(logits, tokens.tolist(), strict=True):
        penalised = [x * penalty if x < 0 else x / penalty for x in row]
        rows.append(torch.stack([penalised[i] if i in text else x for i, x in enumerate(row)]))
    return torch.stack(rows)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 40, 30, dtype=torch.float64).sin().reshape(3, 10) * 4
    tokens = torch.tensor([[1, 1, 4, 9], [0, 0, 0, 0], [3, 2, 1, 0]])
    for penalty in (1.2, 0.8):
        yield Twin(
            f"penalty {penalty}",
            lambda x, p=penalty: repetition_penalty(x, tokens, p),
            lambda x, p=penalty: repetition_penalty_by_hand(x, tokens, p),
            (logits,),
        )
