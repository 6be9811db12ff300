"""ALiBi, attention with linear biases: the farther away a word is, the less it is heard.

Press, Smith and Lewis (2022, section 3) add no positions at all. From each score they take away the distance,
times a slope that is fixed for each head:

    score[i, j] = q_i . k_j / sqrt(e) - m_h (i - j)        j <= i

Of k heads, a power of 2, head h = 1 ... k has the slope m_h = 2^(-8 h / k): 1/2, 1/4, ... 1/256 for eight. So
some heads see a few words, others far. For another k, those of the power of 2 below are taken, then every
second one of the power of 2 above (their program). Nothing is learned, and since a distance never seen in
training only makes a word still less heard, models run on longer texts than they were trained on.

Axes used below
    k  heads      t  queries      s  keys
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="ALiBi: linear biases",
    paper="https://arxiv.org/abs/2108.12409",
    year=2022,
    summary="Hears words the less the farther away they are, which also works on longer texts.",
    rows=("TR06",),
    oracle="transformers' BLOOM and MPT: slopes, biases, answers",
)


def slopes(heads: int) -> Float[Tensor, "k"]:
    """The slope of each head, float32. Raises ``ValueError`` for fewer than 1 head."""
    if heads < 1:
        raise ValueError(f"heads is {heads}; it must be 1 or more")
    below = 2 ** int(math.log2(heads))
    powers = [-8 * h / below for h in range(1, below + 1)]
    powers += [-4 * h / below for h in range(1, 2 * (heads - below), 2)]
    return torch.tensor([2.0**power for power in powers])


def alibi_bias(
    heads: int, queries: int, keys: int, device: torch.device | None = None
) -> Float[Tensor, "k t s"]:
    """What is added to the scores, for ``queries`` that are the last of ``keys`` places; 0 for what is later.

    It is the ``mask`` of `attend`, and hides nothing by itself: ask for ``causal`` as well.
    """
    place = torch.arange(keys - queries, keys, device=device)
    behind = (place[:, None] - torch.arange(keys, device=device)).clamp(min=0)
    return -slopes(heads).to(device)[:, None, None] * behind


def alibi_bias_by_hand(heads: int, queries: int, keys: int) -> Float[Tensor, "k t s"]:
    """Score by score; the number of heads must be a power of 2."""
    rows = []
    for h in range(1, heads + 1):
        for i in range(keys - queries, keys):
            rows.append([-(2 ** (-8 * h / heads)) * max(0, i - j) for j in range(keys)])
    return torch.tensor(rows).reshape(heads, queries, keys)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: biases alone, and inside a causal attention."""
    from fathom.fundamentals.twin import Twin

    for sizes in ((1, 3, 3), (8, 2, 5), (4, 6, 6)):
        yield Twin(f"heads, queries, keys {sizes}", alibi_bias, alibi_bias_by_hand, sizes, gradients=False)
