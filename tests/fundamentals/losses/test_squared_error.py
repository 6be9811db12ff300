"""Squared error against torch and scikit-learn, at extremes, in half precision, and with bad input."""

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.losses.squared_error import mean_squared_error, root_mean_squared_error


def test_equals_torch_in_value_and_gradient() -> None:
    for shape in ((1,), (5,), (2, 3), (2, 3, 4)):
        prediction = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        target = torch.randn(shape, dtype=torch.float64)
        weight = torch.rand(shape, dtype=torch.float64)
        for reduction in ("mean", "sum", "none"):
            for w in (None, weight):
                ours = mean_squared_error(prediction, target, weight=w, reduction=reduction)
                theirs = F.mse_loss(prediction, target, reduction=reduction, weight=w)
                torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
                grads = [
                    torch.autograd.grad(x.sum(), prediction, retain_graph=True)[0] for x in (ours, theirs)
                ]
                torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_root_equals_scikit_learn() -> None:
    from sklearn.metrics import root_mean_squared_error as theirs

    prediction, target, weight = torch.rand(3, 50, dtype=torch.float64)
    found = root_mean_squared_error(prediction, target, weight=weight).item()
    assert found == pytest.approx(theirs(target, prediction, sample_weight=weight), rel=1e-12)


def test_a_perfect_fit_has_no_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    loss = root_mean_squared_error(x, torch.ones(3))
    assert loss == 0
    assert torch.autograd.grad(loss, x)[0].tolist() == [0, 0, 0]


def test_extremes() -> None:
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    assert mean_squared_error(far, -far.detach()).item() == pytest.approx(4e8)
    assert root_mean_squared_error(far, -far.detach()).item() == pytest.approx(2e4)
    empty = torch.zeros(0, 2, requires_grad=True)
    for loss in (mean_squared_error, root_mean_squared_error):
        assert loss(empty, torch.zeros(0, 2)) == 0
        assert torch.autograd.grad(loss(empty, torch.zeros(0, 2)), empty)[0].shape == (0, 2)
    assert root_mean_squared_error(torch.tensor([torch.nan]), torch.zeros(1)).isnan()  # not hidden


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype: torch.dtype) -> None:
    prediction = torch.tensor([1e4, 2.0], dtype=dtype, requires_grad=True)
    target = torch.zeros(2, dtype=dtype)
    loss = mean_squared_error(prediction, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((prediction[0].item() ** 2 + 4) / 2)
    gradient = torch.autograd.grad(loss, prediction)[0]
    assert gradient.dtype == dtype and gradient[1] == 2
    assert root_mean_squared_error(prediction, target).item() == pytest.approx(loss.item() ** 0.5)


def test_bad_input_is_refused() -> None:
    column, row = torch.zeros(3, 1), torch.zeros(3)
    for loss in (mean_squared_error, root_mean_squared_error):
        with pytest.raises(
            ValueError, match=r"target.shape is \(3,\); it must be that of prediction, \(3, 1\)"
        ):
            loss(column, row)
        with pytest.raises(ValueError, match=r"target.dtype is torch.int64; it must be floating"):
            loss(row, row.long())
        with pytest.raises(ValueError, match=r"prediction.dtype is torch.int64"):
            loss(row.long(), row)
        with pytest.raises(ValueError, match=r"weight holds -1.0"):
            loss(row, row, weight=row - 1)
    with pytest.raises(ValueError, match="reduction is 'median'"):
        mean_squared_error(row, row, reduction="median")
