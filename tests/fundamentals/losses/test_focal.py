"""Focal loss against torchvision, and against cross-entropy at gamma 0."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fathom.fundamentals.losses.cross_entropy import binary_cross_entropy_with_logits, cross_entropy
from fathom.fundamentals.losses.focal import FocalLoss, sigmoid_focal_loss, softmax_focal_loss


def gradient(loss: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), x)[0]


@pytest.mark.slow
def test_equals_torchvision() -> None:
    from torchvision.ops import sigmoid_focal_loss as theirs

    dice = torch.Generator().manual_seed(0)
    for case in range(60):
        shape = ((7,), (3, 4), (2, 3, 2))[case % 3]
        z = 4 * torch.randn(shape, dtype=torch.float64, generator=dice)
        z.requires_grad_()
        y = torch.randint(2, shape, generator=dice).double()
        gamma, alpha = (0.0, 0.5, 1.0, 2.0, 5.0)[case % 5], (None, 0.25, 0.9, 1.0)[case % 4]
        reduction = ("mean", "sum", "none")[case % 3]
        a = sigmoid_focal_loss(z, y, alpha=alpha, gamma=gamma, reduction=reduction)
        b = theirs(z, y, -1 if alpha is None else alpha, gamma, reduction)
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradient(a, z), gradient(b, z), rtol=1e-12, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.booleans()), min_size=1, max_size=6))
def test_gamma_0_is_cross_entropy(cases: list[tuple[float, bool]]) -> None:
    z = torch.tensor([z for z, _ in cases], dtype=torch.float64)
    y = torch.tensor([y for _, y in cases])
    assert torch.equal(
        sigmoid_focal_loss(z, y, gamma=0.0, alpha=None), binary_cross_entropy_with_logits(z, y.double())
    )
    pair = torch.stack([z, -z], dim=1)
    torch.testing.assert_close(
        softmax_focal_loss(pair, y.long(), gamma=0.0), cross_entropy(pair, y.long()), rtol=1e-12, atol=1e-12
    )


def test_many_classes_with_weights_and_ignored_labels() -> None:
    dice = torch.Generator().manual_seed(0)
    z = torch.randn(4, 3, 5, dtype=torch.float64, generator=dice)
    label = torch.randint(3, (4, 5), generator=dice)
    label[1, 2] = label[3] = -100
    weight = torch.rand(3, dtype=torch.float64, generator=dice)
    ours = softmax_focal_loss(z, label, gamma=0.0, class_weight=weight)
    torch.testing.assert_close(ours, cross_entropy(z, label, class_weight=weight), rtol=1e-12, atol=1e-12)

    total, divisor = 0.0, 0.0
    for i in range(4):
        for j in range(5):
            c = int(label[i, j])
            if c >= 0:
                odds = [math.exp(z[i, k, j].item()) for k in range(3)]
                p = odds[c] / sum(odds)
                total -= weight[c].item() * (1 - p) ** 1.5 * math.log(p)
                divisor += weight[c].item()
    found = softmax_focal_loss(z, label, gamma=1.5, class_weight=weight).item()
    assert found == pytest.approx(total / divisor, rel=1e-12)
    assert softmax_focal_loss(z, label, reduction="none").shape == (4, 5)


def test_two_classes_are_one_yes_or_no() -> None:
    z, y = torch.randn(8, dtype=torch.float64), torch.randint(2, (8,))
    pair = torch.stack([torch.zeros_like(z), z], dim=1)
    ours = sigmoid_focal_loss(z, y, alpha=None, reduction="none")
    torch.testing.assert_close(softmax_focal_loss(pair, y, reduction="none"), ours, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_extremes_are_finite(gamma: float) -> None:
    """A power of 1 - p has no finite slope at 1 - p = 0 for gamma below 1."""
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([1e4, -1e4, 0.0, 1e4], dtype=dtype, requires_grad=True)
        loss = sigmoid_focal_loss(z, torch.tensor([1, 1, 0, 0]), gamma=gamma, alpha=None, reduction="none")
        assert loss.tolist() == pytest.approx([0, 1e4, math.log(2) / 2**gamma, 1e4])
        assert gradient(loss, z).isfinite().all()
        pair = torch.stack([z.detach(), -z.detach()], dim=1).requires_grad_()
        loss = softmax_focal_loss(pair, torch.tensor([0, 0, 1, 1]), gamma=gamma)
        assert loss.isfinite() and gradient(loss, pair).isfinite().all()
    assert sigmoid_focal_loss(torch.zeros(0), torch.zeros(0), gamma=gamma) == 0
    assert softmax_focal_loss(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), gamma=gamma) == 0
    assert softmax_focal_loss(torch.zeros(2, 2), torch.tensor([-100, -100]), gamma=gamma) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    z = torch.randn(4, 3).to(dtype)
    label, yes = torch.tensor([0, 1, 2, 2]), torch.randint(2, (4, 3))
    for loss, target in ((softmax_focal_loss, label), (sigmoid_focal_loss, yes)):
        found = loss(z, target)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(z.float(), target))


def test_settings_as_a_value() -> None:
    z, y = torch.randn(5), torch.randint(2, (5,))
    assert FocalLoss(alpha=0.5, gamma=1.0)(z, y) == sigmoid_focal_loss(z, y, alpha=0.5, gamma=1.0)
    with pytest.raises(ValueError, match=r"gamma is -1.0; it must be 0 or more"):
        FocalLoss(gamma=-1.0)


def test_bad_input_is_refused() -> None:
    z, y, label = torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"target holds 0.5; allowed are 0 and 1"):
        sigmoid_focal_loss(z, y + 0.5)
    with pytest.raises(ValueError, match=r"target.shape is \(3,\); it must be \(2, 3\)"):
        sigmoid_focal_loss(z, y[0])
    for alpha in (-1.0, 1.1):
        with pytest.raises(ValueError, match=r"alpha is .*; it must be in \[0, 1\], or None"):
            sigmoid_focal_loss(z, y, alpha=alpha)
    for gamma in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"gamma is .*; it must be 0 or more"):
            softmax_focal_loss(z, label, gamma=gamma)
    with pytest.raises(ValueError, match=r"logits.dtype is torch.int64"):
        sigmoid_focal_loss(z.long(), y)
    with pytest.raises(ValueError, match="target holds 3; allowed are the classes 0 to 2"):
        softmax_focal_loss(z, label + 2)
    with pytest.raises(ValueError, match=r"logits.shape is \(2, 1\)"):
        softmax_focal_loss(z[:, :1], label)
    with pytest.raises(ValueError, match=r"target.shape is \(2, 3\); it must be \(2,\)"):
        softmax_focal_loss(z, y.long())
    with pytest.raises(ValueError, match=r"class_weight holds -1.0"):
        softmax_focal_loss(z, label, class_weight=torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match=r"class_weight.shape is \(1,\); it must be \(3,\)"):
        softmax_focal_loss(z, label, class_weight=torch.ones(1))
