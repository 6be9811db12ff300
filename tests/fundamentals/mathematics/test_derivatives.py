"""Gradients and the check of gradients against torch.autograd and its own gradcheck."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.mathematics import derivatives, symbolic
from fathom.fundamentals.mathematics.derivatives import gradcheck, gradient, gradient_by_hand


class Doubled(torch.autograd.Function):
    """The square of x, with a slope of x in place of 2 x: a backward pass as people get it wrong."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return slopes[0] * ctx.saved_tensors[0]


def test_gradients_of_several_inputs_equal_torch() -> None:
    dice = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(s, generator=dice, dtype=torch.float64) for s in ((2, 3), (3, 2), (2,)))

    def function(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return ((a @ b).tanh() * c).sum() + b.square().mean()

    leaves = [x.clone().requires_grad_() for x in (a, b, c)]
    wanted = torch.autograd.grad(function(*leaves), leaves)
    torch.testing.assert_close(gradient(function, a, b, c), wanted, rtol=0, atol=1e-14)
    torch.testing.assert_close(gradient_by_hand(function, a, b, c), wanted, rtol=1e-8, atol=1e-9)
    strided = a.T  # its entries are not in a row in memory
    torch.testing.assert_close(gradient_by_hand(lambda x: (x * x).sum(), strided)[0], 2 * strided)


def test_inputs_that_are_ignored_have_zero_gradient() -> None:
    x, y = torch.ones(2, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert gradient(lambda x, y: x.sum(), x, y)[1].tolist() == [0]
    assert gradient(lambda x, y: torch.tensor(3.0), x, y)[0].tolist() == [0, 0]
    assert gradient_by_hand(lambda x, y: x[0], x, y)[0].tolist() == pytest.approx([1, 0])


def test_gradcheck_agrees_with_torch_on_the_thirty_functions() -> None:
    for name, (expression, low, high) in symbolic.examples().items():
        x = torch.linspace(low, high, 5, dtype=torch.float64)

        def function(x: Tensor, expression: symbolic.Expression = expression) -> Tensor:
            return symbolic.evaluate(expression, x=x)

        report = gradcheck(function, [x])
        assert report.passed and report.error < 1e-6, f"{name}: {report}"
        assert torch.autograd.gradcheck(function, [x.clone().requires_grad_()], fast_mode=True), name


def test_gradcheck_finds_a_wrong_backward_pass() -> None:
    x = torch.tensor([0.5, -3.0], dtype=torch.float64)
    report = gradcheck(Doubled.apply, [x])
    assert not report.passed and report.error == pytest.approx(0.5, abs=1e-6)
    assert report.place == "output 1 by input 0, entry 1"
    assert not torch.autograd.gradcheck(Doubled.apply, [x.requires_grad_()], raise_exception=False)


def test_gradcheck_finds_kinks_jumps_and_what_is_not_finite() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert not gradcheck(torch.relu, [zero]).passed
    assert not gradcheck(torch.sign, [zero]).passed
    assert math.isinf(gradcheck(lambda x: x / 0 * 0, [zero + 1]).error)
    assert gradcheck(torch.relu, [zero + 1]).passed and gradcheck(torch.relu, [zero - 1]).passed


def test_extremes() -> None:
    big = torch.tensor([1e4, -1e4, 0.0], dtype=torch.float64)
    assert gradcheck(lambda x: x.square().sum(), [big]).passed
    empty = torch.zeros(0, dtype=torch.float64)
    assert gradcheck(lambda x: x.sum(), [empty]) == derivatives.GradientReport(True, 0.0, "nowhere")
    assert gradient_by_hand(lambda x: x.sum(), empty)[0].shape == (0,)


def test_the_step_is_near_the_best() -> None:
    """A step a hundred times larger or smaller is worse: curvature on one side, rounding on the other."""
    x = torch.tensor([1.0], dtype=torch.float64)
    errors = [
        abs(float(gradient_by_hand(lambda x: x.exp().sum(), x, step=derivatives.STEP * f)[0]) - math.e)
        for f in (0.01, 1.0, 100.0)
    ]
    assert errors[1] < errors[0] and errors[1] < errors[2] and errors[1] < 1e-9


def test_bad_input_is_refused() -> None:
    single, double = torch.ones(2), torch.ones(2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"input 1 has dtype torch.float32; it must be torch.float64"):
        gradcheck(lambda a, b: a + b, [double, single])
    with pytest.raises(ValueError, match="input 0 holds NaN or infinity"):
        gradient(lambda x: x.sum(), double * math.nan)
    with pytest.raises(
        ValueError, match=r"function returned shape \(2,\); a gradient is that of a single number"
    ):
        gradient(lambda x: x, double)
    with pytest.raises(ValueError, match="function returned tuple; it must return one floating-point tensor"):
        gradcheck(lambda x: (x, x), [double])  # type: ignore[arg-type,return-value]
