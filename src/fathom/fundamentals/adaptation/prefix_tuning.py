"""Prefix tuning: a trained model reads a few places that no text has, and only those are learned.

What a model does next depends on what it can look back at. Li and Liang (2021, section 4.2) put p places in
front of every text and learn, for each layer, what attention finds there; the model itself stands still:

    y = attend(Q, [K'; K], [V'; V])          K', V' (g, p, e) learned; every place of the text sees them

So 2 p g e numbers are learned a layer. The model is told where to look, and is not changed: with other
prefixes it serves other tasks, each text of a batch its own if need be. A prefix cannot be merged into the
weights, and costs p places of attention.

Axes used below
    b  batch      t  time      k  heads      g  heads of keys and values      e  width of a head
    p  places of the prefix      s  places that are looked at      d  width
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.key_value_cache import CarriedCache
from fathom.fundamentals.attention.multi_head import MultiHeadAttention
from fathom.fundamentals.attention.scaled_dot_product import attend, attend_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Prefix tuning",
    paper="https://arxiv.org/abs/2101.00190",
    year=2021,
    summary="Tunes a trained Transformer by learned keys and values in front of every text.",
    rows=("TL08",),
    builds_on=("key_value_cache", "multi_head", "scaled_dot_product"),
    differs=(
        "Keys and values are learned themselves; the paper draws them from a small network at first.",
        "Places of the text are counted as without a prefix, which has no place of its own; in the paper the"
        " text stands behind it, and has p places less.",
    ),
    oracle="transformers' GPT-2 and LLaMA with the prefix of peft: logits, gradients of the prefix",
)


class Extended(CarriedCache):
    """A cache that puts a prefix in front of what another one keeps; without one, of what it is given."""

    def __init__(
        self, keys: Float[Tensor, "g p e"], values: Float[Tensor, "g p e"], inner: Any = None
    ) -> None:
        self.front, self.inner = (keys, values), inner

    def extend(
        self, layer: int, key: Float[Tensor, "b g t e"], value: Float[Tensor, "b g t e"]
    ) -> tuple[Float[Tensor, "b g s e"], Float[Tensor, "b g s e"]]:
        if self.inner is not None:
            key, value = self.inner.extend(layer, key, value)
        keys, values = (front.to(key).expand(key.shape[0], -1, -1, -1) for front in self.front)
        return torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)


class Prefixed(nn.Module):
    """An attention layer ``base``, which stands still, with ``length`` learned places in front.

    ``base`` is one that takes, last, a mask and a cache, as those of GPT-2 and LLaMA do, or the
    `MultiHeadAttention` of BERT. ``groups`` and ``width`` are those of its keys. Raises ``ValueError`` for
    sizes below 1.
    """

    def __init__(
        self, base: nn.Module, length: int, groups: int, width: int, deviation: float = 0.02
    ) -> None:
        super().__init__()
        for name, size in (("length", length), ("groups", groups), ("width", width)):
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be 1 or more")
        self.base, self.length = base, length
        self.keys = nn.Parameter(torch.randn(groups, length, width) * deviation)
        self.values = nn.Parameter(torch.randn(groups, length, width) * deviation)

    def forward(self, x: Float[Tensor, "b t d"], *given: Any) -> Float[Tensor, "b t d"]:
        if isinstance(self.base, MultiHeadAttention):
            return self.both_ways(x, *given)
        *before, mask, cache = given
        time = x.shape[1]
        if mask is None and time > 1:
            mask = torch.ones(time, time, dtype=torch.bool, device=x.device).tril()
        return self.base(x, *before, self.seen(mask), Extended(self.keys, self.values, cache))

    def both_ways(self, x: Float[Tensor, "b t d"], mask: Tensor | None = None) -> Float[Tensor, "b t d"]:
        """The same for attention that looks at all of a text; ``mask`` says where there is no padding."""
        base: Any = self.base
        query, key = base.asked(x)
        value = rearrange(base.value(x), "b t (g e) -> b g t e", g=base.groups)
        key, value = Extended(self.keys, self.values, None).extend(0, key, value)
        dropout = base.dropout if self.training else 0.0
        heard = attend(query, key, value, self.seen(mask), dropout=dropout)
        return base.out(rearrange(heard, "b k t e -> b t (k e)"))

    def seen(self, mask: Bool[Tensor, "*b t s"] | None) -> Bool[Tensor, "*b t more"] | None:
        """``mask`` for the prefix too, which everybody sees."""
        if mask is None:
            return None
        return torch.cat([mask.new_ones(*mask.shape[:-1], self.length), mask], dim=-1)


def prefixed_by_hand(
    x: Float[Tensor, "b t d"],
    query: Float[Tensor, "d d"],
    key: Float[Tensor, "n d"],
    value: Float[Tensor, "n d"],
    out: Float[Tensor, "d d"],
    keys: Float[Tensor, "g p e"],
    values: Float[Tensor, "g p e"],
) -> Float[Tensor, "b t d"]:
    """Head by head over the prefix and the text, written one behind the other."""
    groups, length, e = keys.shape
    heads = len(query) // e
    answer = torch.zeros_like(x)
    for j in range(heads):
        g = j * groups // heads
        own, shared = slice(j * e, (j + 1) * e), slice(g * e, (g + 1) * e)
        front = [part[g].expand(len(x), length, e) for part in (keys, values)]
        offered = torch.cat([front[0], x @ key[shared].T], dim=1)
        said = torch.cat([front[1], x @ value[shared].T], dim=1)
        head = attend_by_hand((x @ query[own].T)[:, None], offered[:, None], said[:, None])
        answer = answer + head[:, 0] @ out[:, own].T
    return answer


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    names = (*(f"base.{part}.weight" for part in ("query", "key", "value", "out")), "keys", "values")
    for groups in (4, 2):
        layer = Prefixed(MultiHeadAttention(8, 4, groups=groups, bias=False), 3, groups, 2)
        state = layer.state_dict()
        given = [torch.randn(state[name].shape, dtype=torch.float64, generator=dice) / 2 for name in names]
        x = torch.randn(2, 4, 8, dtype=torch.float64, generator=dice)

        def ours(x: Tensor, *weights: Tensor, layer: nn.Module = layer) -> Tensor:
            return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

        yield Twin(f"4 heads, {groups} groups", ours, prefixed_by_hand, (x, *given))
