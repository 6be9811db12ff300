"""Linear attention: a kernel in the place of the softmax, and the whole past in one small matrix.

Softmax attention needs every pair of places, for exp(q k) does not come apart. Katharopoulos et al. (2020,
section 3.2) take a likeness that does, a product of features phi(q) phi(k), and so the sum over places can be
made once, whoever asks (equations 4 to 7):

    y_i = phi(q_i) S / phi(q_i) z        S = sum over j of phi(k_j)^T v_j,   z = sum over j of phi(k_j)

with phi(x) = elu(x) + 1, which is positive, so that weights are shares as before. Looking back only, S and z
are sums over j <= i: a recurrent network, whose state has e times v numbers however long the text is (section
3.3, `linear_attention_step`). What is given up is the sharpness of the softmax: one place cannot drown the
others as exp lets it.

One place after another is slow to learn with. Cut into blocks of n places, what lies in earlier blocks comes
from the state before the block, and only pairs within one are written down: t n of them, not t t.

Axes used below
    *b  batch, heads      t  time      s  keys      e  width of queries and keys      v  width of values
    n  places in a block      c  blocks
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Linear attention",
    paper="https://arxiv.org/abs/2006.16236",
    year=2020,
    summary="Attends by features of queries and keys, at a cost that grows with the text and not its square.",
    rows=("TR08",),
    builds_on=("elu",),
    differs=("Causal sums are made block by block; the paper has a kernel that goes place by place.",),
    oracle="the weights of all pairs written down, and the recurrent form place by place",
)

State = tuple[Tensor, Tensor]  # S (*b, e, v) and z (*b, e)


def features(x: Float[Tensor, "*b t e"]) -> Float[Tensor, "*b t e"]:
    """phi: elu(x) + 1, above 0 everywhere."""
    return F.elu(x) + 1


def linear_attention(
    query: Float[Tensor, "*b t e"],
    key: Float[Tensor, "*b s e"],
    value: Float[Tensor, "*b s v"],
    *,
    causal: bool = False,
    block: int = 64,
) -> Float[Tensor, "*b t v"]:
    """The answer to each query, from all keys, or with ``causal`` from those up to its own place.

    Time and memory grow with t * ``block`` and with t * e * v / ``block``. Raises ``ValueError`` for a block
    below 1, and where ``causal`` queries and keys are not equally many.
    """
    if block < 1:
        raise ValueError(f"block is {block}; it must be 1 or more")
    query, key = features(query), features(key)
    if not causal:
        sums, total = key.mT @ value, key.sum(dim=-2)
        return (query @ sums) / (query @ total[..., None])
    if query.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"there are {query.shape[-2]} queries and {key.shape[-2]} keys; looking back only, each place"
            " has both"
        )
    length = query.shape[-2]
    missing = -length % block
    query, key, value = (F.pad(x, (0, 0, 0, missing)).unflatten(-2, (-1, block)) for x in (query, key, value))
    sums, totals = before(key.mT @ value), before(key.sum(dim=-2)[..., None])
    near = (query @ key.mT).tril()
    shares = query @ totals + near.sum(dim=-1, keepdim=True)
    answer = (query @ sums + near @ value).flatten(-3, -2)[..., :length, :]
    return answer / shares.flatten(-3, -2)[..., :length, :]


def before(parts: Float[Tensor, "*b c e v"]) -> Float[Tensor, "*b c e v"]:
    """For each block the sum over all earlier ones; made without its own part, whose rounding would stay."""
    return F.pad(parts[..., :-1, :, :], (0, 0, 0, 0, 1, 0)).cumsum(dim=-3)


def linear_attention_step(
    query: Float[Tensor, "*b e"],
    key: Float[Tensor, "*b e"],
    value: Float[Tensor, "*b v"],
    state: State | None = None,
) -> tuple[Float[Tensor, "*b v"], State]:
    """The answer at one more place, and the state after it; None is the state before the first place."""
    query, key = features(query), features(key)
    sums, total = key[..., :, None] * value[..., None, :], key
    if state is not None:
        sums, total = state[0] + sums, state[1] + total
    answer = (query[..., None, :] @ sums)[..., 0, :] / (query * total).sum(dim=-1, keepdim=True)
    return answer, (sums, total)


def linear_attention_by_hand(
    query: Float[Tensor, "b k t e"],
    key: Float[Tensor, "b k s e"],
    value: Float[Tensor, "b k s v"],
    *,
    causal: bool = False,
) -> Float[Tensor, "b k t v"]:
    """Query by query, key by key: the likeness of each pair, and the mean of values that it weighs."""
    answers = []
    for i in range(query.shape[2]):
        seen = range(i + 1 if causal else key.shape[2])
        likeness = [(features(query[:, :, i]) * features(key[:, :, j])).sum(dim=-1) for j in seen]
        weighed = [share[..., None] * value[:, :, j] for j, share in zip(seen, likeness, strict=True)]
        answers.append(torch.stack(weighed).sum(dim=0) / torch.stack(likeness).sum(dim=0)[..., None])
    return torch.stack(answers, dim=2)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 7, 3, dtype=torch.float64, generator=dice)
    yield Twin("all keys", linear_attention, linear_attention_by_hand, (query[:, :, :4], key, value))
    for block in (1, 2, 3, 7, 9):
        ours = partial(linear_attention, causal=True, block=block)
        by_hand = partial(linear_attention_by_hand, causal=True)
        yield Twin(f"looking back, blocks of {block}", ours, by_hand, (query, key, value))
