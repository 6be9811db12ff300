"""Bahdanau attention: a small network says how much each state of a reader matters to the writer now.

A network that translates had to squeeze the whole source into one vector. Bahdanau, Cho and Bengio (2015,
section 3.1 and appendix A.1.2) keep every state m_j of the reader and let the writer, in state q_i, mix them
anew for each word:

    e_ij = v . tanh(W q_i + U m_j)          how well the two fit; "additive"
    a_ij = exp(e_ij) / sum_k exp(e_ik)      where it looks: the alignment
    k_i  = sum_j a_ij m_j                   what it sees: the context

The alignments are learned with all the rest, from nothing but translations, and they can be looked at. U m_j
is the same for every i: `keys` computes it once. What fills up a source is never looked at.

Axes used below
    b  batch      t  queries, steps of the writer      s  steps of the reader
    q  width of a query      m  width of the memory      w  width of the small network
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.vanilla_rnn import require_sizes

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Bahdanau attention (additive)",
    paper="https://arxiv.org/abs/1409.0473",
    year=2015,
    summary="Lets a network that writes look back at those states of a network that reads which fit best.",
    rows=("RR09",),
    builds_on=("vanilla_rnn",),
    differs=("The layer alone: that the paper asks with the state before the word is the decoder's matter.",),
    oracle="keras.layers.AdditiveAttention on the projected states: weights, contexts, gradients",
)


class BahdanauAttention(nn.Module):
    """Additive attention: ``layer(query, memory, mask)`` gives what is seen and the weights of the look.

    ``query`` (b, t, q) holds states of the writer, ``memory`` (b, s, m) those of the reader, and ``mask``
    (b, s) is True where a state may be looked at. The result is (b, t, m) and (b, t, s). Raises
    ``ValueError`` for sizes below 1 and a mask of another shape.
    """

    def __init__(self, query: int, memory: int, width: int) -> None:
        super().__init__()
        require_sizes(query=query, memory=memory, width=width)
        self.query = nn.Linear(query, width, bias=False)
        self.memory = nn.Linear(memory, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def keys(self, memory: Float[Tensor, "b s m"]) -> Float[Tensor, "b s w"]:
        """U m: the same for every query, so that a writer that goes step by step need not repeat it."""
        return self.memory(memory)

    def forward(
        self,
        query: Float[Tensor, "b t q"],
        memory: Float[Tensor, "b s m"],
        mask: Tensor | None = None,
        keys: Float[Tensor, "b s w"] | None = None,
    ) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b t s"]]:
        keys = self.keys(memory) if keys is None else keys
        fit = torch.tanh(self.query(query)[:, :, None] + keys[:, None])  # b t s w
        return look(self.score(fit)[..., 0], memory, mask)


def look(
    scores: Float[Tensor, "b t s"], memory: Float[Tensor, "b s m"], mask: Tensor | None = None
) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b t s"]]:
    """The mean of ``memory`` weighted by the softmax of ``scores``, and the weights.

    ``mask`` (b, s) is True where one may look; what it hides has weight 0, and so has everything in a row
    that is hidden as a whole, whose mean is zeros. Raises ``ValueError`` for a mask of another shape.
    """
    if mask is None:
        weights = scores.softmax(dim=-1)
        return weights @ memory, weights
    if mask.shape != memory.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(
            f"mask is {mask.dtype} of shape {tuple(mask.shape)}; it must be bool, {tuple(memory.shape[:2])}"
        )
    hidden = ~mask[:, None]
    lowest = torch.finfo(scores.dtype).min  # and not -inf: where all is hidden, that would make NaN
    weights = scores.masked_fill(hidden, lowest).softmax(dim=-1).masked_fill(hidden, 0.0)
    return weights @ memory, weights


def bahdanau_by_hand(
    query: Float[Tensor, "b t q"],
    memory: Float[Tensor, "b s m"],
    w: Float[Tensor, "w q"],
    u: Float[Tensor, "w m"],
    v: Float[Tensor, "1 w"],
    mask: Bool[Tensor, "b s"],
) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b t s"]]:
    """One query after the other, one state after the other."""

    def fit(q: Tensor, m: Tensor) -> Tensor:
        return (v[0] * torch.tanh(w @ q + u @ m)).sum()

    return look_by_hand(query, memory, fit, mask)


def look_by_hand(query: Tensor, memory: Tensor, fit, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of pairs by ``fit``, then their exponentials over the sum of those that may be looked at."""
    seen, weights = [], []
    for queries, states, open_ in zip(query, memory, mask.tolist(), strict=True):
        for q in queries:
            share = [torch.exp(fit(q, m)) * shown for m, shown in zip(states, open_, strict=True)]
            total = torch.stack(share).sum()
            part = [one / total if any(open_) else one for one in share]
            weights.append(torch.stack(part))
            seen.append(torch.stack([a * m for a, m in zip(part, states, strict=True)]).sum(dim=0))
    b, t, s = len(query), query.shape[1], memory.shape[1]
    return torch.stack(seen).reshape(b, t, -1), torch.stack(weights).reshape(b, t, s)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    sizes = ((3, 2, 4), (3, 5, 3), (6, 4), (6, 3), (1, 6))
    inputs = tuple(torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    with torch.device("meta"):
        layer = BahdanauAttention(4, 3, 6)
    names = [name for name, _ in layer.named_parameters()]
    for name, lengths in (("everything in sight", (5, 5, 5)), ("some of it hidden", (2, 5, 0))):
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]

        def ours(q: Tensor, m: Tensor, *weights: Tensor, mask: Tensor = mask) -> tuple[Tensor, Tensor]:
            given = dict(zip(names, weights, strict=True))
            return functional_call(layer, given, (q, m, None if mask.all() else mask))

        yield Twin(name, ours, lambda *given, mask=mask: bahdanau_by_hand(*given, mask=mask), inputs)
