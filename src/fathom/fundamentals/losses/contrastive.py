"""Contrastive losses: pull together what belongs together, push apart what does not.

An embedding is a point; no single point is right, only distances are. So these losses compare points of one
batch. Pairs come first (Hadsell et al. 2006, equation 4): equal labels are drawn within a margin, others
pushed beyond one. A triplet (Schroff et al. 2015, section 3.1) asks only that an anchor be nearer to its own
kind than to a stranger. Most triplets are soon satisfied and teach nothing; hard mining takes for each
anchor its farthest friend and its nearest stranger (Hermans et al. 2017, equation 5).

    pairs      max(0, d_ij - m_+) of equal labels          max(0, m - d_ij) of others
    triplets   max(0, d_ap - d_an + m)

The other family makes a classification of it: which of all candidates is the partner? InfoNCE (van den Oord
et al. 2018, equation 4) is cross-entropy over similarities divided by a temperature; NT-Xent (Chen et al.
2020, equation 1) is that among two views of each sample, where all 2 b - 2 others are strangers.

    InfoNCE    - log( exp(q_i k_i / T) / sum_j exp(q_i k_j / T) )

Embeddings are divided by their length first, so distances lie in [0, 2] and similarities in [-1, 1].

Axes used below
    b  batch      d  width of an embedding      k  negatives
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.losses.reduction import (
    at_least_float32,
    check_alike,
    check_floating,
    reduce_losses,
    require,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Contrastive losses: pairs, triplets, NT-Xent and InfoNCE",
    paper="https://arxiv.org/abs/2002.05709",
    year=2020,
    summary="Losses that place embeddings: near to their own kind, far from the rest.",
    rows=("LO10",),
    builds_on=("reduction",),
    differs=(
        "Pairs and triplets average over those that are violated, as pytorch_metric_learning does; the papers"
        " sum or average over all, and so fade as they are satisfied.",
        "Triplets compare distances, as Hermans et al. advise; FaceNet compares their squares.",
        "Pairs are not squared unless asked; the paper's squares also carry a factor of 1/2.",
    ),
    oracle="pytorch_metric_learning: ContrastiveLoss, TripletMarginLoss with its hard miner, NTXentLoss",
)

MINING = ("all", "hard")


def contrastive_loss(
    embeddings: Tensor,
    label: Tensor,
    *,
    margin: float = 1.0,
    positive_margin: float = 0.0,
    squared: bool = False,
    normalize: bool = True,
) -> Float[Tensor, ""]:
    """All pairs of ``embeddings`` (b, d): mean over violating friends plus mean over violating strangers.

    Pairs of equal integer ``label`` (b,) cost their distance beyond ``positive_margin``, others what lacks to
    ``margin``; both are 0 or more. ``squared`` squares each cost. Without any pair, as in an empty batch, 0.
    Raises ``ValueError`` for other shapes and dtypes and for negative margins.
    """
    _margin("margin", margin)
    _margin("positive_margin", positive_margin)
    distance, same = _distances(embeddings, label, normalize)
    others = ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    total = embeddings.new_zeros((), dtype=distance.dtype)
    for costs, pairs in ((distance - positive_margin, same & others), (margin - distance, ~same)):
        violated = pairs & (costs > 0)
        total = total + reduce_losses(costs.square() if squared else costs, kept=violated)
    return total


def triplet_margin_loss(
    embeddings: Tensor,
    label: Tensor,
    *,
    margin: float = 0.2,
    mining: str = "all",
    normalize: bool = True,
) -> Float[Tensor, ""]:
    """The mean over violated triplets of ``embeddings`` (b, d) with integer ``label`` (b,).

    ``mining`` "all" takes every anchor, friend and stranger, which needs b^3 numbers; "hard" takes for each
    anchor its farthest friend and nearest stranger. Without any triplet, as in an empty batch, 0.
    Raises ``ValueError`` for other shapes and dtypes, a negative margin, and another way of mining.
    """
    _margin("margin", margin)
    require(mining in MINING, "mining", repr(mining), "'all' or 'hard'")
    distance, same = _distances(embeddings, label, normalize)
    friend = same & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    if mining == "all":
        gaps = distance.unsqueeze(2) - distance.unsqueeze(1) + margin
        triplets = friend.unsqueeze(2) & ~same.unsqueeze(1)
        return reduce_losses(gaps, kept=triplets & (gaps > 0))
    if not len(label):
        return reduce_losses(distance)
    far = distance.masked_fill(~friend, -torch.inf).amax(1)
    near = distance.masked_fill(same, torch.inf).amin(1)
    gaps = far - near + margin
    return reduce_losses(gaps, kept=friend.any(1) & ~same.all(1) & (gaps > 0))


def nt_xent_loss(first: Tensor, second: Tensor, *, temperature: float = 0.5) -> Float[Tensor, ""]:
    """Find the other view of each sample among all 2 b - 1 other embeddings, in nats.

    ``first`` and ``second`` (b, d) are two views of the same samples; ``temperature`` > 0. An empty batch
    gives 0. Raises ``ValueError`` for shapes that differ, other dtypes, and the temperature.
    """
    _temperature(temperature)
    _views(first=first, second=second)
    z = F.normalize(at_least_float32(torch.cat([first, second])), dim=1)
    count = len(z)
    if not count:
        return reduce_losses(z.sum(1))
    itself = torch.eye(count, dtype=torch.bool, device=z.device)
    scores = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    partner = (torch.arange(count, device=z.device) + count // 2) % count
    return F.cross_entropy(scores, partner)


def info_nce_loss(
    queries: Tensor, keys: Tensor, *, negatives: Tensor | None = None, temperature: float = 0.07
) -> Float[Tensor, ""]:
    """Find the key of each query, in nats; ``queries`` and ``keys`` (b, d) belong together row by row.

    The other candidates are the keys of the other queries, or ``negatives`` (k, d) where given, such as a
    queue of earlier keys. ``temperature`` > 0. An empty batch gives 0. Raises ``ValueError`` for shapes that
    do not fit, other dtypes, and the temperature.
    """
    _temperature(temperature)
    _views(queries=queries, keys=keys)
    q, k = (F.normalize(at_least_float32(x), dim=1) for x in (queries, keys))
    if not len(q):
        return reduce_losses((q + k).sum(1))
    if negatives is None:
        return F.cross_entropy(q @ k.T / temperature, torch.arange(len(q), device=q.device))
    check_floating(negatives=negatives)
    fits = negatives.ndim == 2 and negatives.shape[1] == q.shape[1]
    require(fits, "negatives.shape", tuple(negatives.shape), f"(k, {q.shape[1]})")
    strangers = q @ F.normalize(at_least_float32(negatives), dim=1).T
    scores = torch.cat([(q * k).sum(1, keepdim=True), strangers], dim=1) / temperature
    return F.cross_entropy(scores, torch.zeros(len(q), dtype=torch.long, device=q.device))


@dataclass(frozen=True, kw_only=True)
class TripletMarginLoss:
    """``triplet_margin_loss`` with its settings, as a value."""

    margin: float = 0.2
    mining: str = "all"
    normalize: bool = True

    def __post_init__(self) -> None:
        _margin("margin", self.margin)
        require(self.mining in MINING, "mining", repr(self.mining), "'all' or 'hard'")

    def __call__(self, embeddings: Tensor, label: Tensor) -> Float[Tensor, ""]:
        return triplet_margin_loss(
            embeddings, label, margin=self.margin, mining=self.mining, normalize=self.normalize
        )


def _margin(name: str, value: float) -> None:
    require(0 <= value < float("inf"), name, value, "0 or more, and finite")


def _temperature(value: float) -> None:
    require(0 < value < float("inf"), "temperature", value, "positive and finite")


def _views(**views: Tensor) -> None:
    check_alike(**views)
    for name, view in views.items():
        require(view.ndim == 2, f"{name}.shape", tuple(view.shape), "(batch, width)")


def _distances(embeddings: Tensor, label: Tensor, normalize: bool) -> tuple[Tensor, Tensor]:
    """Distances (b, b), and which labels are equal."""
    _views(embeddings=embeddings)
    integer = not label.is_floating_point() and label.dtype != torch.bool
    require(integer, "label.dtype", label.dtype, "an integer type, as torch.int64")
    require(label.shape == embeddings.shape[:1], "label.shape", tuple(label.shape), f"({len(embeddings)},)")
    x = at_least_float32(embeddings)
    x = F.normalize(x, dim=1) if normalize else x
    # The matrix product in the fast mode loses half the digits of near points.
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return distance, label.unsqueeze(1) == label.unsqueeze(0)


def contrastive_loss_by_hand(
    embeddings: Float[Tensor, "b d"],
    label: Int[Tensor, " b"],
    *,
    margin: float = 1.0,
    positive_margin: float = 0.0,
) -> Float[Tensor, ""]:
    x = _unit(embeddings)
    friends, strangers = [], []
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j and label[i] == label[j]:
                friends.append(_distance(x[i], x[j]) - positive_margin)
            elif i != j:
                strangers.append(margin - _distance(x[i], x[j]))
    return _mean_of_positive(friends) + _mean_of_positive(strangers)


def triplet_margin_loss_by_hand(
    embeddings: Float[Tensor, "b d"], label: Int[Tensor, " b"], *, margin: float = 0.2, mining: str = "all"
) -> Float[Tensor, ""]:
    x, gaps = _unit(embeddings), []
    for a in range(len(x)):
        friends = [_distance(x[a], x[p]) for p in range(len(x)) if p != a and label[p] == label[a]]
        strangers = [_distance(x[a], x[n]) for n in range(len(x)) if label[n] != label[a]]
        if mining == "hard" and friends and strangers:
            friends, strangers = [max(friends)], [min(strangers)]
        gaps += [friend - stranger + margin for friend in friends for stranger in strangers]
    return _mean_of_positive(gaps)


def nt_xent_loss_by_hand(
    first: Float[Tensor, "b d"], second: Float[Tensor, "b d"], *, temperature: float = 0.5
) -> Float[Tensor, ""]:
    z, losses = _unit(torch.cat([first, second])), []
    for i in range(len(z)):
        weights = [((z[i] * other).sum() / temperature).exp() for other in z]
        partner = (i + len(first)) % len(z)
        losses.append(-(weights[partner] / sum(weights[:i] + weights[i + 1 :])).log())
    return torch.stack(losses).mean()


def info_nce_loss_by_hand(
    queries: Float[Tensor, "b d"], keys: Float[Tensor, "b d"], *, temperature: float = 0.07
) -> Float[Tensor, ""]:
    q, k = _unit(queries), _unit(keys)
    losses = []
    for i in range(len(q)):
        weights = [((q[i] * key).sum() / temperature).exp() for key in k]
        losses.append(-(weights[i] / sum(weights)).log())
    return torch.stack(losses).mean()


def _unit(x: Tensor) -> Tensor:
    return x / (x**2).sum(1, keepdim=True) ** 0.5


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).sum() ** 0.5


def _mean_of_positive(costs: list[Tensor]) -> Tensor:
    positive = [cost for cost in costs if cost > 0]
    return torch.stack(positive).mean() if positive else torch.zeros(())


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, dtype=torch.float64, generator=dice)
    y = torch.randn(6, 4, dtype=torch.float64, generator=dice)
    label = torch.tensor([0, 1, 0, 2, 1, 0])
    yield Twin("pairs", contrastive_loss, contrastive_loss_by_hand, (x, label))
    for mining in MINING:
        ours = partial(triplet_margin_loss, mining=mining)
        by_hand = partial(triplet_margin_loss_by_hand, mining=mining)
        yield Twin(f"triplets, {mining}", ours, by_hand, (x, label))
    yield Twin("NT-Xent", nt_xent_loss, nt_xent_loss_by_hand, (x, y))
    yield Twin("InfoNCE", info_nce_loss, info_nce_loss_by_hand, (x, y))
