"""Box losses: learn a box by how well it covers the true one, not by how far its four numbers are off.

Four coordinate errors of 5 pixels are nothing to a bus and everything to a bird. Intersection over union
(IoU) measures what detectors are judged by, and does not change with scale. But boxes that do not touch
all have IoU 0 and no gradient, which three papers mend one after the other:

    IoU    l = 1 - |A n B| / |A u B|
    GIoU   l = 1 - IoU + |C - A u B| / |C|                  Rezatofighi et al. 2019, algorithm 1
    DIoU   l = 1 - IoU + d^2 / c^2                          Zheng et al. 2020, equation 7
    CIoU   l = DIoU + alpha v                               Zheng et al. 2020, equations 8 to 11
           v = 4 / pi^2 (atan w'/h' - atan w/h)^2           alpha = v / (1 - IoU + v), held constant

C is the smallest box around both, c its diagonal, d the distance of the centres, w and h the sides.

Distribution focal loss (Li et al. 2020, equation 6) lets each side of a box be a distribution over whole
numbers instead of one number, and pushes the two neighbours of the true distance y, i <= y <= i + 1, up:

    DFL    l = - (i + 1 - y) log S_i - (y - i) log S_(i+1)

A box is (left, top, right, bottom); the unit is free. An epsilon of 1e-7 in every divisor makes a box
without area a finite loss.

Axes used below
    *n  any shape      4  sides of a box      k  bins, the whole numbers 0 to k - 1
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
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
    title="Box losses: IoU, GIoU, DIoU, CIoU and distribution focal loss",
    paper="https://arxiv.org/abs/1911.08287",
    year=2020,
    summary="Teach a detector to draw a box by how well it covers the true one, near or far, large or small.",
    rows=("LO07",),
    builds_on=("reduction",),
    differs=(
        "Boxes whose right is left of their left are refused; torchvision returns a number for them.",
        "A divisor that would be 0 is 1e-7, also in the aspect ratio, where the paper has none.",
    ),
    oracle="torchvision.ops on 1,000 random pairs; for distribution focal loss, D-FINE's in transformers, on"
    " 3,000 random distances, and a loop; values and gradients",
)

EPSILON = 1e-7  # torchvision's


def box_iou_loss(prediction: Tensor, target: Tensor, *, reduction: str = "mean") -> Float[Tensor, "..."]:
    """1 - IoU of pairs of boxes (*n, 4), in [0, 1]; no gradient where they do not touch.

    Boxes are (left, top, right, bottom) in any one unit. "none" gives (*n). Raises ``ValueError`` for other
    shapes, dtypes not floating, and boxes whose right is below their left or bottom below their top.
    """
    return _box_loss(prediction, target, reduction, lambda p, t: 1 - _iou(p, t)[0])


def generalized_box_iou_loss(
    prediction: Tensor, target: Tensor, *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """1 - GIoU of pairs of boxes (*n, 4), in [0, 2]; arguments and errors as ``box_iou_loss``."""

    def loss(p: Tensor, t: Tensor) -> Tensor:
        iou, union = _iou(p, t)
        around = _area(_hull(p, t))
        return 1 - iou + (around - union) / (around + EPSILON)

    return _box_loss(prediction, target, reduction, loss)


def distance_box_iou_loss(
    prediction: Tensor, target: Tensor, *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """1 - DIoU of pairs of boxes (*n, 4), in [0, 2]; arguments and errors as ``box_iou_loss``."""
    return _box_loss(prediction, target, reduction, lambda p, t: 1 - _iou(p, t)[0] + _apart(p, t))


def complete_box_iou_loss(
    prediction: Tensor, target: Tensor, *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """1 - CIoU of pairs of boxes (*n, 4), 0 or more; arguments and errors as ``box_iou_loss``.

    The weight alpha of the aspect ratio is held constant in the gradient, as in the paper and torchvision.
    """

    def loss(p: Tensor, t: Tensor) -> Tensor:
        iou, _ = _iou(p, t)
        v = (4 / math.pi**2) * (_angle(t) - _angle(p)) ** 2
        alpha = (v / (1 - iou + v + EPSILON)).detach()
        return 1 - iou + _apart(p, t) + alpha * v

    return _box_loss(prediction, target, reduction, loss)


def distribution_focal_loss(
    logits: Tensor, target: Tensor, *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Cross-entropy with the two whole numbers beside ``target`` (*n), from ``logits`` (*n, k), in nats.

    ``target`` is in [0, k - 1], in bins; k is 2 or more. "none" gives (*n). Raises ``ValueError`` for other
    shapes, dtypes not floating, and targets outside the bins.
    """
    check_floating(logits=logits, target=target)
    wide = logits.ndim >= 1 and logits.shape[-1] >= 2
    require(wide, "logits.shape", tuple(logits.shape), "(..., 2 or more bins)")
    shape, last = tuple(logits.shape[:-1]), logits.shape[-1] - 1
    require(target.shape == shape, "target.shape", tuple(target.shape), f"{shape}")
    inside = (target >= 0) & (target <= last)
    if not bool(inside.all()):
        raise ValueError(f"target holds {target[~inside][0].item()}; a distance is in [0, {last}], in bins")
    log_p = at_least_float32(logits).log_softmax(-1)
    y = target.to(log_p.dtype)
    below = y.detach().floor().clamp(max=last - 1)
    index = below.long().unsqueeze(-1)
    log_below, log_above = log_p.gather(-1, index).squeeze(-1), log_p.gather(-1, index + 1).squeeze(-1)
    return reduce_losses(-(below + 1 - y) * log_below - (y - below) * log_above, reduction)


def _box_loss(
    prediction: Tensor, target: Tensor, reduction: str, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    check_alike(prediction=prediction, target=target)
    four = prediction.ndim >= 1 and prediction.shape[-1] == 4
    require(four, "prediction.shape", tuple(prediction.shape), "(..., 4)")
    for name, boxes in (("prediction", prediction), ("target", target)):
        right = (boxes[..., 2:] >= boxes[..., :2]).all(-1)
        if not bool(right.all()):
            raise ValueError(
                f"{name} holds the box {boxes[~right][0].tolist()}; a box is (left, top, right, bottom) with "
                "left <= right and top <= bottom"
            )
    return reduce_losses(loss(at_least_float32(prediction), at_least_float32(target)), reduction)


def _iou(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and the union."""
    low, high = torch.maximum(p[..., :2], t[..., :2]), torch.minimum(p[..., 2:], t[..., 2:])
    shared = _area((high - low).clamp(min=0))
    union = _area(p[..., 2:] - p[..., :2]) + _area(t[..., 2:] - t[..., :2]) - shared
    return shared / (union + EPSILON), union


def _area(sides: Tensor) -> Tensor:
    return sides[..., 0] * sides[..., 1]


def _hull(p: Tensor, t: Tensor) -> Tensor:
    """Width and height of the smallest box around both."""
    return torch.maximum(p[..., 2:], t[..., 2:]) - torch.minimum(p[..., :2], t[..., :2])


def _apart(p: Tensor, t: Tensor) -> Tensor:
    """Squared distance of the centres, over the squared diagonal of the box around both."""
    between = (p[..., :2] + p[..., 2:] - t[..., :2] - t[..., 2:]) / 2
    return between.square().sum(-1) / (_hull(p, t).square().sum(-1) + EPSILON)


def _angle(boxes: Tensor) -> Tensor:
    """atan(width / height)."""
    wide, high = (boxes[..., 2:] - boxes[..., :2]).unbind(-1)
    return torch.atan2(wide, high.clamp(min=EPSILON))


def box_iou_loss_by_hand(p: Float[Tensor, "n 4"], t: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    return torch.stack([1 - _overlap_of_two(a, b)[0] for a, b in zip(p, t, strict=True)])


def generalized_box_iou_loss_by_hand(p: Float[Tensor, "n 4"], t: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    losses = []
    for a, b in zip(p, t, strict=True):
        iou, union = _overlap_of_two(a, b)
        wide, high = _hull_of_two(a, b)
        losses.append(1 - iou + (wide * high - union) / (wide * high + EPSILON))
    return torch.stack(losses)


def distance_box_iou_loss_by_hand(p: Float[Tensor, "n 4"], t: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    losses = []
    for a, b in zip(p, t, strict=True):
        wide, high = _hull_of_two(a, b)
        across, down = (a[0] + a[2]) / 2 - (b[0] + b[2]) / 2, (a[1] + a[3]) / 2 - (b[1] + b[3]) / 2
        distance = (across**2 + down**2) / (wide**2 + high**2 + EPSILON)
        losses.append(1 - _overlap_of_two(a, b)[0] + distance)
    return torch.stack(losses)


def complete_box_iou_loss_by_hand(p: Float[Tensor, "n 4"], t: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    losses = []
    for a, b, distance in zip(p, t, distance_box_iou_loss_by_hand(p, t), strict=True):
        angles = [torch.atan((x[2] - x[0]) / (x[3] - x[1])) for x in (a, b)]
        v = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
        alpha = v / (1 - _overlap_of_two(a, b)[0] + v + EPSILON)
        losses.append(distance + alpha.detach() * v)
    return torch.stack(losses)


def distribution_focal_loss_by_hand(
    logits: Float[Tensor, "n k"], target: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    losses = []
    for z, y in zip(logits, target, strict=True):
        probability = z.exp() / z.exp().sum()
        below = min(int(y), len(z) - 2)
        losses.append(
            -(below + 1 - y) * probability[below].log() - (y - below) * probability[below + 1].log()
        )
    return torch.stack(losses)


def _overlap_of_two(a: Float[Tensor, "4"], b: Float[Tensor, "4"]) -> tuple[Tensor, Tensor]:
    """IoU and union of two boxes."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = wide * high if wide > 0 and high > 0 else a.new_zeros(())
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / (union + EPSILON), union


def _hull_of_two(a: Float[Tensor, "4"], b: Float[Tensor, "4"]) -> tuple[Tensor, Tensor]:
    """Width and height of the smallest box around two."""
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    ours = torch.tensor([[0, 0, 4, 3], [1, 1, 3, 5], [0, 0, 1, 1]], dtype=torch.float64)
    theirs = torch.tensor([[1, 0.5, 5, 2.5], [0.5, 2, 6, 4], [2, 3, 5, 4.5]], dtype=torch.float64)
    for name, loss, by_hand in (
        ("IoU", box_iou_loss, box_iou_loss_by_hand),
        ("GIoU", generalized_box_iou_loss, generalized_box_iou_loss_by_hand),
        ("DIoU", distance_box_iou_loss, distance_box_iou_loss_by_hand),
    ):
        yield Twin(name, partial(loss, reduction="none"), by_hand, (ours, theirs))
    # Its alpha is held constant, so its gradient is not the slope of its value, on purpose.
    complete = partial(complete_box_iou_loss, reduction="none")
    yield Twin("CIoU", complete, complete_box_iou_loss_by_hand, (ours, theirs), gradients=False)
    dice = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, dtype=torch.float64, generator=dice)
    distance = torch.tensor([0.3, 1.5, 2.8, 3.9], dtype=torch.float64)
    focal = partial(distribution_focal_loss, reduction="none")
    yield Twin("distribution focal", focal, distribution_focal_loss_by_hand, (logits, distance))
