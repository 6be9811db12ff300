"""Relative positions in buckets: how far apart two words are, near ones exactly, far ones roughly.

T5 (Raffel et al. 2020, section 2.1; the idea is that of Shaw, Uszkoreit and Vaswani 2018) adds nothing to the
words. It adds to the score of each query and key a number that each head has learned for their distance:

    score[i, j] = q_i . k_j + B[bucket(j - i), head]

Of n buckets for one direction the first half hold one distance each, 0 to n/2 - 1; the others grow like a
power, up to the distance ``farthest``, and the last holds all beyond:

    bucket(x) = n/2 + floor(log(x / (n/2)) / log(farthest / (n/2)) * n/2)        for x >= n/2

An encoder halves the buckets between the two directions; a decoder sees what is before it only, and all that
is ahead falls into bucket 0, which its mask hides. A text longer than any in training needs no new weights.

Axes used below
    t  queries      s  keys      k  heads      n  buckets
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Relative positions in buckets",
    paper="https://arxiv.org/abs/1910.10683",
    year=2020,
    summary="Learns how much a distance counts, for each head: near ones one by one, far ones in groups.",
    rows=("TR06",),
    differs=("The paper says logarithmic and gives no formula; this one is that of its program.",),
    oracle="transformers' T5: buckets of all distances, biases, both directions",
)


def relative_bucket(
    distance: Int[Tensor, "..."], *, buckets: int = 32, farthest: int = 128, both_ways: bool = True
) -> Int[Tensor, "..."]:
    """The bucket of each ``distance``, place of the key less place of the query: int64, 0 to buckets - 1.

    Raises ``ValueError`` for buckets that cannot be halved as above, and ``farthest`` within the exact half.
    """
    exact = check(buckets, farthest, both_ways)
    if both_ways:
        offset, size = torch.where(distance > 0, 2 * exact, 0), distance.abs()
    else:
        offset, size = torch.zeros_like(distance), (-distance).clamp(min=0)
    # In float32 and in this order, so that distances on an edge fall where they fall in T5.
    grown = torch.log(size.clamp(min=1).float() / exact) / math.log(farthest / exact) * exact
    far = (exact + grown.long()).clamp(max=2 * exact - 1)
    return offset + torch.where(size < exact, size, far)


def check(buckets: int, farthest: int, both_ways: bool) -> int:
    """How many distances of a direction have a bucket of their own; raises ``ValueError``."""
    parts = 4 if both_ways else 2
    if buckets < parts or buckets % parts:
        raise ValueError(f"buckets is {buckets}; it must be a multiple of {parts}")
    exact = buckets // parts
    if farthest <= exact:
        raise ValueError(f"farthest is {farthest}; it must be above {exact}, which are told apart exactly")
    return exact


class RelativeBuckets(nn.Module):
    """A bias (k, t, s) for the scores of ``heads`` heads: the ``mask`` of `attend`, where it is added.

    ``weight`` (buckets, heads) begins normal with deviation 0.02. Raises ``ValueError`` as `relative_bucket`.
    """

    def __init__(self, heads: int, *, buckets: int = 32, farthest: int = 128, both_ways: bool = True) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"heads is {heads}; it must be 1 or more")
        check(buckets, farthest, both_ways)
        self.buckets, self.farthest, self.both_ways = buckets, farthest, both_ways
        self.weight = nn.Parameter(torch.empty(buckets, heads))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, queries: int, keys: int) -> Float[Tensor, "k t s"]:
        """The bias for ``queries`` that are the last of ``keys`` places."""
        device = self.weight.device
        place = torch.arange(keys - queries, keys, device=device)
        distance = torch.arange(keys, device=device) - place[:, None]
        bucket = relative_bucket(
            distance, buckets=self.buckets, farthest=self.farthest, both_ways=self.both_ways
        )
        return self.weight[bucket].permute(2, 0, 1)


def relative_bucket_by_hand(
    distance: Int[Tensor, "n"], *, buckets: int = 32, farthest: int = 128, both_ways: bool = True
) -> Int[Tensor, "n"]:
    """Distance by distance: bucket j begins at exact * (farthest / exact)^((j - exact) / exact)."""
    exact = buckets // (4 if both_ways else 2)
    starts = [exact * (farthest / exact) ** (j / exact) for j in range(exact)]
    found = []
    for x in distance.tolist():
        size = abs(x) if both_ways else max(0, -x)
        bucket = size if size < exact else exact - 1 + sum(start <= size + 1e-9 for start in starts)
        found.append(bucket + (2 * exact if both_ways and x > 0 else 0))
    return torch.tensor(found)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    distance = torch.arange(-200, 201)
    for both_ways in (True, False):
        for buckets, farthest in ((32, 128), (8, 20)):
            settings = {"buckets": buckets, "farthest": farthest, "both_ways": both_ways}
            yield Twin(
                f"buckets {settings}",
                partial(relative_bucket, **settings),
                partial(relative_bucket_by_hand, **settings),
                (distance,),
                gradients=False,
            )
    layer = RelativeBuckets(2, buckets=8, farthest=5)
    weight = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def by_hand(weight: Tensor) -> Tensor:
        rows = [relative_bucket_by_hand(torch.arange(6) - i, buckets=8, farthest=5) for i in (3, 4, 5)]
        return torch.stack([torch.stack([weight[b] for b in row], dim=1) for row in rows], dim=1)

    yield Twin("bias", lambda w: functional_call(layer, {"weight": w}, (3, 6)), by_hand, (weight,))
