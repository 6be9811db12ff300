"""Key-value cache: what was read is not read again.

A causal model that writes one token at a time would compute, at step t, keys and values of t tokens that it
computed at step t - 1 already: they depend on nothing that comes later. Kept, they leave one new token's work
to each step: all of a text costs t steps instead of t^2 / 2 (Shazeer 2019, section 3, who also shows that
reading what is kept becomes the bottleneck, and that sharing it between heads helps).

    k, v = [kept; new]        y = attend(q of the new, k, v)

A prompt is read at once ("prefill"), with a causal mask among its own tokens; then come single steps, which
need no mask since all that is kept lies behind them.

A model with a sliding window of n needs the last n only. The cache then is a ring: token i lies in row
i mod n, over the one that fell out of sight (Mistral 7B, Jiang et al. 2023, figure 2). The rows need not be
in order, as positions are part of the keys and a sum knows none.

Axes used below
    b  batch      g  heads of keys and values      t  new tokens      s  tokens that they may see
    e  width of a head      n  rows of the cache
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.attention.scaled_dot_product import attend, attend_by_hand, causal_mask
from fathom.fundamentals.attention.sliding_window import (
    sliding_window_attention_by_hand,
    sliding_window_mask,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Key-value cache",
    paper="https://arxiv.org/abs/1911.02150",
    year=2019,
    summary="Keeps the keys and values of what was read, so that each new token costs one step.",
    rows=("TR08",),
    builds_on=("scaled_dot_product", "sliding_window"),
    oracle="the whole sequence computed again at every step, plain and with a sliding window",
)


class KeyValueCache:
    """Keys and values of ``layers`` layers, for texts of equal length, written in place.

    Of a plain cache ``rows`` is the longest text; of a ``rolling`` one it is the window, and the text may
    go on for ever. For each piece of text call `admit` once, then `extend` once for each layer. Gradients do
    not pass through what is kept. Raises ``ValueError`` for sizes below 1.
    """

    def __init__(
        self,
        *,
        layers: int,
        batch: int,
        heads: int,
        rows: int,
        width: int,
        rolling: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        sizes = {"layers": layers, "batch": batch, "heads": heads, "rows": rows, "width": width}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be 1 or more")
        shape = (batch, heads, rows, width)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.rows, self.rolling = rows, rolling
        self.length = 0  # tokens read, the piece that is being read among them
        self.start = 0  # tokens read before that piece

    def admit(self, count: int) -> Bool[Tensor, "t s"] | None:
        """Make room for ``count`` tokens; which of the tokens that `extend` returns each of them may see.

        None stands for the usual cases: one token sees all, and several at the beginning are causal.
        Raises ``ValueError`` where a plain cache has too few rows left.
        """
        if count < 1:
            raise ValueError(f"count is {count}; there must be 1 new token or more")
        if not self.rolling and self.length + count > self.rows:
            raise ValueError(
                f"the cache has {self.rows} rows and holds {self.length} tokens: {count} more do not fit;"
                " make one with more rows, or begin a new text"
            )
        self.start, self.length = self.length, self.length + count
        if count == 1 or (not self.start and (not self.rolling or count <= self.rows)):
            return None
        device = self.keys[0].device
        if not self.rolling:
            return causal_mask(count, self.length, device)
        return sliding_window_mask(count, min(self.start, self.rows - 1) + count, self.rows, device)

    @torch.no_grad()
    def extend(
        self, layer: int, key: Float[Tensor, "b g t e"], value: Float[Tensor, "b g t e"]
    ) -> tuple[Float[Tensor, "b g s e"], Float[Tensor, "b g s e"]]:
        """Keep keys and values of the new tokens; return them with those before that they may see."""
        return self._extend(self.keys[layer], key), self._extend(self.values[layer], value)

    def _extend(self, kept: Tensor, new: Tensor) -> Tensor:
        count = new.shape[2]
        if not self.rolling:
            kept[:, :, self.start : self.length] = new
            return kept[:, :, : self.length]
        if count == 1:
            kept[:, :, self.start % self.rows] = new[:, :, 0]
            return kept[:, :, : self.length]
        before = range(max(0, self.start - self.rows + 1), self.start)
        seen = torch.cat([kept[:, :, [i % self.rows for i in before]], new], dim=2)
        last = range(max(self.start, self.length - self.rows), self.length)
        kept[:, :, [i % self.rows for i in last]] = new[:, :, -len(last) :]
        return seen

    def select(self, texts: Tensor) -> None:
        """Go on with these rows of the batch, int64 (b,), in this order: a beam keeps some, drops others."""
        self.keys = [kept[texts] for kept in self.keys]
        self.values = [kept[texts] for kept in self.values]


class CarriedCache:
    """The same as a value: keys and values of each layer (b, g, n, e) go into a step and come out of it.

    For graphs that are exported, which cannot write in place. Each text of the batch reads one token, and may
    stand at a ``place`` of its own, int64 (b,): how many tokens it has read. Where places go beyond the n
    rows, the cache rolls. ``mask`` (b, 1, 1, n) says which rows hold something.
    """

    def __init__(self, keys: Sequence[Tensor], values: Sequence[Tensor], place: Int[Tensor, "b"]) -> None:
        self.keys, self.values = list(keys), list(values)
        _, groups, rows, width = keys[0].shape
        self.row = (place % rows)[:, None, None, None].expand(-1, groups, 1, width)
        self.mask = (torch.arange(rows, device=place.device) <= place[:, None])[:, None, None, :]

    def extend(
        self, layer: int, key: Float[Tensor, "b g 1 e"], value: Float[Tensor, "b g 1 e"]
    ) -> tuple[Float[Tensor, "b g n e"], Float[Tensor, "b g n e"]]:
        """Keys and values of a layer, those of the new token among them, to be passed to the next step."""
        self.keys[layer] = self.keys[layer].scatter(2, self.row, key)
        self.values[layer] = self.values[layer].scatter(2, self.row, value)
        return self.keys[layer], self.values[layer]


def read_in_pieces(
    query: Float[Tensor, "b k t e"],
    key: Float[Tensor, "b g t e"],
    value: Float[Tensor, "b g t e"],
    pieces: tuple[int, ...],
    window: int | None = None,
) -> Float[Tensor, "b k t e"]:
    """Causal attention over a text that comes in ``pieces`` of so many tokens, through a cache."""
    batch, groups, length, width = key.shape
    cache = KeyValueCache(
        layers=1, batch=batch, heads=groups, rows=window or length, width=width,
        rolling=window is not None, dtype=key.dtype, device=key.device,
    )  # fmt: skip
    answers = []
    for asked, new, said in zip(*(x.split(list(pieces), dim=2) for x in (query, key, value)), strict=True):
        count = asked.shape[2]
        mask = cache.admit(count)
        keys, values = cache.extend(0, new, said)
        answers.append(attend(asked, keys, values, mask, causal=mask is None and count > 1))
    return torch.cat(answers, dim=2)


def read_carried(
    query: Float[Tensor, "b k t e"], key: Float[Tensor, "b g t e"], value: Float[Tensor, "b g t e"], rows: int
) -> Float[Tensor, "b k t e"]:
    """Causal attention token by token, with a cache of ``rows`` that is passed on."""
    batch, groups, length, width = key.shape
    keys, values = key.new_zeros(2, batch, groups, rows, width)
    answers = []
    for t in range(length):
        new = slice(t, t + 1)
        cache = CarriedCache([keys], [values], torch.full((batch,), t, device=key.device))
        keys, values = cache.extend(0, key[:, :, new], value[:, :, new])
        answers.append(attend(query[:, :, new], keys, values, cache.mask))
    return torch.cat(answers, dim=2)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares; the plain version computes the whole text at once."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 9, 3, dtype=torch.float64, generator=dice)
    key, value = torch.randn(2, 2, 4, 9, 3, dtype=torch.float64, generator=dice)
    whole = partial(attend_by_hand, causal=True)
    for pieces in ((1,) * 9, (4, 1, 1, 1, 1, 1), (2, 3, 4), (9,)):
        ours = partial(read_in_pieces, pieces=pieces)
        yield Twin(f"pieces {pieces}", ours, whole, (query, key[:, :2], value[:, :2]), gradients=False)
        for window in (1, 3, 4):
            ours = partial(read_in_pieces, pieces=pieces, window=window)
            by_hand = partial(sliding_window_attention_by_hand, window=window)
            name = f"pieces {pieces}, window {window}"
            yield Twin(name, ours, by_hand, (query, key, value), gradients=False)
    yield Twin("carried", partial(read_carried, rows=9), whole, (query, key[:, :2], value[:, :2]))
    by_hand = partial(sliding_window_attention_by_hand, window=4)
    yield Twin("carried, rolling", partial(read_carried, rows=4), by_hand, (query, key, value))
