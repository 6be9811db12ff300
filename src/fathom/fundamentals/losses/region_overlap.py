"""Region losses: score a segmentation by the region that it covers, not pixel by pixel.

Where a tumour fills one pixel in a thousand, a model that finds none is right 99.9 % of the time. Overlap
measures see only the region. Their soft forms put probabilities where the measures have 0 and 1. With

    TP = sum p y        FP = sum p (1 - y)        FN = sum (1 - p) y        over all pixels of the batch

    Tversky  l = 1 - TP / (TP + alpha FP + beta FN)         Salehi et al. 2017, equation 3
    Dice     l = 1 - 2 TP / (sum p + sum y), at alpha = beta = 1/2   Milletari et al. 2016, section 3

A beta above alpha makes a missed pixel dearer than a false one. The Lovász losses (Berman et al. 2018)
minimise Jaccard's measure itself, J = |M| / |Y u M| for the set M of wrong pixels: sort the pixels by
their error m, largest first, and let each pay for what it adds to J when it joins those before it:

    l = sum_i m_i (J{1..i} - J{1..i-1})                      equations 8 and 9
    m = |y - p| for probabilities (softmax), max(0, 1 - z (2y - 1)) for scores (hinge)

This is the tightest convex function that equals J where every pixel is either right or wrong.

Axes used below
    b  batch      c  classes      *d  positions: height and width      n  all pixels
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
    reduce_losses,
    require,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Region losses: Dice, Tversky and Lovász",
    paper="https://arxiv.org/abs/1705.08790",
    year=2018,
    summary="Losses for segmentation that see how well a region is covered, however small it is.",
    rows=("LO08",),
    builds_on=("reduction",),
    differs=(
        "Dice has plain sums below the line, as segmentation_models_pytorch; the paper's are of squares.",
        "A class that is nowhere in the truth adds 0 to Dice and Tversky, and counts in their mean.",
    ),
    oracle="segmentation_models_pytorch: DiceLoss, TverskyLoss, LovaszLoss, values and gradients",
)

EPSILON = 1e-7  # smallest divisor: segmentation_models_pytorch's


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 0.0,
    class_weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """One minus Tversky's index of each class over the whole batch, in [0, 1], and their mean over classes.

    ``logits`` (b, c, *d) with labels (b, *d): classes exclude each other (softmax). With a target of 0 and 1
    of shape (b, c, *d): each class is a yes or no of its own (sigmoid); binary is c = 1. ``ignore_index``
    marks positions that are not scored. ``alpha`` >= 0 is the price of a false pixel, ``beta`` >= 0 of a
    missed one; ``smooth`` >= 0 is added above and below. ``class_weight`` (c,) makes the mean a weighted one.
    "none" gives (c,). Without any true pixel (an empty batch, too) the loss is 0.

    Raises ``ValueError`` for labels of no class, other shapes, negative weights and settings.
    """
    _settings(alpha, beta, smooth)
    probability, truth = _regions(logits, target, ignore_index)
    hit = (probability * truth).sum(-1)
    false, missed = probability.sum(-1) - hit, truth.sum(-1) - hit
    index = (hit + smooth) / (hit + alpha * false + beta * missed + smooth).clamp(min=EPSILON)
    losses = torch.where(truth.sum(-1) > 0, 1 - index, 0.0)
    if class_weight is not None:
        given = tuple(class_weight.shape)
        require(given == tuple(losses.shape), "class_weight.shape", given, f"{tuple(losses.shape)}")
    return reduce_losses(losses, reduction, weight=class_weight)


def dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    smooth: float = 0.0,
    class_weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Tversky's loss at alpha = beta = 1/2: one minus the overlap over the mean size. Arguments as there."""
    return tversky_loss(
        logits, target, smooth=smooth, class_weight=class_weight, ignore_index=ignore_index,
        reduction=reduction,
    )  # fmt: skip


def lovasz_hinge_loss(
    logits: Tensor, target: Tensor, *, per_image: bool = False, ignore_index: int | None = None
) -> Float[Tensor, ""]:
    """Jaccard's hinge for one yes-or-no class: ``logits`` (b, *d), ``target`` (b, *d) of 0 and 1.

    Over all pixels of the batch, or the mean over images. Pixels of ``ignore_index`` are left out; nothing
    left gives 0. Raises ``ValueError`` for shapes that differ and other targets.
    """
    check_floating(logits=logits)
    require(logits.ndim >= 1, "logits.shape", tuple(logits.shape), "(batch, ...)")
    require(target.shape == logits.shape, "target.shape", tuple(target.shape), f"{tuple(logits.shape)}")
    kept = _zero_or_one(target, ignore_index)
    z = at_least_float32(logits)
    y = torch.where(kept, target, 0).to(z.dtype)
    errors = torch.where(kept, 1 - z * (2 * y - 1), -1.0).clamp(min=0)  # an ignored pixel makes no error
    return reduce_losses(_jaccard(errors, y, per_image))


def lovasz_softmax_loss(
    logits: Tensor, target: Tensor, *, per_image: bool = False, ignore_index: int | None = None
) -> Float[Tensor, ""]:
    """Jaccard's loss of classes that exclude each other: ``logits`` (b, c, *d), labels (b, *d).

    The mean over the classes that are in the truth, over all pixels of the batch or image by image. Pixels
    of ``ignore_index`` are left out; nothing left gives 0. Raises ``ValueError`` for labels of no class and
    other shapes.
    """
    kept = _exclusive(logits, target, ignore_index)
    probability = at_least_float32(logits).softmax(1)
    label = target.long().where(kept, 0)
    truth = F.one_hot(label, logits.shape[1]).movedim(-1, 1) * kept.unsqueeze(1)
    errors = torch.where(kept.unsqueeze(1), (truth - probability).abs(), 0.0)
    present = truth.unsqueeze(-1).flatten(2).any(-1)
    if not per_image:
        present = present.any(0, keepdim=True)
    each = [
        _jaccard(e, t.to(e.dtype), per_image) for e, t in zip(errors.unbind(1), truth.unbind(1), strict=True)
    ]
    losses = torch.where(present, torch.stack(each, -1), 0.0).sum(-1) / present.sum(-1).clamp(min=1)
    return reduce_losses(losses)


@dataclass(frozen=True, kw_only=True)
class TverskyLoss:
    """``tversky_loss`` with its settings, as a value; the defaults are Dice."""

    alpha: float = 0.5
    beta: float = 0.5
    smooth: float = 0.0
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        _settings(self.alpha, self.beta, self.smooth)

    def __call__(self, logits: Tensor, target: Tensor) -> Float[Tensor, "..."]:
        return tversky_loss(
            logits, target, alpha=self.alpha, beta=self.beta, smooth=self.smooth,
            ignore_index=self.ignore_index,
        )  # fmt: skip


def _settings(alpha: float, beta: float, smooth: float) -> None:
    for name, value in (("alpha", alpha), ("beta", beta), ("smooth", smooth)):
        require(0 <= value < float("inf"), name, value, "0 or more, and finite")


def _regions(logits: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Probability and truth (c, n), both 0 where a pixel is ignored."""
    if target.shape == logits.shape:
        check_floating(logits=logits)
        require(logits.ndim >= 2, "logits.shape", tuple(logits.shape), "(batch, classes, ...)")
        kept = _zero_or_one(target, ignore_index)
        probability = at_least_float32(logits).sigmoid()
        truth = torch.where(kept, target, 0).to(probability.dtype)
    else:
        kept = _exclusive(logits, target, ignore_index).unsqueeze(1)
        probability = at_least_float32(logits).softmax(1)
        label = target.long().where(kept.squeeze(1), 0)
        truth = F.one_hot(label, logits.shape[1]).movedim(-1, 1).to(probability.dtype) * kept
    probability = torch.where(kept, probability, 0.0)
    return probability.transpose(0, 1).flatten(1), truth.transpose(0, 1).flatten(1)


def _exclusive(logits: Tensor, target: Tensor, ignore_index: int | None) -> Tensor:
    """Where labels (b, *d) are scored, once they are found to be labels of ``logits`` (b, c, *d)."""
    check_floating(logits=logits)
    wide = logits.ndim >= 2 and logits.shape[1] >= 1
    require(wide, "logits.shape", tuple(logits.shape), "(batch, classes, ...)")
    positions = (len(logits), *logits.shape[2:])
    allowed = f"{positions} for labels, or {tuple(logits.shape)} for 0 and 1"
    require(target.shape == positions, "target.shape", tuple(target.shape), allowed)
    return check_labels("target", target, logits.shape[1], ignore_index)


def _zero_or_one(target: Tensor, ignore_index: int | None) -> Tensor:
    """Where a target of 0 and 1 is scored."""
    given = target if target.is_floating_point() else target.long()
    kept = torch.ones_like(given, dtype=torch.bool) if ignore_index is None else given != ignore_index
    stray = kept & (given != 0) & (given != 1)
    if bool(stray.any()):
        also = "" if ignore_index is None else f", and ignore_index {ignore_index}"
        raise ValueError(f"target holds {given[stray][0].item()}; allowed are 0 and 1{also}")
    return kept


def _jaccard(errors: Tensor, truth: Tensor, per_image: bool) -> Tensor:
    """The Lovász extension of Jaccard's loss at ``errors`` (b, *d): (b,), or (1,) for all pixels together."""
    m, y = (x.unsqueeze(-1).flatten(1) if per_image else x.flatten().unsqueeze(0) for x in (errors, truth))
    m, order = m.sort(dim=1, descending=True)
    y = y.gather(1, order)
    size = y.sum(1, keepdim=True)
    jaccard = 1 - (size - y.cumsum(1)) / (size + (1 - y).cumsum(1))
    adds = jaccard.diff(dim=1, prepend=torch.zeros_like(size))
    return (m * adds).sum(1)


def tversky_loss_by_hand(
    logits: Float[Tensor, "b c *d"], target: Int[Tensor, "b *d"], *, alpha: float = 0.5, beta: float = 0.5
) -> Float[Tensor, ""]:
    probability = logits.exp() / logits.exp().sum(1, keepdim=True)
    losses = []
    for c in range(logits.shape[1]):
        p, y = probability[:, c].flatten(), (target == c).flatten().to(logits.dtype)
        hit, false, missed = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
        losses.append(1 - hit / (hit + alpha * false + beta * missed) if y.any() else 0 * hit)
    return torch.stack(losses).mean()


def dice_loss_by_hand(logits: Float[Tensor, "b c *d"], target: Int[Tensor, "b *d"]) -> Float[Tensor, ""]:
    probability = logits.exp() / logits.exp().sum(1, keepdim=True)
    losses = []
    for c in range(logits.shape[1]):
        p, y = probability[:, c].flatten(), (target == c).flatten().to(logits.dtype)
        losses.append(1 - 2 * (p * y).sum() / (p.sum() + y.sum()) if y.any() else 0 * p.sum())
    return torch.stack(losses).mean()


def lovasz_hinge_loss_by_hand(logits: Float[Tensor, "*n"], target: Int[Tensor, "*n"]) -> Float[Tensor, ""]:
    truth = target.flatten().tolist()
    errors = [1 - z if y else 1 + z for z, y in zip(logits.flatten(), truth, strict=True)]
    return _jaccard_of_sets([e if e > 0 else 0 * e for e in errors], truth)


def lovasz_softmax_loss_by_hand(
    logits: Float[Tensor, "b c *d"], target: Int[Tensor, "b *d"]
) -> Float[Tensor, ""]:
    probability = logits.exp() / logits.exp().sum(1, keepdim=True)
    losses = []
    for c in target.unique().tolist():
        truth = (target == c).flatten().tolist()
        pixels = zip(probability[:, c].flatten(), truth, strict=True)
        losses.append(_jaccard_of_sets([1 - p if y else p for p, y in pixels], truth))
    return torch.stack(losses).mean()


def _jaccard_of_sets(errors: list[Tensor], truth: list[int] | list[bool]) -> Float[Tensor, ""]:
    """Each pixel, largest error first, pays for what it adds to the loss when it joins the wrong ones."""
    region, wrong = {i for i, y in enumerate(truth) if y}, set()
    total, before = torch.zeros_like(errors[0]), 0.0
    for i in sorted(range(len(errors)), key=lambda i: -errors[i].item()):
        wrong.add(i)
        after = len(wrong) / len(region | wrong)
        total = total + errors[i] * (after - before)
        before = after
    return total


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 3, 2, 3, dtype=torch.float64, generator=dice)
    label = torch.randint(2, (2, 2, 3), generator=dice)  # class 2 is nowhere
    yes = torch.randint(2, (2, 3, 2, 3), generator=dice)
    yield Twin("Dice", dice_loss, dice_loss_by_hand, (logits, label))
    settings = {"alpha": 0.3, "beta": 0.7}
    ours, by_hand = partial(tversky_loss, **settings), partial(tversky_loss_by_hand, **settings)
    yield Twin("Tversky", ours, by_hand, (logits, label))
    yield Twin("Lovász hinge", lovasz_hinge_loss, lovasz_hinge_loss_by_hand, (logits, yes))
    yield Twin("Lovász softmax", lovasz_softmax_loss, lovasz_softmax_loss_by_hand, (logits, label))
