"""Cross-entropy, binary and categorical, against torch with every setting; extremes and bad input."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.losses.cross_entropy import binary_cross_entropy_with_logits, cross_entropy


def same(ours: Tensor, theirs: Tensor, *leaves: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for leaf in leaves:
        a, b = (torch.autograd.grad(x.sum(), leaf, retain_graph=True)[0] for x in (ours, theirs))
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_categorical_equals_torch() -> None:
    dice = torch.Generator().manual_seed(0)
    for space in ((), (4,), (2, 3)):
        logits = torch.randn(5, 3, *space, dtype=torch.float64, generator=dice, requires_grad=True)
        label = torch.randint(3, (5, *space), generator=dice)
        label[0] = -100
        soft = torch.rand(5, 3, *space, dtype=torch.float64, generator=dice)
        soft = (soft / soft.sum(1, keepdim=True)).requires_grad_()
        weight = torch.rand(3, dtype=torch.float64, generator=dice)
        for w in (None, weight):
            for smoothing in (0.0, 0.1, 0.9):
                for reduction in ("mean", "sum", "none"):
                    common: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
                    ours = cross_entropy(logits, label, class_weight=w, **common)
                    same(ours, F.cross_entropy(logits, label, w, **common), logits)
                    ours = cross_entropy(logits, soft, class_weight=w, **common)
                    same(ours, F.cross_entropy(logits, soft, w, **common), logits, soft)
        ours = cross_entropy(logits, label.where(label >= 0, 1), ignore_index=1)
        same(ours, F.cross_entropy(logits, label.where(label >= 0, 1), ignore_index=1), logits)


def test_labels_of_any_integer_type() -> None:
    logits = torch.randn(3, 4)
    for dtype in (torch.uint8, torch.int32):
        label = torch.tensor([0, 3, 2], dtype=dtype)
        torch.testing.assert_close(cross_entropy(logits, label), F.cross_entropy(logits, label.long()))


def test_binary_equals_torch() -> None:
    dice = torch.Generator().manual_seed(0)
    for shape in ((6,), (4, 3), (2, 3, 2)):
        logits = 3 * torch.randn(shape, dtype=torch.float64, generator=dice)
        logits.requires_grad_()
        target = torch.rand(shape, dtype=torch.float64, generator=dice).requires_grad_()
        weight = torch.rand(shape[-1], dtype=torch.float64, generator=dice)
        for w in (None, weight):
            for p in (None, 5 * weight):
                for reduction in ("mean", "sum", "none"):
                    ours = binary_cross_entropy_with_logits(
                        logits, target, weight=w, pos_weight=p, reduction=reduction
                    )
                    theirs = F.binary_cross_entropy_with_logits(
                        logits, target, w, pos_weight=p, reduction=reduction
                    )
                    same(ours, theirs, logits, target)


def test_two_classes_are_one_yes_or_no() -> None:
    z, y = torch.randn(8, dtype=torch.float64), torch.randint(2, (8,))
    pair = torch.stack([torch.zeros_like(z), z], dim=1)
    torch.testing.assert_close(cross_entropy(pair, y), binary_cross_entropy_with_logits(z, y.double()))


def test_extremes_are_finite() -> None:
    z = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], requires_grad=True)
    for smoothing, value in ((0.0, 1e4), (0.3, None)):
        loss = cross_entropy(z, torch.tensor([1, 1]), label_smoothing=smoothing)
        assert value is None or loss == value
        assert loss.isfinite() and torch.autograd.grad(loss, z)[0].isfinite().all()
    target = torch.tensor([[0.0, 1.0, 0.5], [0.0, 1.0, 0.5]])
    loss = binary_cross_entropy_with_logits(z, target, reduction="none")
    assert loss[0].tolist() == pytest.approx([1e4, 1e4, math.log(2)]) and loss[1].tolist()[:2] == [0, 0]
    assert torch.autograd.grad(loss.sum(), z)[0].isfinite().all()
    assert cross_entropy(torch.zeros(1, 7), torch.tensor([3])).item() == pytest.approx(math.log(7))
    assert cross_entropy(torch.zeros(1, 1), torch.tensor([0])) == 0


def test_nothing_to_learn_is_zero() -> None:
    """The mean of torch is NaN here."""
    logits = torch.randn(2, 3, requires_grad=True)
    ignored = torch.full((2,), -100)
    assert F.cross_entropy(logits, ignored).isnan()
    for loss in (
        cross_entropy(logits, ignored),
        cross_entropy(logits, ignored, class_weight=torch.ones(3), label_smoothing=0.1),
        cross_entropy(logits, torch.tensor([1, 1]), class_weight=torch.tensor([1.0, 0.0, 1.0])),
    ):
        assert loss == 0
        assert torch.autograd.grad(loss, logits)[0].count_nonzero() == 0
    assert cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0
    assert cross_entropy(torch.zeros(0, 3), torch.zeros(0, 3)) == 0
    assert binary_cross_entropy_with_logits(torch.zeros(0), torch.zeros(0)) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    z = torch.randn(3, 4).to(dtype).requires_grad_()
    soft = torch.randn(3, 4).softmax(1).to(dtype)
    weight = torch.rand(4).to(dtype)
    for loss, target in (
        (cross_entropy, torch.tensor([0, 1, 3])),
        (cross_entropy, soft),
        (binary_cross_entropy_with_logits, soft),
    ):
        name = "class_weight" if loss is cross_entropy else "pos_weight"
        found = loss(z, target, **{name: weight})
        full = target.float() if target.is_floating_point() else target
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(z.float(), full, **{name: weight.float()}))
        assert torch.autograd.grad(found, z)[0].dtype == dtype


LABEL = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("logits", "target", "settings", "message"),
    [
        (
            (2, 3),
            torch.tensor([0, 3]),
            {},
            "target holds 3; allowed are the classes 0 to 2, and ignore_index",
        ),
        ((2, 3), torch.tensor([0, -1]), {}, "target holds -1"),
        ((2, 3), torch.tensor([[0.5, 0.5, 0.5], [1, 0, 0]]), {}, "target sums to 1.5 along axis 1"),
        (
            (2, 3),
            torch.tensor([[1.5, -0.5, 0], [1, 0, 0]]),
            {},
            "target holds -0.5; a probability is 0 or more",
        ),
        ((2, 3), torch.tensor([[True] * 3] * 2), {}, r"target.shape is \(2, 3\); it must be \(2,\)"),
        ((2, 3), torch.tensor([True, False]), {}, "target.dtype is torch.bool"),
        ((2, 3), torch.ones(2, 2) / 2, {}, r"target.shape is \(2, 2\); it must be that of logits, \(2, 3\)"),
        ((2, 3, 4), LABEL, {}, r"target.shape is \(2,\); it must be \(2, 4\)"),
        ((2,), LABEL, {}, r"logits.shape is \(2,\); it must be \(batch, classes, ...\)"),
        ((2, 0), LABEL, {}, r"logits.shape is \(2, 0\); it must be of one class or more"),
        ((2, 3), LABEL, {"class_weight": torch.tensor([1.0, -1, 1])}, "class_weight holds -1.0"),
        ((2, 3), LABEL, {"class_weight": torch.ones(2)}, r"class_weight.shape is \(2,\); it must be \(3,\)"),
        ((2, 3), LABEL, {"label_smoothing": 1.0}, r"label_smoothing is 1.0; it must be in \[0, 1\)"),
        ((2, 3), LABEL, {"label_smoothing": -0.1}, "label_smoothing is -0.1"),
        ((2, 3), LABEL, {"reduction": "avg"}, "reduction is 'avg'"),
        ((2, 3), torch.ones(2, 3) / 3, {"ignore_index": 0}, "ignore_index is 0; it must be left out"),
    ],
)
def test_bad_input_is_refused(
    logits: tuple[int, ...], target: Tensor, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cross_entropy(torch.zeros(logits), target, **settings)


def test_bad_binary_input_is_refused() -> None:
    z, y = torch.zeros(2, 3), torch.ones(2, 3)
    with pytest.raises(
        ValueError, match=r"target holds values from 0.0 to 2.0; a probability is in \[0, 1\]"
    ):
        binary_cross_entropy_with_logits(z, torch.tensor([[0, 1, 2], [0, 1, 1]]).float())
    with pytest.raises(ValueError, match=r"target.shape is \(3,\); it must be that of logits, \(2, 3\)"):
        binary_cross_entropy_with_logits(z, y[0])
    with pytest.raises(ValueError, match=r"target.dtype is torch.int64"):
        binary_cross_entropy_with_logits(z, y.long())
    for name in ("weight", "pos_weight"):
        with pytest.raises(ValueError, match=f"{name} holds -1.0; every weight must be finite"):
            binary_cross_entropy_with_logits(z, y, **{name: -y})
        with pytest.raises(ValueError, match=rf"{name}.shape is \(2,\)"):
            binary_cross_entropy_with_logits(z, y, **{name: torch.ones(2)})
    with pytest.raises(ValueError, match=r"logits.dtype is torch.int64"):
        cross_entropy(z.long(), LABEL)
