"""Sliding-window attention: each place sees itself and the few before it, at a cost that grows with the text.

Full attention compares all t places with all t. If a place sees only the last n (itself among them), t n
comparisons are left (Beltagy, Peters and Cohan 2020, section 3.1; causal as in Mistral 7B, Jiang et al. 2023,
section 2):

    y_i = sum over j of softmax(q_i k_j / sqrt(e)) v_j,        i - n < j <= i

Layers pass on what they saw, so l of them reach back l (n - 1) places (`reach`). And while text is written,
no more than n keys and values ever need to be kept (`key_value_cache`).

A mask over all pairs would hide most of what was computed. Cut instead into blocks of n places: a query sees
only its own block and the one before, 2 n keys whatever the length. That is how it is computed here.

Axes used below
    *b  batch, heads      t  time      e  width of queries and keys      v  width of values
    n  the window: places in a block      c  blocks
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.attention.scaled_dot_product import attend, attend_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Sliding-window attention",
    paper="https://arxiv.org/abs/2004.05150",
    year=2020,
    summary="Each place looks at the last few only, so that long texts cost in proportion to their length.",
    rows=("TR08",),
    builds_on=("scaled_dot_product",),
    differs=("Looks back only, as language models do; the paper's encoder looks both ways, half as far.",),
    oracle="full attention with the same places hidden; transformers' Mistral",
)


def sliding_window_mask(
    queries: int, keys: int, window: int, device: torch.device | None = None
) -> Bool[Tensor, "t s"]:
    """True where a key is one of the ``window`` up to a query, the last of both side by side.

    Raises ``ValueError`` for a window below 1.
    """
    if window < 1:
        raise ValueError(f"window is {window}; it must be 1 or more")
    behind = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
    return (behind >= 0) & (behind < window)


def sliding_window_attention(
    query: Float[Tensor, "*b t e"],
    key: Float[Tensor, "*b t e"],
    value: Float[Tensor, "*b t v"],
    window: int,
    *,
    scale: float | None = None,
) -> Float[Tensor, "*b t v"]:
    """The answer to each query from the last ``window`` places; time and memory grow with t * window.

    ``scale`` None is 1 / sqrt(e). Raises ``ValueError`` for a window below 1.
    """
    if window < 1:
        raise ValueError(f"window is {window}; it must be 1 or more")
    length = query.shape[-2]
    if length <= window:
        return attend(query, key, value, causal=True, scale=scale)
    missing = -length % window
    blocks = [F.pad(x, (0, 0, 0, missing)).unflatten(-2, (-1, window)) for x in (query, key, value)]
    keys, values = with_block_before(blocks[1]), with_block_before(blocks[2])
    mask = sliding_window_mask(window, 2 * window, window, query.device).repeat(blocks[0].shape[-3], 1, 1)
    mask[0, :, :window] = False  # nothing stands before the first block
    return attend(blocks[0], keys, values, mask, scale=scale).flatten(-3, -2)[..., :length, :]


def with_block_before(blocks: Float[Tensor, "*b c n e"]) -> Float[Tensor, "*b c m e"]:
    """Each block with the one before it in front, zeros for the first: (*b, c, 2 n, e)."""
    before = F.pad(blocks[..., :-1, :, :], (0, 0, 0, 0, 1, 0))
    return torch.cat([before, blocks], dim=-2)


def reach(layers: int, window: int) -> int:
    """How many places, itself among them, can change the output at a place after ``layers`` layers."""
    if layers < 0 or window < 1:
        raise ValueError(f"layers is {layers}, window {window}; they must be at least 0 and 1")
    return layers * (window - 1) + 1


def sliding_window_attention_by_hand(
    query: Float[Tensor, "b k t e"],
    key: Float[Tensor, "b k t e"],
    value: Float[Tensor, "b k t v"],
    window: int,
    *,
    scale: float | None = None,
) -> Float[Tensor, "b k t v"]:
    """Query by query, with the slice of keys and values that it sees."""
    answers = []
    for i in range(query.shape[2]):
        one, seen = slice(i, i + 1), slice(max(0, i - window + 1), i + 1)
        answers.append(attend_by_hand(query[:, :, one], key[:, :, seen], value[:, :, seen], scale=scale))
    return torch.cat(answers, dim=2)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 7, 3, dtype=torch.float64, generator=dice)
    for window in (1, 2, 3, 7, 9):
        ours = partial(sliding_window_attention, window=window)
        by_hand = partial(sliding_window_attention_by_hand, window=window)
        yield Twin(f"window of {window}", ours, by_hand, (query, key, value))
