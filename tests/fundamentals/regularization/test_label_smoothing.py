"""Label smoothing against torch and timm, values and gradients."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.regularization.label_smoothing import label_smoothing_cross_entropy, smooth_labels


def case(count: int = 17, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, classes, generator=dice, dtype=torch.float64)
    return logits.requires_grad_(), torch.randint(classes, (count,), generator=dice)


@pytest.mark.slow
def test_equals_timm() -> None:
    from timm.loss import LabelSmoothingCrossEntropy

    logits, target = case()
    for smoothing in (0.0, 0.1, 0.5):
        ours = label_smoothing_cross_entropy(logits, target, smoothing)
        theirs = LabelSmoothingCrossEntropy(smoothing)(logits, target)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        slopes = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


def test_is_the_cross_entropy_to_the_smoothed_labels() -> None:
    logits, target = case()
    soft = smooth_labels(target, 5, 0.2)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(17))
    assert torch.equal(soft.argmax(dim=1), target)
    ours = label_smoothing_cross_entropy(logits, target, 0.2)
    torch.testing.assert_close(ours, F.cross_entropy(logits, soft.double()), rtol=1e-7, atol=1e-7)


def test_the_best_logits_stand_as_far_apart_as_the_docstring_says() -> None:
    classes, smoothing = 4, 0.1
    apart = math.log((1 - smoothing) * classes / smoothing + 1)
    logits = torch.zeros(1, classes, dtype=torch.float64)
    logits[0, 2] = apart
    logits.requires_grad_()
    loss = label_smoothing_cross_entropy(logits, torch.tensor([2]), smoothing)
    assert torch.autograd.grad(loss, logits)[0].abs().max().item() < 1e-15


def test_extremes_and_half_precision() -> None:
    target = torch.tensor([0, 2])
    for logits in (torch.full((2, 3), 1e4), torch.tensor([[1e4, -1e4, 0.0]] * 2), torch.zeros(2, 3)):
        assert label_smoothing_cross_entropy(logits, target).isfinite()
    assert label_smoothing_cross_entropy(torch.zeros(1, 1), torch.tensor([0])).item() == 0
    assert smooth_labels(torch.zeros(0, dtype=torch.int64), 3).shape == (0, 3)
    full = label_smoothing_cross_entropy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]))
    for dtype in (torch.float16, torch.bfloat16):
        half = label_smoothing_cross_entropy(torch.tensor([[1.0, 2.0, 3.0]], dtype=dtype), torch.tensor([1]))
        assert half.dtype == dtype and half.item() == pytest.approx(full.item(), rel=2e-2)


BAD: list[tuple[Any, str]] = [
    (lambda x, t: label_smoothing_cross_entropy(x, t, 1.5), r"smoothing is 1.5; it must be in \[0, 1\]"),
    (lambda x, t: label_smoothing_cross_entropy(x, t, float("nan")), "smoothing is nan"),
    (lambda x, t: label_smoothing_cross_entropy(x, t + 4), r"target holds \d to \d; it must be in \[0, 5\)"),
    (lambda x, t: label_smoothing_cross_entropy(x, t - 1), r"target holds -1 to"),
    (lambda x, t: label_smoothing_cross_entropy(x, t.double()), "target is torch.float64"),
    (lambda x, t: label_smoothing_cross_entropy(x.long(), t), "logits are torch.int64"),
    (lambda x, t: label_smoothing_cross_entropy(x[:0], t[:0]), "logits hold no example"),
    (lambda x, t: smooth_labels(t, 0), "classes is 0; it must be 1 or more"),
    (lambda x, t: smooth_labels(t, 2), r"it must be in \[0, 2\)"),
]


@pytest.mark.parametrize(("call", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_refused(call: Any, said: str) -> None:
    logits, target = case()
    with pytest.raises(ValueError, match=said):
        call(logits.detach(), target)
