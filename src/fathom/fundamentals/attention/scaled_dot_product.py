"""Scaled dot-product attention: every place asks, every place answers, and the best matches are heard most.

A query is compared with each key by a dot product; the softmax of these scores says how much of each value
goes into the answer (Vaswani et al. 2017, equation 1):

    w = softmax(q k^T / sqrt(e))        rows sum to 1
    y = w v

Why the root: if the e entries of q and k are independent with mean 0 and variance 1, their product has
variance e (the paper's footnote 4). Undivided, scores grow with sqrt(e) until one weight is nearly 1, all
others nearly 0, and no gradient passes through the softmax. `saturation` measures that.

A mask says who may see whom: True where a query may look, or a number that is added to the score. With
``causal`` no query sees what comes after it; the last query stands beside the last key, so that with fewer
queries than keys those missing are the ones read earlier. A query that may look nowhere answers zeros.

Heads of queries may share a head of keys and values (Ainslie et al. 2023, "grouped-query attention"): head
j of k uses head floor(j g / k) of g; g = k is the usual case, and g = 1 is called multi-query. What has to be
kept in memory while text is written shrinks by k / g.

The sum over s knows no order: permuting keys and values together changes nothing, permuting queries permutes
the answers. Whatever is to depend on places has to be told them (see the folder ``positions``).

Axes used below
    *b  batch, and any other leading axes      k  heads of queries      g  heads of keys and values
    t  queries      s  keys, values      e  width of queries and keys      v  width of values
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Scaled dot-product attention",
    paper="https://arxiv.org/abs/1706.03762",
    year=2017,
    summary="Mixes values by how well each one's key matches a query; the core of every Transformer.",
    rows=("TR01", "TR02", "TR03"),
    differs=(
        "With fewer queries than keys, causal lines up their ends; torch's is_causal, their beginnings.",
        "A query that may look nowhere gets zeros; equation 1 is undefined there.",
    ),
    oracle="torch's scaled_dot_product_attention: masks, causal, grouped heads, math and fused kernels",
)


def attend(
    query: Float[Tensor, "*b t e"],
    key: Float[Tensor, "*g s e"],
    value: Float[Tensor, "*g s v"],
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "*b t v"]:
    """The answer to each query, as above; ``scale`` None is 1 / sqrt(e).

    ``mask`` must be broadcastable to (*b, t, s): True where a query may look, or floating and added to the
    scores. The third axis from the end, if it is longer in ``query``, is shared in groups. ``dropout`` is the
    share of weights that is dropped, for training. Raises ``ValueError`` where shapes or types do not fit.
    """
    check(query, key, value, mask)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; it must be in [0, 1)")
    queries, keys = query.shape[-2], key.shape[-2]
    grouped = query.ndim > 2 and query.shape[-3] != key.shape[-3]
    alone = causal and mask is None and queries == keys  # the case that has kernels of its own
    allowed = mask if alone or not causal else later_hidden(mask, queries, keys, query)
    return F.scaled_dot_product_attention(
        query, key, value, allowed, dropout, is_causal=alone, scale=scale, enable_gqa=grouped
    )


def attention_weights(
    query: Float[Tensor, "*b t e"],
    key: Float[Tensor, "*g s e"],
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "*b t s"]:
    """How much each query takes from each key, the map that reports draw; arguments as in `attend`."""
    check(query, key, key, mask)
    if query.ndim > 2 and query.shape[-3] != key.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if causal:
        mask = later_hidden(mask, query.shape[-2], key.shape[-2], query)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    nowhere = scores.eq(-math.inf).all(dim=-1, keepdim=True)
    return scores.masked_fill(nowhere, 0.0).softmax(dim=-1).masked_fill(nowhere, 0.0)


def causal_mask(queries: int, keys: int, device: torch.device | None = None) -> Bool[Tensor, "t s"]:
    """True where a key is not later than a query, the last of both side by side."""
    place = torch.arange(keys - queries, keys, device=device)
    return torch.arange(keys, device=device) <= place[:, None]


def later_hidden(mask: Tensor | None, queries: int, keys: int, like: Tensor) -> Tensor:
    """``mask``, and what comes later hidden as well."""
    seen = causal_mask(queries, keys, like.device)
    if mask is None:
        return seen
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, -math.inf)


def check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    """Raise ``ValueError`` unless the four fit."""
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if not query.ndim == key.ndim == value.ndim or query.ndim < 2:
        raise ValueError(f"{shapes}: they must have equally many axes, two or more")
    if query.shape[-1] != key.shape[-1] or not query.shape[-1]:
        raise ValueError(f"{shapes}: queries and keys must be equally wide, 1 or more")
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(f"{shapes}: there must be a value for each key")
    heads, groups = query.shape[-3:-2], key.shape[-3:-2]
    if query.shape[:-3] != key.shape[:-3] or (heads != groups and (not groups[0] or heads[0] % groups[0])):
        raise ValueError(
            f"{shapes}: leading axes must agree; heads of queries may be a multiple of those of keys"
        )
    if mask is None:
        return
    wanted = (*query.shape[:-1], key.shape[-2])
    if mask.dtype != torch.bool and mask.dtype != query.dtype:
        raise ValueError(f"mask has dtype {mask.dtype}; it must be bool, or {query.dtype} as the query")
    try:
        fits = torch.broadcast_shapes(mask.shape, wanted) == wanted
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"mask has shape {tuple(mask.shape)}; it must be broadcastable to {wanted}")


@dataclass(frozen=True)
class Saturation:
    """What a softmax does with the scores of random queries and keys."""

    deviation: float  # of the scores
    largest: float  # the mean of each query's largest weight
    gradient: float  # the mean Frobenius norm of d weights / d scores


def saturation(depth: int, *, scaled: bool, places: int = 16, draws: int = 512, seed: int = 0) -> Saturation:
    """Of ``draws`` queries of ``depth`` normal entries, each with ``places`` keys; in float64.

    With ``scaled`` scores are divided by sqrt(depth). Raises ``ValueError`` for sizes below 1.
    """
    if min(depth, places, draws) < 1:
        raise ValueError(f"depth is {depth}, places {places}, draws {draws}; they must be 1 or more")
    dice = torch.Generator().manual_seed(seed)
    query = torch.randn(draws, 1, depth, dtype=torch.float64, generator=dice)
    key = torch.randn(draws, places, depth, dtype=torch.float64, generator=dice)
    scale = 1 / math.sqrt(depth) if scaled else 1.0
    scores = (query @ key.transpose(1, 2)).squeeze(1) * scale
    weights = attention_weights(query, key, scale=scale).squeeze(1)
    slopes = torch.diag_embed(weights) - weights[:, :, None] * weights[:, None, :]
    return Saturation(
        deviation=float(scores.std(correction=0)),
        largest=float(weights.amax(dim=1).mean()),
        gradient=float(slopes.square().sum(dim=(1, 2)).sqrt().mean()),
    )


def attend_by_hand(
    query: Float[Tensor, "b k t e"],
    key: Float[Tensor, "b g s e"],
    value: Float[Tensor, "b g s v"],
    mask: Bool[Tensor, "t s"] | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "b k t v"]:
    """Query by query: a score for each key it may see, their softmax, and the sum of the values."""
    batch, heads, queries, width = query.shape
    groups, keys = key.shape[1], key.shape[2]
    scale = 1 / math.sqrt(width) if scale is None else scale
    answers = []
    for b in range(batch):
        for k in range(heads):
            g = k * groups // heads
            for t in range(queries):
                seen = [s for s in range(keys) if not causal or s <= t + keys - queries]
                seen = [s for s in seen if mask is None or mask[t, s]]
                if not seen:
                    answers.append(torch.zeros_like(value[b, g, 0]))
                    continue
                scores = [scale * (query[b, k, t] * key[b, g, s]).sum() for s in seen]
                most = max(float(score.detach()) for score in scores)  # cancels in the ratios below
                heard = [torch.exp(score - most) for score in scores]
                total = torch.stack(heard).sum()
                parts = [h / total * value[b, g, s] for h, s in zip(heard, seen, strict=True)]
                answers.append(torch.stack(parts).sum(dim=0))
    return torch.stack(answers).reshape(batch, heads, queries, value.shape[-1])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 3, 5, dtype=torch.float64, generator=dice)
    key, value = torch.randn(2, 2, 4, 4, 5, dtype=torch.float64, generator=dice)
    few = key[:, :2], value[:, :2, :, :3]
    mask = torch.tensor([[True, False, True, True], [False] * 4, [True, True, False, False]])
    for name, settings, others in (
        ("all see all", {}, (key, value)),
        ("causal", {"causal": True}, (key, value)),
        ("mask, one query blind", {"mask": mask}, (key, value)),
        ("mask and causal", {"mask": mask, "causal": True}, (key, value)),
        ("grouped heads, narrower values", {"causal": True}, few),
        ("one head of keys, own scale", {"scale": 0.7}, (key[:, :1], value[:, :1])),
    ):
        yield Twin(name, partial(attend, **settings), partial(attend_by_hand, **settings), (query, *others))

    def mixed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attention_weights(query, key, mask, causal=True) @ value

    yield Twin(
        "weights, then values",
        mixed,
        partial(attend_by_hand, mask=mask, causal=True),
        (query, key, value),
    )
