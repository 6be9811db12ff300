"""Dice, Tversky and Lovász losses against segmentation_models_pytorch, at extremes, and with bad input."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.losses.region_overlap import (
    TverskyLoss,
    dice_loss,
    lovasz_hinge_loss,
    lovasz_softmax_loss,
    tversky_loss,
)


def same(ours: Tensor, theirs: Tensor, z: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    a, b = (torch.autograd.grad(x, z)[0] for x in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_equals_segmentation_models_pytorch() -> None:
    from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss
    from segmentation_models_pytorch.losses import TverskyLoss as TheirTverskyLoss

    dice = torch.Generator().manual_seed(0)
    shape = (3, 4, 5, 6)
    for case, ignored in product(range(6), (None, 255)):
        z = 2 * torch.randn(shape, dtype=torch.float64, generator=dice)
        z.requires_grad_()
        label = torch.randint(3 if case % 2 else 4, (3, 5, 6), generator=dice)  # without class 3 at times
        yes = torch.randint(2, shape, generator=dice)
        if ignored is not None:
            label[torch.rand(label.shape, generator=dice) < 0.2] = ignored
            yes[torch.rand(yes.shape, generator=dice) < 0.2] = ignored
        weight = torch.rand(4, dtype=torch.float64, generator=dice) + 0.1
        smooth = (0.0, 1.0)[case % 2]
        settings: dict[str, Any] = {"ignore_index": ignored, "smooth": smooth}
        slant: dict[str, Any] = {"alpha": 0.3, "beta": 0.7}
        for mode, target in (("multiclass", label), ("multilabel", yes)):
            same(dice_loss(z, target, **settings), DiceLoss(mode, **settings)(z, target), z)
            theirs = DiceLoss(mode, class_weights=weight.tolist(), **settings)(z, target)
            same(dice_loss(z, target, class_weight=weight, **settings), theirs, z)
            theirs = TheirTverskyLoss(mode, **slant, **settings)(z, target)
            same(tversky_loss(z, target, **slant, **settings), theirs, z)
        one, truth = z[:, :1], yes[:, :1]
        same(dice_loss(one, truth, **settings), DiceLoss("binary", **settings)(one, truth), z)
        z = z.detach().float().requires_grad_()  # theirs knows float32 only
        one = z[:, :1]
        for per_image in (False, True):
            where: dict[str, Any] = {"per_image": per_image, "ignore_index": ignored}
            same(lovasz_hinge_loss(one, truth, **where), LovaszLoss("binary", **where)(one, truth), z)
            same(lovasz_softmax_loss(z, label, **where), LovaszLoss("multiclass", **where)(z, label), z)


def test_dice_is_tversky_at_one_half() -> None:
    z, label = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    assert dice_loss(z, label) == tversky_loss(z, label)
    assert TverskyLoss(alpha=0.2, beta=0.8)(z, label) == tversky_loss(z, label, alpha=0.2, beta=0.8)
    none = tversky_loss(z, label, reduction="none")
    assert none.shape == (3,) and none.mean() == tversky_loss(z, label)


def test_beta_makes_misses_dearer() -> None:
    truth = torch.tensor([[[1, 1, 0, 0]]])
    misses, false = torch.tensor([[[9.0, -9, -9, -9]]]), torch.tensor([[[9.0, 9, 9, -9]]])
    settings = {"alpha": 0.1, "beta": 0.9}
    assert tversky_loss(misses, truth, **settings) > 2 * tversky_loss(false, truth, **settings)


def test_hard_predictions_give_jaccard() -> None:
    """Where every pixel is right or wrong, the Lovász softmax loss is 1 - IoU of the present classes."""
    dice = torch.Generator().manual_seed(0)
    for _ in range(20):
        label, guess = torch.randint(3, (2, 1, 8, 8), generator=dice)
        logits = 1e4 * torch.nn.functional.one_hot(guess, 3).movedim(-1, 1).double()
        present = [c for c in range(3) if (label == c).any()]
        iou = [((label == c) & (guess == c)).sum() / ((label == c) | (guess == c)).sum() for c in present]
        assert lovasz_softmax_loss(logits, label).item() == pytest.approx(1 - float(sum(iou)) / len(iou))


def test_ignored_pixels_change_nothing() -> None:
    dice = torch.Generator().manual_seed(0)
    z, label = torch.randn(1, 3, 12, dtype=torch.float64, generator=dice), torch.arange(12).reshape(1, 12) % 3
    holes = torch.cat([label, torch.full((1, 5), -1)], dim=1)
    wide = torch.cat(
        [z, 9 * torch.randn(1, 3, 5, dtype=torch.float64, generator=dice)], dim=2
    ).requires_grad_()
    for loss in (dice_loss, tversky_loss, lovasz_softmax_loss):
        found = loss(wide, holes, ignore_index=-1)
        torch.testing.assert_close(found, loss(z, label))
        assert torch.autograd.grad(found, wide)[0][..., 12:].count_nonzero() == 0
    found = lovasz_hinge_loss(wide[:, 0], holes.clamp(max=1), ignore_index=-1)
    torch.testing.assert_close(found, lovasz_hinge_loss(z[:, 0], label.clamp(max=1)))
    assert torch.autograd.grad(found, wide)[0][..., 12:].count_nonzero() == 0


def test_extremes_are_finite() -> None:
    z = torch.tensor([[[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]]], requires_grad=True)
    right, wrong = torch.tensor([[0, 1, 0]]), torch.tensor([[1, 0, 0]])
    for loss in (dice_loss, tversky_loss, lovasz_softmax_loss):
        assert loss(z, right) < loss(z, wrong) <= 1
        assert torch.autograd.grad(loss(z, wrong), z)[0].isfinite().all()
    loss = lovasz_hinge_loss(z[:, 0], wrong)
    assert loss.isfinite() and torch.autograd.grad(loss, z)[0].isfinite().all()
    assert lovasz_hinge_loss(z[:, 0, :2], torch.tensor([[1, 0]])) == 0


def test_nothing_to_score_is_zero() -> None:
    """No true pixel, every pixel ignored, an empty batch, pictures without pixels."""
    z = torch.randn(2, 3, 4, requires_grad=True)
    empty, label = torch.zeros(0, 3, 4, requires_grad=True), torch.zeros(0, 4, dtype=torch.long)
    ignored = torch.full((2, 4), -1)
    for per_image in (False, True):
        for loss in (
            lovasz_softmax_loss(empty, label, per_image=per_image),
            lovasz_hinge_loss(empty[:, 0], label, per_image=per_image),
            lovasz_softmax_loss(z, ignored, per_image=per_image, ignore_index=-1),
            lovasz_hinge_loss(z[:, 0], ignored, per_image=per_image, ignore_index=-1),
            lovasz_softmax_loss(z[..., :0], ignored[:, :0], per_image=per_image),
        ):
            assert loss == 0
            loss.backward()
    assert z.grad is not None and z.grad.count_nonzero() == 0
    assert dice_loss(empty, label) == 0
    assert dice_loss(z, ignored, ignore_index=-1) == 0
    assert dice_loss(z, torch.zeros(2, 3, 4)) == 0  # yes or no, and never yes


def test_other_ranks() -> None:
    assert lovasz_hinge_loss(torch.tensor([2.0, -2.0]), torch.tensor([True, False]), per_image=True) == 0
    assert lovasz_softmax_loss(torch.eye(3), torch.arange(3)).isfinite()
    assert dice_loss(torch.randn(2, 3), torch.tensor([0, 2])).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    z, label = torch.randn(2, 3, 4).to(dtype), torch.randint(3, (2, 4))
    for loss in (dice_loss, tversky_loss, lovasz_softmax_loss):
        found = loss(z, label)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(z.float(), label))
    yes = label.clamp(max=1)
    torch.testing.assert_close(lovasz_hinge_loss(z[:, 0], yes), lovasz_hinge_loss(z[:, 0].float(), yes))


def test_bad_input_is_refused() -> None:
    z, label = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.long)
    for loss in (dice_loss, tversky_loss, lovasz_softmax_loss):
        with pytest.raises(ValueError, match=r"target holds 3; allowed are the classes 0 to 2$"):
            loss(z, label + 3)
        with pytest.raises(ValueError, match="allowed are the classes 0 to 2, and ignore_index 255"):
            loss(z, label - 1, ignore_index=255)
        with pytest.raises(ValueError, match=r"target.shape is \(2, 3\); it must be \(2, 4\) for labels"):
            loss(z, label[:, :3])
        with pytest.raises(ValueError, match=r"target.dtype is torch.float32; it must be an integer type"):
            loss(z, label.float())
        with pytest.raises(ValueError, match=r"logits.dtype is torch.int64"):
            loss(z.long(), label)
        with pytest.raises(ValueError, match=r"logits.shape is \(4,\)"):
            loss(z[0, 0], label)
    with pytest.raises(ValueError, match=r"target holds 0.5; allowed are 0 and 1$"):
        dice_loss(z, z + 0.5)
    with pytest.raises(ValueError, match="target holds 2; allowed are 0 and 1, and ignore_index 255"):
        lovasz_hinge_loss(z[:, 0], label + 2, ignore_index=255)
    with pytest.raises(ValueError, match=r"target.shape is \(4,\); it must be \(2, 4\)"):
        lovasz_hinge_loss(z[:, 0], label[0])
    for name in ("alpha", "beta", "smooth"):
        with pytest.raises(ValueError, match=f"{name} is -1.0; it must be 0 or more"):
            tversky_loss(z, label, **{name: -1.0})
        with pytest.raises(ValueError, match=f"{name} is inf; it must be 0 or more, and finite"):
            TverskyLoss(**{name: float("inf")})
    with pytest.raises(ValueError, match=r"weight holds -1.0"):
        dice_loss(z, label, class_weight=torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match=r"class_weight.shape is \(1,\); it must be \(3,\)"):
        dice_loss(z, label, class_weight=torch.ones(1))
