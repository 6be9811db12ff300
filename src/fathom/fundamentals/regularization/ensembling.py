"""Ensembling: many imperfect answers, averaged, are better than most of them alone.

Errors that are made independently cancel; those that all members share do not. For the log-likelihood the
mean of probabilities is never worse than the mean of the members' scores (Jensen; Lakshminarayanan et al.
2017 train members from different seeds). Three ways to get members:

    ensemble               p(x) = 1/m sum_i p_i(x)               several networks, one input
    test-time augmentation p(x) = 1/m sum_i u_i(p(v_i(x)))       one network, several views v_i of the input;
                                                                 u_i turns an answer laid out like the input
                                                                 back
    stochastic depth       networks of all depths in one: a residual branch is dropped with a rate that grows
                           with depth, p_i = p i / (n - 1)       (Huang et al. 2016, as in timm)

The mean of logits is a geometric mean of probabilities; it is surer where members agree.

Axes used below
    m  members or views      b  batch      k  classes      n  branches
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Ensembles, test-time augmentation, stochastic depth",
    paper="https://arxiv.org/abs/1612.01474",
    year=2016,
    summary="Averages the answers of several networks, or of one network to several views of its input.",
    rows=("RN08",),
    differs=(
        "The first branch is never dropped, as in timm; in Huang et al. the rate starts at p / n.",
        "Members are not trained adversarially, as those of Lakshminarayanan et al. are.",
    ),
    oracle="averages written out; timm.layers.drop.calculate_drop_path_rates",
)

KINDS = ("probability", "logit")
View = Callable[[Tensor], Tensor]


def average_predictions(
    logits: Sequence[Float[Tensor, "b k"]], kind: str = "probability"
) -> Float[Tensor, "b k"]:
    """Probabilities of an ensemble whose members, at least one, answer with ``logits``.

    ``kind`` is "probability" (arithmetic mean) or "logit" (geometric mean). Raises ``ValueError`` for another
    kind, no member, or members that disagree about their shape.
    """
    _check(logits, kind)
    stacked = torch.stack(list(logits))
    if kind == "logit":
        return stacked.mean(dim=0).softmax(dim=-1)
    return stacked.softmax(dim=-1).mean(dim=0)


class Ensemble(nn.Module):
    """Several classifiers that answer as one, with probabilities (b, k)."""

    def __init__(self, members: Sequence[nn.Module], kind: str = "probability") -> None:
        super().__init__()
        if not members:
            raise ValueError("members is empty; give at least one network")
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
        self.members, self.kind = nn.ModuleList(members), kind

    def forward(self, *inputs: Tensor) -> Float[Tensor, "b k"]:
        return average_predictions([member(*inputs) for member in self.members], self.kind)


def average_over_views(
    answer: Callable[[Tensor], Tensor], x: Tensor, views: Sequence[View], undo: Sequence[View] | None = None
) -> Tensor:
    """The mean of what ``answer`` (probabilities, say) gives for each of ``views`` of ``x``; at least one.

    An answer that is laid out like the input, a segmentation for instance, is first turned back with the
    function of the same place in ``undo``. Raises ``ValueError`` where there are not as many of them.
    """
    if not views:
        raise ValueError("views is empty; give at least one, for example the input as it is")
    back: Sequence[View] = undo if undo is not None else [lambda made: made] * len(views)
    if len(back) != len(views):
        raise ValueError(f"undo holds {len(back)} functions for {len(views)} views; give one each")
    made = [turn(answer(view(x))) for view, turn in zip(views, back, strict=True)]
    return torch.stack(made).mean(dim=0)


def stochastic_depth_rates(rate: float, branches: int) -> list[float]:
    """Drop-path rates of ``branches`` (0 or more) residual branches: from 0 evenly up to ``rate``, in [0, 1).

    Raises ``ValueError`` for values outside these ranges.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; it must be in [0, 1)")
    if branches < 0:
        raise ValueError(f"branches is {branches}; it must be 0 or more")
    return [rate * i / max(1, branches - 1) for i in range(branches)]


def average_predictions_by_hand(logits: Sequence[Tensor], kind: str = "probability") -> Tensor:
    """Member after member, the softmax written out."""
    total = torch.zeros_like(logits[0])
    for scores in logits:
        if kind == "logit":
            total = total + scores / len(logits)
        else:
            powers = scores.exp()
            total = total + powers / powers.sum(dim=-1, keepdim=True) / len(logits)
    if kind == "logit":
        powers = total.exp()
        return powers / powers.sum(dim=-1, keepdim=True)
    return total


def average_over_views_by_hand(
    answer: Callable[[Tensor], Tensor], x: Tensor, views: Sequence[View], undo: Sequence[View]
) -> Tensor:
    """View after view."""
    total = torch.tensor(0.0, dtype=x.dtype)
    for place in range(len(views)):
        total = total + undo[place](answer(views[place](x)))
    return total / len(views)


def stochastic_depth_rates_by_hand(rate: float, branches: int) -> list[float]:
    """Climb by the same amount from one branch to the next."""
    rates, current = [], 0.0
    for _ in range(branches):
        rates.append(current)
        current = current + rate / (branches - 1 if branches > 1 else 1)
    return rates


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    members = tuple(torch.linspace(-2, 2, 6, dtype=torch.float64).roll(i).reshape(2, 3) for i in range(3))
    for kind in KINDS:
        yield Twin(
            f"ensemble, {kind}",
            lambda *logits, kind=kind: average_predictions(logits, kind),
            lambda *logits, kind=kind: average_predictions_by_hand(logits, kind),
            members,
        )
    flips: tuple[View, ...] = (lambda x: x, lambda x: x.flip(-1))

    def edges(x: Tensor) -> Tensor:
        return (x - x.roll(1, -1)).sigmoid()

    yield Twin(
        "views",
        lambda x: average_over_views(edges, x, flips, flips),
        lambda x: average_over_views_by_hand(edges, x, flips, flips),
        members[:1],
    )
    yield Twin(
        "stochastic depth",
        lambda: [stochastic_depth_rates(0.3, n) for n in range(12)],
        lambda: [stochastic_depth_rates_by_hand(0.3, n) for n in range(12)],
        (),
        gradients=False,
    )


def _check(logits: Sequence[Tensor], kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    if not logits:
        raise ValueError("logits is empty; give those of at least one member")
    shapes = {tuple(member.shape) for member in logits}
    if len(shapes) > 1:
        raise ValueError(f"logits have shapes {sorted(shapes)}; all members must answer alike")
