"""Focal loss: cross-entropy that loses interest in what is already right.

A detector scores a hundred thousand places of a picture, and a handful of them hold something. Each of the
others is easy and costs little, but together they drown the few that matter. Lin et al. (2017) multiply
the cross-entropy by a factor that fades as the probability p_t of the true answer grows:

    FL = - alpha_t (1 - p_t)^gamma log p_t                                       (equation 5)

With gamma = 2 a place that is right with p_t = 0.9 counts a hundred times less, and one at 0.5 four times
less. gamma = 0 gives back cross-entropy. ``alpha`` weighs positives against negatives, as class weights do.
The same factor serves a softmax over classes; ``class_weight`` then stands for alpha.

The factor is computed as exp(gamma log(1 - p_t)). Its gradient stays finite where 1 - p_t rounds to 0, which
the power's does not for gamma < 1.

Axes used below
    *s  any shape      b  batch      c  classes      *d  positions, none or any number
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
    check_floating,
    check_labels,
    check_weight,
    label_weights,
    reduce_losses,
    require,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Focal loss",
    paper="https://arxiv.org/abs/1708.02002",
    year=2017,
    summary="Cross-entropy that fades where the model is right, so that a few hard cases are not drowned.",
    rows=("LO05",),
    builds_on=("reduction",),
    differs=("The mean divides by all places; the paper divides a sum by the number of positive ones.",),
    oracle="torchvision.ops.sigmoid_focal_loss; gamma = 0 equals cross-entropy",
)


def sigmoid_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Focal loss of yes-or-no ``logits`` (*s), in nats; ``target`` (*s) holds 0 and 1, of any dtype.

    ``alpha`` in [0, 1] weighs the positives and 1 - alpha the negatives; None weighs neither. ``gamma`` is 0
    or more. Raises ``ValueError`` for other targets, shapes that differ, and settings out of range.
    """
    check_floating(logits=logits)
    _settings(alpha, gamma)
    require(target.shape == logits.shape, "target.shape", tuple(target.shape), f"{tuple(logits.shape)}")
    if not bool(((target == 0) | (target == 1)).all()):
        raise ValueError(
            f"target holds {target[(target != 0) & (target != 1)][0].item()}; allowed are 0 and 1"
        )
    z = at_least_float32(logits)
    y = target.to(z.dtype)
    losses = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    losses = losses * (gamma * F.logsigmoid(z * (1 - 2 * y))).exp()
    if alpha is not None:
        losses = losses * (alpha * y + (1 - alpha) * (1 - y))
    return reduce_losses(losses, reduction)


def softmax_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    class_weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Focal loss of ``logits`` (b, c, *d) over classes that exclude each other, in nats; c is 2 or more.

    ``target`` (b, *d) holds labels in [0, c); ``ignore_index`` is not scored. ``class_weight`` (c,) is 0 or
    more, and the mean is weighted by it, so that gamma = 0 is ``cross_entropy``. "none" gives (b, *d).
    Raises ``ValueError`` for labels of no class, other shapes, negative weights, and a negative gamma.
    """
    check_floating(logits=logits)
    _settings(None, gamma)
    wide = logits.ndim >= 2 and logits.shape[1] >= 2
    require(wide, "logits.shape", tuple(logits.shape), "(batch, 2 or more classes, ...)")
    classes, positions = logits.shape[1], (len(logits), *logits.shape[2:])
    require(target.shape == positions, "target.shape", tuple(target.shape), f"{positions}")
    kept = check_labels("target", target, classes, ignore_index)
    label = target.long().where(kept, 0)
    log_p = at_least_float32(logits).log_softmax(1)
    log_true = log_p.gather(1, label.unsqueeze(1)).squeeze(1)
    true = F.one_hot(label, classes).movedim(-1, 1).bool()
    log_rest = log_p.masked_fill(true, -torch.inf).logsumexp(1)  # log(1 - p_t), exact where p_t is nearly 1
    weight = None
    if class_weight is not None:
        given = tuple(class_weight.shape)
        require(given == (classes,), "class_weight.shape", given, f"{(classes,)}")
        check_weight("class_weight", class_weight, class_weight.shape)
        weight = label_weights(label, class_weight.to(log_p.dtype), kept)
    return reduce_losses(-log_true * (gamma * log_rest).exp(), reduction, weight=weight, kept=kept)


@dataclass(frozen=True, kw_only=True)
class FocalLoss:
    """``sigmoid_focal_loss`` with its settings, as a value."""

    alpha: float | None = 0.25
    gamma: float = 2.0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        _settings(self.alpha, self.gamma)

    def __call__(self, logits: Tensor, target: Tensor) -> Float[Tensor, "..."]:
        return sigmoid_focal_loss(
            logits, target, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction
        )


def _settings(alpha: float | None, gamma: float) -> None:
    require(alpha is None or 0 <= alpha <= 1, "alpha", alpha, "in [0, 1], or None for no weights")
    require(0 <= gamma < float("inf"), "gamma", gamma, "0 or more, and finite")


def sigmoid_focal_loss_by_hand(
    logits: Float[Tensor, "*s"], target: Int[Tensor, "*s"], *, alpha: float | None = 0.25, gamma: float = 2.0
) -> Float[Tensor, ""]:
    p = 1 / (1 + (-logits).exp())
    p_true = torch.where(target == 1, p, 1 - p)
    losses = -((1 - p_true) ** gamma) * p_true.log()
    if alpha is not None:
        losses = torch.where(target == 1, alpha * losses, (1 - alpha) * losses)
    return losses.mean()


def softmax_focal_loss_by_hand(
    logits: Float[Tensor, "b c"], target: Int[Tensor, " b"], *, gamma: float = 2.0
) -> Float[Tensor, ""]:
    losses = []
    for z, label in zip(logits, target, strict=True):
        p_true = z[label].exp() / z.exp().sum()
        losses.append(-((1 - p_true) ** gamma) * p_true.log())
    return torch.stack(losses).mean()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(5, 3, dtype=torch.float64, generator=dice)
    yes = torch.randint(2, (5, 3), generator=dice)
    label = torch.randint(3, (5,), generator=dice)
    for gamma in (0.0, 0.5, 2.0):
        for alpha in (None, 0.25):
            settings = {"gamma": gamma, "alpha": alpha}
            ours, by_hand = (
                partial(sigmoid_focal_loss, **settings),
                partial(sigmoid_focal_loss_by_hand, **settings),
            )
            yield Twin(f"sigmoid, gamma {gamma}, alpha {alpha}", ours, by_hand, (logits, yes))
        ours, by_hand = (
            partial(softmax_focal_loss, gamma=gamma),
            partial(softmax_focal_loss_by_hand, gamma=gamma),
        )
        yield Twin(f"softmax, gamma {gamma}", ours, by_hand, (logits, label))
