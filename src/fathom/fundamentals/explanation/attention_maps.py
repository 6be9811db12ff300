"""Attention maps: from which places each head of a model takes, noted while it reads; two numbers on each.

    w = softmax(q k^T / sqrt(e) + mask)        row t: how much of place s goes into the answer at place t
    distance of row t    sum_s w_ts |t - s|    how far away it looks, in places
    entropy of row t   - sum_s w_ts ln w_ts    0: at one place; ln n: at n places alike

A fused kernel never writes w down. It is computed here once more, from the very queries, keys, mask and scale
that enter the kernel, so that turned queries (rotary positions), added distances (ALiBi), windows and heads
that share keys need no care: what was done to them was done before. Every call of torch passes by a function
mode, however the model came by the function, so no model is touched for it.

A map tells from where a head takes, not what it takes nor what becomes of it: a place may be looked at for
want of anything better, as the first one and the full stop often are (Clark et al. 2019, section 3.2).

Source: Vig and Belinkov (2019), https://arxiv.org/abs/1906.04284, for distance and entropy of heads.

Axes used below
    *b  batch, heads      t  places that look      s  places that are looked at
    e  width of queries and keys      v  width of values
"""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fathom.card import Card
from fathom.fundamentals.attention.scaled_dot_product import attend_by_hand, attention_weights

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Attention maps",
    paper="https://arxiv.org/abs/1906.04284",
    year=2019,
    summary="Notes from which places each attention head of a model takes, and how far and widely it looks.",
    rows=("TR01",),
    builds_on=("scaled_dot_product",),
    differs=(
        "Distances count in both directions; the paper's model looks back only.",
        "What does not pass by torch's scaled_dot_product_attention or nn.MultiheadAttention is not seen.",
    ),
    oracle="transformers' output_attentions of GPT-2, BERT and LLaMA with the same random weights; weights"
    " times values against what attention itself gives, nn.MultiheadAttention's included",
)


@contextmanager
def noted_attention() -> Iterator[list[Float[Tensor, "*b t s"]]]:
    """Within it, the map of every call of attention in this thread, in order, in float32 or wider.

    Rows sum to one, but for those of places that may look nowhere, which are zeros. Dropout of weights is
    left out. Nothing is noted inside of a compiled module.
    """
    mode = Noting()
    with mode:
        yield mode.maps


class Noting(TorchFunctionMode):
    """Computes the weights of each attention beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        settings = kwargs or {}
        made = func(*args, **settings)
        if func is F.scaled_dot_product_attention:
            self.maps.append(entering_weights(*args, **settings))
        elif func is F.multi_head_attention_forward:  # torch's own layer, which can give its weights itself
            given = inspect.signature(func).bind(*args, **settings)
            given.arguments |= {"need_weights": True, "average_attn_weights": False, "training": False}
            with torch.no_grad():
                self.maps.append(func(*given.args, **given.kwargs)[1])
        return made


@torch.no_grad()
def entering_weights(
    query: Float[Tensor, "... t e"],
    key: Float[Tensor, "... s e"],
    value: Float[Tensor, "... s v"],
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Float[Tensor, "... t s"]:
    """The weights behind torch's ``scaled_dot_product_attention``, whose arguments these are."""
    if is_causal:  # in torch the first query stands beside the first key
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if query.dtype in (torch.float16, torch.bfloat16):
        query, key = query.float(), key.float()
        attn_mask = attn_mask if attn_mask is None or attn_mask.dtype == torch.bool else attn_mask.float()
    lead = torch.broadcast_shapes(query.shape[:-3], key.shape[:-3])
    query, key = (part.expand(*lead, *part.shape[-3:]) for part in (query, key))
    return attention_weights(query, key, attn_mask, scale=scale)


def distances(weights: Float[Tensor, "*b t s"]) -> Float[Tensor, "*b t"]:
    """How far away each place looks on average, where places that look and are looked at are the same."""
    looking, seen = (torch.arange(n, device=weights.device) for n in weights.shape[-2:])
    return (weights * (looking[:, None] - seen).abs()).sum(dim=-1)


def entropies(weights: Float[Tensor, "*b t s"]) -> Float[Tensor, "*b t"]:
    """The entropy of what each place looks at, in nats; its exponential is as how many places alike."""
    return -torch.special.xlogy(weights, weights).sum(dim=-1)


def distances_by_hand(weights: Float[Tensor, "b t s"]) -> Float[Tensor, "b t"]:
    found = torch.zeros(weights.shape[:-1], dtype=weights.dtype)
    for b, rows in enumerate(weights):
        for t, row in enumerate(rows):
            for s, share in enumerate(row):
                found[b, t] += share * abs(t - s)
    return found


def entropies_by_hand(weights: Float[Tensor, "b t s"]) -> Float[Tensor, "b t"]:
    found = torch.zeros(weights.shape[:-1], dtype=weights.dtype)
    for b, rows in enumerate(weights):
        for t, row in enumerate(rows):
            for share in row.tolist():
                if share > 0:  # x ln x goes to 0 with x
                    found[b, t] -= share * math.log(share)
    return found


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 5, 3, dtype=torch.float64, generator=dice)
    key, value = torch.randn(2, 2, 4, 5, 3, dtype=torch.float64, generator=dice)
    mask = torch.rand(5, 5, generator=dice) < 0.6
    mask[1] = False  # looks nowhere
    few = key[:, :2], value[:, :2]

    def mixed(query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        with noted_attention() as maps:
            F.scaled_dot_product_attention(query, key, value, enable_gqa=True, **settings)
        return maps[0] @ value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)

    for name, settings, by_hand, others in (
        ("all see all", {}, {}, (key, value)),
        ("causal, shared keys", {"is_causal": True}, {"causal": True}, few),
        ("mask, one query blind", {"attn_mask": mask}, {"mask": mask}, (key, value)),
        ("own scale", {"scale": 0.3}, {"scale": 0.3}, (key, value)),
    ):
        ours, twin = partial(mixed, **settings), partial(attend_by_hand, **by_hand)
        yield Twin(name, ours, twin, (query, *others), gradients=False)
    weights = attention_weights(query[0], key[0], mask)
    yield Twin("distances", distances, distances_by_hand, (weights,), gradients=False)
    yield Twin("entropies", entropies, entropies_by_hand, (weights,), gradients=False)
