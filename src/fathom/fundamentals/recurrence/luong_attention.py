"""Luong attention: how alike two states are says where to look.

Luong, Pham and Manning (2015, section 3.1) ask with the writer's state after it has read the word before, and
compare three ways to score a state m_j of the reader against it (equation 8):

    dot        q . m_j                      no weights; both must have one width
    general    q . (W m_j)                  W says which of their numbers correspond
    concat     v . tanh(W [q ; m_j])        a small network; see ``bahdanau_attention``

Weights are the softmax over j, and what is seen is the weighted mean of the states (`look`). The product with
all states at once is one matrix product, which is why transformers kept this form. The paper goes on to mix
what is seen with the state: tanh(W_c [k ; q]) (equation 5); that is left to whoever uses the layer.

Axes used below
    b  batch      t  queries, steps of the writer      s  steps of the reader
    q  width of a query      m  width of the memory      w  width of the small network
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.bahdanau_attention import look, look_by_hand
from fathom.fundamentals.recurrence.vanilla_rnn import require_sizes

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Luong attention (multiplicative)",
    paper="https://arxiv.org/abs/1508.04025",
    year=2015,
    summary="Looks at those states of a reader that point the same way as the writer's own.",
    rows=("RR09",),
    builds_on=("bahdanau_attention", "vanilla_rnn"),
    differs=("Global attention only; the paper's local one looks at a window around a predicted place.",),
    oracle="keras.layers.Attention (dot, concat), torch's scaled_dot_product_attention (dot, general)",
)

SCORES = ("dot", "general", "concat")


class LuongAttention(nn.Module):
    """``layer(query, memory, mask)`` gives what is seen and the weights of the look.

    ``query`` (b, t, q) holds states of the writer, ``memory`` (b, s, m) those of the reader, and ``mask``
    (b, s) is True where a state may be looked at. The result is (b, t, m) and (b, t, s). ``width`` is that of
    the network of "concat", by default that of a query. Raises ``ValueError`` for sizes below 1, another
    ``score``, a "dot" of two widths, and a mask of another shape.
    """

    def __init__(
        self,
        query: int,
        memory: int,
        score: Literal["dot", "general", "concat"] = "dot",
        width: int | None = None,
    ) -> None:
        super().__init__()
        require_sizes(query=query, memory=memory, width=query if width is None else width)
        if score not in SCORES:
            raise ValueError(f"score is {score!r}; it must be one of {', '.join(SCORES)}")
        if score == "dot" and query != memory:
            raise ValueError(
                f"query is {query} and memory {memory} numbers wide; a dot product needs one width: take"
                " score='general', which maps one to the other"
            )
        self.kind = score
        if score == "general":
            self.general = nn.Linear(memory, query, bias=False)
        if score == "concat":
            self.join = nn.Linear(query + memory, width or query, bias=False)
            self.score = nn.Linear(width or query, 1, bias=False)

    def keys(self, memory: Float[Tensor, "b s m"]) -> Float[Tensor, "b s _"]:
        """What a query is compared with; the same for every query."""
        if self.kind == "dot":
            return memory
        if self.kind == "general":
            return self.general(memory)
        return memory @ self.join.weight[:, -memory.shape[2] :].T

    def forward(
        self,
        query: Float[Tensor, "b t q"],
        memory: Float[Tensor, "b s m"],
        mask: Tensor | None = None,
        keys: Float[Tensor, "b s _"] | None = None,
    ) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b t s"]]:
        keys = self.keys(memory) if keys is None else keys
        if self.kind != "concat":
            return look(query @ keys.transpose(1, 2), memory, mask)
        # W [q ; m] is the sum of two products: the pairs need not be put together.
        asked = query @ self.join.weight[:, : query.shape[2]].T
        return look(self.score(torch.tanh(asked[:, :, None] + keys[:, None]))[..., 0], memory, mask)


def luong_by_hand(
    query: Float[Tensor, "b t q"],
    memory: Float[Tensor, "b s m"],
    *weights: Tensor,
    mask: Bool[Tensor, "b s"],
) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b t s"]]:
    """One query after the other, one state after the other. No weights: dot; W: general; W and v: concat."""

    def fit(q: Tensor, m: Tensor) -> Tensor:
        if not weights:
            return (q * m).sum()
        if len(weights) == 1:
            return (q * (weights[0] @ m)).sum()
        return (weights[1][0] * torch.tanh(weights[0] @ torch.cat([q, m]))).sum()

    return look_by_hand(query, memory, fit, mask)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    mask = torch.arange(5) < torch.tensor([2, 5, 4])[:, None]
    for score in SCORES:
        m = 4 if score == "dot" else 3
        with torch.device("meta"):
            layer = LuongAttention(4, m, score, 6)
        names = [name for name, _ in layer.named_parameters()]
        sizes = ((3, 2, 4), (3, 5, m), *(tuple(weight.shape) for weight in layer.parameters()))
        inputs = tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)

        def ours(q: Tensor, m: Tensor, *weights: Tensor, layer: nn.Module = layer, names: list = names):
            return functional_call(layer, dict(zip(names, weights, strict=True)), (q, m, mask))

        yield Twin(score, ours, lambda *given: luong_by_hand(*given, mask=mask), inputs)
