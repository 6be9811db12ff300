"""Cross-attention: one sequence asks, another one answers.

A translator that writes in one language looks at each step at the sentence in the other. Queries come from
what is written, keys and values from what was read (Vaswani et al. 2017, section 3.2.3, first point; the idea
is that of Bahdanau, Cho and Bengio 2015 with a dot product as the match):

    y = [..., attend(x Q_j, m K_j, m V_j), ...] W        m: the memory, the states of the reader

The memory does not change while the answer grows. So its keys and values are made once (`remember`) and used
at every step; recomputing them would cost as much as reading the source again for each word. The two
sequences may differ in length and in width, and filling in the memory is hidden by a mask.

Axes used below
    b  batch      t  time of the writer      s  time of the memory      d  width      m  width of the memory
    k  heads      e  width of a head
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.scaled_dot_product import attend, attend_by_hand, attention_weights

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Cross-attention",
    paper="https://arxiv.org/abs/1706.03762",
    year=2017,
    summary="Lets one sequence look things up in another: what a decoder does with what an encoder read.",
    rows=("TR05",),
    builds_on=("scaled_dot_product",),
    differs=("The projections have biases, as in torch and in most models since; the paper has none.",),
    oracle="torch.nn.MultiheadAttention and TransformerDecoderLayer, weight for weight: answers, gradients",
)

Keys = Float[Tensor, "b k s e"]


class CrossAttention(nn.Module):
    """``heads`` heads of queries from (b, t, width), keys and values from (b, s, memory_width).

    Raises ``ValueError`` where heads do not divide the width.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        memory_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        memory_width = width if memory_width is None else memory_width
        if width < 1 or heads < 1 or width % heads:
            raise ValueError(f"width is {width}, heads {heads}; the width must be a multiple of the heads")
        if memory_width < 1:
            raise ValueError(f"memory_width is {memory_width}; it must be 1 or more")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be in [0, 1)")
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(memory_width, width, bias=bias)
        self.value = nn.Linear(memory_width, width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def remember(self, memory: Float[Tensor, "b s m"]) -> tuple[Keys, Keys]:
        """Keys and values of a memory, to be used for as many steps as the answer takes."""
        key = rearrange(self.key(memory), "b s (k e) -> b k s e", k=self.heads)
        return key, rearrange(self.value(memory), "b s (k e) -> b k s e", k=self.heads)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        memory: Float[Tensor, "b s m"] | tuple[Keys, Keys],
        present: Bool[Tensor, "b s"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """What each place of ``x`` finds in ``memory``, or in what `remember` made of it.

        ``present`` is False where the memory is only filled up.
        """
        key, value = memory if isinstance(memory, tuple) else self.remember(memory)
        query = rearrange(self.query(x), "b t (k e) -> b k t e", k=self.heads)
        dropout = self.dropout if self.training else 0.0
        heard = attend(query, key, value, hidden(present), dropout=dropout)
        return self.out(rearrange(heard, "b k t e -> b t (k e)"))

    def weights(
        self,
        x: Float[Tensor, "b t d"],
        memory: Float[Tensor, "b s m"],
        present: Bool[Tensor, "b s"] | None = None,
    ) -> Float[Tensor, "b k t s"]:
        """The map of each head: which place of the memory each place looks at, the alignment."""
        query = rearrange(self.query(x), "b t (k e) -> b k t e", k=self.heads)
        return attention_weights(query, self.remember(memory)[0], hidden(present))


def hidden(present: Bool[Tensor, "b s"] | None) -> Bool[Tensor, "b 1 1 s"] | None:
    return None if present is None else present[:, None, None, :]


def cross_attention_by_hand(
    x: Float[Tensor, "b t d"],
    memory: Float[Tensor, "b s m"],
    query: Float[Tensor, "d d"],
    key: Float[Tensor, "d m"],
    value: Float[Tensor, "d m"],
    out: Float[Tensor, "d d"],
    *,
    heads: int,
    present: Bool[Tensor, "b s"] | None = None,
) -> Float[Tensor, "b t d"]:
    """Sentence by sentence, the filling cut off; head by head, each with its own rows of the matrices."""
    e = len(query) // heads
    answers = []
    for b in range(len(x)):
        read = memory[b] if present is None else memory[b][present[b]]
        answer = torch.zeros_like(x[b])
        for own in (slice(j * e, (j + 1) * e) for j in range(heads)):
            asked, offered, said = x[b] @ query[own].T, read @ key[own].T, read @ value[own].T
            head = attend_by_hand(asked[None, None], offered[None, None], said[None, None])
            answer = answer + head[0, 0] @ out[:, own].T
        answers.append(answer)
    return torch.stack(answers)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=dice)
    memory = torch.randn(2, 5, 6, dtype=torch.float64, generator=dice)
    layer = CrossAttention(4, 2, memory_width=6, bias=False)
    names = ("query", "key", "value", "out")
    shapes = [getattr(layer, name).weight.shape for name in names]
    matrices = [torch.randn(shape, dtype=torch.float64, generator=dice) / 2 for shape in shapes]
    filled = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    for name, present in (("whole memory", None), ("filled memory", filled)):

        def ours(x: Tensor, memory: Tensor, *given: Tensor, present: Tensor | None = present) -> Tensor:
            state = {f"{name}.weight": matrix for name, matrix in zip(names, given, strict=True)}
            return functional_call(layer, state, (x, memory, present))

        by_hand = partial(cross_attention_by_hand, heads=2, present=present)
        yield Twin(name, ours, by_hand, (x, memory, *matrices))
