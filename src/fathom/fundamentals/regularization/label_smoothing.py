"""Label smoothing: aim at nearly one instead of one, because no logit is large enough for one.

With a hard target the loss goes on pulling the logits apart for ever, and the network ends up surer than it
is right. Szegedy et al. (2016, section 7) move a share of the target's probability to all classes evenly:

    q(k) = (1 - s) [k = y] + s / K
    loss = -sum_k q(k) log p(k) = (1 - s) (-log p(y)) + s mean_k (-log p(k))

The best logits are then finite: the right one stands log((1 - s) K / s + 1) above the others.

Axes used below
    b  batch      k  classes, K of them      s  smoothing      y  right class
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Label smoothing",
    paper="https://arxiv.org/abs/1512.00567",
    year=2015,
    summary="Trains towards targets that leave a little probability to every class.",
    rows=("RN08",),
    oracle="timm.loss.LabelSmoothingCrossEntropy and torch.nn.functional.cross_entropy; values and gradients",
)


def smooth_labels(target: Shaped[Tensor, "b"], classes: int, smoothing: float = 0.1) -> Float[Tensor, "b k"]:
    """Target distributions for the class numbers ``target`` (int64, in [0, classes)), float32.

    ``smoothing`` is in [0, 1]. Raises ``ValueError`` for values outside the ranges.
    """
    _check(target, classes, smoothing)
    quiet = torch.full((len(target), classes), smoothing / classes, device=target.device)
    return quiet.scatter_(1, target[:, None], 1 - smoothing + smoothing / classes)


def label_smoothing_cross_entropy(
    logits: Shaped[Tensor, "b k"], target: Shaped[Tensor, "b"], smoothing: float = 0.1
) -> Float[Tensor, ""]:
    """The mean cross-entropy of ``logits`` to the smoothed ``target`` (int64, in [0, k)).

    ``smoothing`` is in [0, 1]. Raises ``ValueError`` for values outside the ranges, an empty batch, and
    logits that are not floating point.
    """
    if not logits.is_floating_point():
        raise ValueError(f"logits are {logits.dtype}; they must be floating point")
    if not len(logits):
        raise ValueError("logits hold no example; the mean of none is no number")
    _check(target, logits.shape[1], smoothing)
    return F.cross_entropy(logits, target, label_smoothing=smoothing)


def smooth_labels_by_hand(target: Tensor, classes: int, smoothing: float = 0.1) -> Tensor:
    """A share to the right class, and the rest spread over all, class by class."""
    rows = [
        [smoothing / classes + (1 - smoothing) * (k == y) for k in range(classes)] for y in target.tolist()
    ]
    return torch.tensor(rows, dtype=torch.float32).reshape(len(target), classes)


def label_smoothing_cross_entropy_by_hand(logits: Tensor, target: Tensor, smoothing: float = 0.1) -> Tensor:
    """Log-probabilities, weighted by the smoothed target, summed over classes, averaged over the batch."""
    shifted = logits - logits.amax(dim=1, keepdim=True).detach()
    log_probabilities = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    wanted = torch.zeros_like(logits) + smoothing / logits.shape[1]
    for row, right in enumerate(target.tolist()):
        wanted[row, right] += 1 - smoothing
    return -(wanted * log_probabilities).sum() / len(logits)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(-4, 5, 15, dtype=torch.float64).reshape(5, 3).roll(2)
    target = torch.tensor([0, 2, 1, 1, 0])
    for smoothing in (0.0, 0.1, 1.0):
        yield Twin(
            f"cross-entropy, smoothing {smoothing}",
            lambda x, s=smoothing: label_smoothing_cross_entropy(x, target, s),
            lambda x, s=smoothing: label_smoothing_cross_entropy_by_hand(x, target, s),
            (logits,),
        )
    yield Twin(
        "labels",
        lambda: smooth_labels(target, 3, 0.2),
        lambda: smooth_labels_by_hand(target, 3, 0.2),
        (),
        tolerance=1e-7,
        gradients=False,
    )


def _check(target: Tensor, classes: int, smoothing: float) -> None:
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing is {smoothing}; it must be in [0, 1]")
    if classes < 1:
        raise ValueError(f"classes is {classes}; it must be 1 or more")
    if target.dtype != torch.int64:
        raise ValueError(f"target is {target.dtype}; it must hold class numbers as int64")
    if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise ValueError(
            f"target holds {int(target.min())} to {int(target.max())}; it must be in [0, {classes})"
        )
