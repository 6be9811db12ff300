"""Absolute error, Huber, smooth L1 and pinball against torch and scikit-learn."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.losses.absolute_error import (
    HuberLoss,
    PinballLoss,
    huber_loss,
    mean_absolute_error,
    pinball_loss,
    smooth_l1_loss,
)

EVERY = (mean_absolute_error, huber_loss, smooth_l1_loss, pinball_loss)


def gradient(loss: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), x, retain_graph=True)[0]


def test_equals_torch_in_value_and_gradient() -> None:
    for shape in ((1,), (7,), (2, 3, 4)):
        prediction = 2 * torch.randn(shape, dtype=torch.float64)
        prediction.requires_grad_()
        target, weight = torch.randn(shape, dtype=torch.float64), torch.rand(shape, dtype=torch.float64)
        for reduction in ("mean", "sum", "none"):
            pairs = [
                (partial(mean_absolute_error, weight=w), partial(F.l1_loss, weight=w)) for w in (None, weight)
            ]
            for size in (0.1, 1.0, 3.0):
                pairs += [
                    (partial(huber_loss, delta=size, weight=w), partial(F.huber_loss, delta=size, weight=w))
                    for w in (None, weight)
                ]
                pairs.append((partial(smooth_l1_loss, beta=size), partial(F.smooth_l1_loss, beta=size)))
            for ours, theirs in pairs:
                a = ours(prediction, target, reduction=reduction)
                b = theirs(prediction, target, reduction=reduction)
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
                torch.testing.assert_close(
                    gradient(a, prediction), gradient(b, prediction), rtol=1e-12, atol=1e-12
                )


@pytest.mark.slow
def test_pinball_equals_scikit_learn() -> None:
    from sklearn.metrics import mean_pinball_loss

    for case in range(50):
        prediction, target, weight = torch.rand(3, 20, dtype=torch.float64)
        q = (case + 1) / 51
        ours = pinball_loss(prediction, target, quantile=q, weight=weight).item()
        theirs = mean_pinball_loss(target, prediction, alpha=q, sample_weight=weight)
        assert ours == pytest.approx(theirs, rel=1e-12)
        ours = pinball_loss(prediction, target, quantile=q).item()
        assert ours == pytest.approx(mean_pinball_loss(target, prediction, alpha=q), rel=1e-12)


def test_the_best_constant_is_the_quantile() -> None:
    values = torch.arange(101, dtype=torch.float64)
    guesses = torch.arange(101, dtype=torch.float64)
    for q in (0.1, 0.5, 0.9):
        costs = torch.stack([pinball_loss(g.expand(101), values, quantile=q) for g in guesses])
        assert guesses[costs.argmin()] == torch.quantile(values, q, interpolation="nearest")


def test_several_quantiles_at_once() -> None:
    prediction, target = torch.randn(4, 2, 3), torch.randn(4, 2)
    levels = (0.1, 0.5, 0.9)
    together = pinball_loss(prediction, target, quantile=levels, reduction="none")
    for i, q in enumerate(levels):
        alone = pinball_loss(prediction[..., i], target, quantile=q, reduction="none")
        torch.testing.assert_close(together[..., i], alone)


def test_settings_as_values() -> None:
    p, t = torch.randn(2, 5)
    assert HuberLoss(delta=0.5, reduction="sum")(p, t) == huber_loss(p, t, delta=0.5, reduction="sum")
    assert PinballLoss(quantile=0.9)(p, t) == pinball_loss(p, t, quantile=0.9)
    assert HuberLoss(delta=0.5) == HuberLoss(delta=0.5) != HuberLoss()
    with pytest.raises(ValueError, match=r"delta is 0.0; it must be positive and finite"):
        HuberLoss(delta=0.0)


def test_extremes() -> None:
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    for loss, value in zip(EVERY, (1e4, 1e4 - 0.5, 1e4 - 0.5, 5e3), strict=True):
        found = loss(far, torch.zeros(2))
        assert found.item() == pytest.approx(value)
        assert gradient(found, far).isfinite().all()
        at_zero = torch.zeros(3, requires_grad=True)
        found = loss(at_zero, torch.zeros(3))
        assert found == 0 and gradient(found, at_zero).tolist() == [0, 0, 0]
        assert loss(torch.zeros(0, 2), torch.zeros(0, 2)) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    p, t = torch.randn(2, 4).to(dtype)
    for loss in EVERY:
        found = loss(p, t)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(p.float(), t.float()))


def test_bad_input_is_refused() -> None:
    column, row = torch.zeros(3, 1), torch.zeros(3)
    for loss in EVERY:
        with pytest.raises(
            ValueError, match=r"target.shape is \(3,\); it must be that of prediction, \(3, 1\)"
        ):
            loss(column, row)
        with pytest.raises(ValueError, match=r"target.dtype is torch.int64; it must be floating"):
            loss(row, row.long())
        with pytest.raises(ValueError, match=r"weight holds -1.0"):
            loss(row, row, weight=row - 1)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"delta is .*; it must be positive"):
            huber_loss(row, row, delta=bad)
        with pytest.raises(ValueError, match=r"beta is .*; it must be positive"):
            smooth_l1_loss(row, row, beta=bad)
    for q in (0.0, 1.0, -0.1, (0.5, 1.5)):
        with pytest.raises(ValueError, match=r"quantile is .*; it must be between 0 and 1"):
            pinball_loss(row, row, quantile=q)
    with pytest.raises(ValueError, match=r"prediction.shape is \(3,\); it must be \(3, 2\)"):
        pinball_loss(row, row, quantile=(0.1, 0.9))
