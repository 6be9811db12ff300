"""Multi-head attention: several small attentions side by side, each with its own idea of what matches.

One softmax gives one blend of the values. Vaswani et al. (2017, section 3.2.2) project the input to k triples
of queries, keys and values, let each attend on its own, and mix the answers with a last matrix:

    head_j = attend(x Q_j, x K_j, x V_j)
    y      = [head_1; ...; head_k] W

With e = d / k the cost is that of one wide head. Here the k projections of one kind are one matrix: head j
owns its rows j e to (j + 1) e. With fewer heads of keys and values, ``groups``, see `scaled_dot_product`.

What is asked and what answers are the same sequence here (self-attention). Where they are two, see
`cross_attention`.

Axes used below
    b  batch      t  time      d  width      k  heads      e  width of a head
    g  heads of keys and values      n  their width together, g * e
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.scaled_dot_product import attend, attend_by_hand, attention_weights

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Multi-head attention",
    paper="https://arxiv.org/abs/1706.03762",
    year=2017,
    summary="Several small attentions at once, each looking for something else, mixed by a last matrix.",
    rows=("TR03", "TR04"),
    builds_on=("scaled_dot_product",),
    differs=("The projections have biases, as in torch and in most models since; the paper has none.",),
    oracle="torch.nn.MultiheadAttention with the same weights: answers, maps, gradients; transformers' LLaMA",
)


class MultiHeadAttention(nn.Module):
    """Self-attention of ``heads`` heads on inputs (b, t, width); keys and values have ``groups`` heads.

    Raises ``ValueError`` where heads do not divide the width, or groups the heads.
    """

    def __init__(
        self, width: int, heads: int, *, groups: int | None = None, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        groups = heads if groups is None else groups
        if width < 1 or heads < 1 or width % heads:
            raise ValueError(f"width is {width}, heads {heads}; the width must be a multiple of the heads")
        if groups < 1 or heads % groups:
            raise ValueError(f"groups is {groups}; it must divide the {heads} heads")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be in [0, 1)")
        self.heads, self.groups, self.dropout = heads, groups, dropout
        narrow = width // heads * groups
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, narrow, bias=bias)
        self.value = nn.Linear(width, narrow, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(
        self, x: Float[Tensor, "b t d"], mask: Tensor | None = None, *, causal: bool = False
    ) -> Float[Tensor, "b t d"]:
        """The mixed answers; ``mask`` and ``causal`` as in `attend`, the mask for (b, heads, t, t)."""
        query, key = self.asked(x)
        value = rearrange(self.value(x), "b t (g e) -> b g t e", g=self.groups)
        dropout = self.dropout if self.training else 0.0
        heard = attend(query, key, value, mask, causal=causal, dropout=dropout)
        return self.out(rearrange(heard, "b k t e -> b t (k e)"))

    def asked(self, x: Float[Tensor, "b t d"]) -> tuple[Float[Tensor, "b k t e"], Float[Tensor, "b g t e"]]:
        """Queries and keys."""
        query = rearrange(self.query(x), "b t (k e) -> b k t e", k=self.heads)
        return query, rearrange(self.key(x), "b t (g e) -> b g t e", g=self.groups)

    def weights(
        self, x: Float[Tensor, "b t d"], mask: Tensor | None = None, *, causal: bool = False
    ) -> Float[Tensor, "b k t s"]:
        """The map of each head: how much place t takes from place s."""
        return attention_weights(*self.asked(x), mask, causal=causal)


def multi_head_by_hand(
    x: Float[Tensor, "b t d"],
    query: Float[Tensor, "d d"],
    key: Float[Tensor, "n d"],
    value: Float[Tensor, "n d"],
    out: Float[Tensor, "d d"],
    *,
    heads: int,
    causal: bool = False,
) -> Float[Tensor, "b t d"]:
    """Head by head, each with its own rows of the matrices and its own columns of the last one."""
    e = len(query) // heads
    groups = len(key) // e
    answer = torch.zeros_like(x)
    for j in range(heads):
        g = j * groups // heads
        own, shared = slice(j * e, (j + 1) * e), slice(g * e, (g + 1) * e)
        asked, offered, said = x @ query[own].T, x @ key[shared].T, x @ value[shared].T
        head = attend_by_hand(asked[:, None], offered[:, None], said[:, None], causal=causal)
        answer = answer + head[:, 0] @ out[:, own].T
    return answer


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    names = ("query", "key", "value", "out")
    x = torch.randn(2, 4, 8, dtype=torch.float64, generator=dice)
    for groups, causal in ((4, False), (4, True), (2, True), (1, False)):
        layer = MultiHeadAttention(8, 4, groups=groups, bias=False)
        shapes = [getattr(layer, name).weight.shape for name in names]
        matrices = [torch.randn(shape, dtype=torch.float64, generator=dice) / 3 for shape in shapes]

        def ours(x: Tensor, *given: Tensor, layer: nn.Module = layer, causal: bool = causal) -> Tensor:
            state = {f"{name}.weight": matrix for name, matrix in zip(names, given, strict=True)}
            return functional_call(layer, state, (x,), {"causal": causal})

        by_hand = partial(multi_head_by_hand, heads=4, causal=causal)
        yield Twin(f"4 heads, {groups} groups, causal {causal}", ours, by_hand, (x, *matrices))
