"""Box losses against torchvision on 1,000 random pairs; distribution focal loss against transformers'."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.losses.box_overlap import (
    box_iou_loss,
    complete_box_iou_loss,
    distance_box_iou_loss,
    distribution_focal_loss,
    generalized_box_iou_loss,
)

FOUR = (box_iou_loss, generalized_box_iou_loss, distance_box_iou_loss, complete_box_iou_loss)


def random_boxes(count: int, dice: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    corner = 50 * torch.rand(count, 2, dtype=dtype, generator=dice)
    return torch.cat([corner, corner + 1 + 40 * torch.rand(count, 2, dtype=dtype, generator=dice)], dim=1)


@pytest.mark.slow
def test_1000_pairs_equal_torchvision() -> None:
    from torchvision import ops

    def iou(p: Tensor, t: Tensor, reduction: str) -> Tensor:
        losses = 1 - torch.stack([ops.box_iou(a[None], b[None])[0, 0] for a, b in zip(p, t, strict=True)])
        return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]

    peers = (
        iou,
        ops.generalized_box_iou_loss,
        ops.distance_box_iou_loss,
        ops.complete_box_iou_loss,
    )
    dice = torch.Generator().manual_seed(0)
    worst = 0.0
    for dtype, limit in ((torch.float64, 1e-6), (torch.float32, 1e-5)):
        p, t = random_boxes(1000, dice, dtype).requires_grad_(), random_boxes(1000, dice, dtype)
        for ours, theirs in zip(FOUR, peers, strict=True):
            for reduction in ("none", "mean"):
                a, b = ours(p, t, reduction=reduction), theirs(p, t, reduction=reduction)
                assert (a - b).abs().max() <= limit
                slopes = [torch.autograd.grad(x.sum(), p)[0] for x in (a, b)]
                assert (slopes[0] - slopes[1]).abs().max() <= limit
                if dtype == torch.float64:
                    worst = max(worst, float((a - b).detach().abs().max()))
    assert worst < 1e-8


def test_known_boxes() -> None:
    unit = torch.tensor([0.0, 0.0, 1.0, 1.0])
    for loss in FOUR:
        assert loss(unit, unit).item() == pytest.approx(0, abs=1e-6)
    half, apart = torch.tensor([0.0, 0.0, 1.0, 0.5]), torch.tensor([2.0, 0.0, 3.0, 1.0])
    assert box_iou_loss(unit, half).item() == pytest.approx(0.5)
    assert box_iou_loss(unit, apart).item() == 1
    assert generalized_box_iou_loss(unit, apart).item() == pytest.approx(1 + 1 / 3)
    assert distance_box_iou_loss(unit, apart).item() == pytest.approx(1 + 4 / 10)
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    expected = 0.5 + 0.25**2 / 2 + v * v / (0.5 + v)
    assert complete_box_iou_loss(unit, half).item() == pytest.approx(expected, abs=1e-6)


def test_boxes_that_do_not_touch_have_a_gradient_but_for_iou() -> None:
    for loss in FOUR:
        p = torch.tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
        (slope,) = torch.autograd.grad(loss(p, torch.tensor([[5.0, 5.0, 6.0, 6.0]])), p)
        assert bool(slope.any()) == (loss is not box_iou_loss)


@pytest.mark.parametrize("loss", FOUR)
def test_scale_changes_nothing(loss: Callable[..., Tensor]) -> None:
    dice = torch.Generator().manual_seed(0)
    p, t = random_boxes(50, dice), random_boxes(50, dice)
    torch.testing.assert_close(loss(p, t), loss(100 * p, 100 * t), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(loss(p, t), loss(t, p))
    assert loss(p.reshape(5, 10, 4), t.reshape(5, 10, 4), reduction="none").shape == (5, 10)


@pytest.mark.parametrize("loss", FOUR)
def test_extremes_are_finite(loss: Callable[..., Tensor]) -> None:
    """Points, lines, far and huge boxes; two empty boxes at one place share nothing."""
    p = torch.tensor(
        [[1, 1, 1, 1], [1, 1, 5, 1], [1, 1, 1, 5], [-1e4, -1e4, 1e4, 1e4], [-1e4, 0, -1e4, 1]],
        requires_grad=True,
    )
    t = torch.tensor([[1, 1, 1, 1], [1, 1, 5, 1], [2, 2, 2, 2], [0, 0, 1, 1], [1e4, 0, 1e4, 1]])
    found = loss(p, t, reduction="none")
    assert found.isfinite().all() and found[0] == 1
    assert torch.autograd.grad(found.sum(), p)[0].isfinite().all()
    assert loss(torch.zeros(0, 4), torch.zeros(0, 4)) == 0
    assert loss(torch.zeros(0, 4), torch.zeros(0, 4), reduction="none").shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    dice = torch.Generator().manual_seed(0)
    p, t = (10 * random_boxes(4, dice).to(dtype) for _ in range(2))  # areas do not fit into float16
    for loss in FOUR:
        found = loss(p, t)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(p.float(), t.float()))
    logits, y = torch.randn(4, 5).to(dtype), torch.tensor([0.5, 1.25, 3.5, 4.0], dtype=dtype)
    torch.testing.assert_close(
        distribution_focal_loss(logits, y), distribution_focal_loss(logits.float(), y.float())
    )


def test_distribution_focal_loss_equals_a_loop() -> None:
    dice = torch.Generator().manual_seed(0)
    for bins in (2, 3, 17):
        logits = 3 * torch.randn(1000, bins, dtype=torch.float64, generator=dice)
        y = (bins - 1) * torch.rand(1000, dtype=torch.float64, generator=dice)
        y[:bins] = torch.arange(bins)  # whole numbers, the last bin too
        found = distribution_focal_loss(logits, y, reduction="none").tolist()
        for z, target, loss in zip(logits.tolist(), y.tolist(), found, strict=True):
            whole = math.log(sum(math.exp(v) for v in z))
            slow = 0.0
            for i, v in enumerate(z):
                slow += max(0.0, 1 - abs(target - i)) * (whole - v)  # its two neighbours share 1
            assert loss == pytest.approx(slow, abs=1e-12, rel=1e-12)
    assert distribution_focal_loss(torch.zeros(0, 3), torch.zeros(0)) == 0
    z = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = distribution_focal_loss(z, torch.tensor([0.5]))
    assert loss == 1e4 and torch.autograd.grad(loss, z)[0].isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("bins", [2, 17, 33])
def test_distribution_focal_loss_equals_that_of_d_fine(bins: int) -> None:
    """Theirs gives both neighbours their cross-entropy; their shares are the argument of equation 6."""
    from transformers.loss.loss_d_fine import DFineLoss

    dice = torch.Generator().manual_seed(bins)
    logits = (3 * torch.randn(1000, bins, dtype=torch.float64, generator=dice)).requires_grad_()
    y = (bins - 1) * torch.rand(1000, dtype=torch.float64, generator=dice)
    y[: bins - 1] = torch.arange(bins - 1)  # whole numbers; at the last bin theirs has no right neighbour
    right = y - y.floor()
    theirs = DFineLoss.unimodal_distribution_focal_loss(
        None, logits, y, weight_right=right, weight_left=1 - right, reduction="none"
    )  # fmt: skip
    ours = distribution_focal_loss(logits, y, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-12)


def test_the_expected_distance_is_where_the_loss_is_least() -> None:
    """With probability on the two neighbours in the right shares, the mean of the bins is the target."""
    logits = torch.tensor([[1e-30, 0.7, 0.3, 1e-30]]).log().requires_grad_()
    (slope,) = torch.autograd.grad(distribution_focal_loss(logits, torch.tensor([1.3])), logits)
    assert slope.abs().max() < 1e-6
    assert (logits.softmax(1) @ torch.arange(4.0)).item() == pytest.approx(1.3)


def test_bad_boxes_are_refused() -> None:
    good = torch.tensor([[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 3.0, 3.0]])
    wide, tall, lost = good.clone(), good.clone(), good.clone()
    wide[1, 2], tall[1, 3], lost[1, 0] = 1.5, 1.5, math.nan
    for loss in FOUR:
        for bad in (wide, tall, lost):
            with pytest.raises(
                ValueError, match=r"prediction holds the box \[.*; a box is \(left, top, right,"
            ):
                loss(bad, good)
            with pytest.raises(ValueError, match=r"target holds the box \[.*left <= right and top <= bottom"):
                loss(good, bad)
        with pytest.raises(
            ValueError, match=r"target.shape is \(1, 4\); it must be that of prediction, \(2, 4\)"
        ):
            loss(good, good[:1])
        with pytest.raises(ValueError, match=r"prediction.shape is \(2, 3\); it must be \(..., 4\)"):
            loss(good[:, :3], good[:, :3])
        with pytest.raises(ValueError, match=r"prediction.dtype is torch.int64"):
            loss(good.long(), good)


def test_bad_distances_are_refused() -> None:
    logits = torch.zeros(2, 5)
    for y in ([0.0, 4.1], [-0.1, 1.0], [math.nan, 1.0]):
        with pytest.raises(ValueError, match=r"target holds .*; a distance is in \[0, 4\], in bins"):
            distribution_focal_loss(logits, torch.tensor(y))
    with pytest.raises(ValueError, match=r"target.shape is \(3,\); it must be \(2,\)"):
        distribution_focal_loss(logits, torch.zeros(3))
    with pytest.raises(ValueError, match=r"logits.shape is \(2, 1\); it must be \(..., 2 or more bins\)"):
        distribution_focal_loss(logits[:, :1], torch.zeros(2))
    with pytest.raises(ValueError, match=r"target.dtype is torch.int64"):
        distribution_focal_loss(logits, torch.zeros(2, dtype=torch.long))
