"""The contract that every activation meets, as a fixture."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
HARD = [-1e4, -1e3, -88.0, -20.0, -3.0, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 1.0, 3.0, 20.0, 88.0, 1e3, 1e4]


def far(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to values above 1."""
    assert ours.shape == theirs.shape
    assert bool(torch.isfinite(ours).all()) and bool(torch.isfinite(theirs).all())
    gap = (ours.double() - theirs.double()).abs() / theirs.double().abs().clamp(min=1)
    return float(gap.max()) if gap.numel() else 0.0


def run(function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Value, and gradient for a cotangent that is different in each place."""
    x = x.clone().requires_grad_()
    y = function(x)
    weights = torch.linspace(0.5, 1.5, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
    (gradient,) = torch.autograd.grad(y, x, weights)
    return y.detach(), gradient


def meets_contract(
    ours: Function, by_hand: Function, oracle: Function, half: float = 16.0, own: float = 4.0
) -> None:
    """Value and gradient of ``ours`` and ``by_hand`` are those of ``oracle``, on all kinds of input.

    ``half``: how many roundings the by-hand version, which rounds at each step, may be off in half precision.
    ``own``: how many ours, where torch's kernel for some processor is further off than 4.
    """
    dice = torch.Generator().manual_seed(1)
    inputs = (
        torch.randn(40, 6, generator=dice, dtype=torch.float64) * 4,
        torch.tensor(HARD, dtype=torch.float64),
        torch.zeros(3, 2, dtype=torch.float64),
        torch.tensor([0.7], dtype=torch.float64),
        torch.tensor(-0.7, dtype=torch.float64),
        torch.zeros(0, dtype=torch.float64),
        torch.zeros(0, 4, dtype=torch.float64),
    )
    for x in inputs:
        true, slope = run(oracle, x)
        for function in (ours, by_hand):
            value, gradient = run(function, x)
            assert value.dtype == torch.float64
            assert far(value, true) <= 1e-12
            assert far(gradient, slope) <= 1e-12
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.tensor(HARD).to(dtype)
        true, slope = run(oracle, x.double())
        rounding = torch.finfo(dtype).eps
        for function, roundings in ((ours, own), (by_hand, half)):
            value, gradient = run(function, x)
            assert value.dtype == dtype
            assert far(value, true) <= roundings * rounding
            assert far(gradient, slope) <= roundings * rounding


@pytest.fixture
def contract() -> Callable[..., None]:
    return meets_contract


@pytest.fixture
def refuses_integers() -> Callable[..., None]:
    """A function that checks that whole numbers, truth values and complex numbers are refused by name."""

    def check(*functions: Function) -> None:
        for function in functions:
            for dtype in (torch.int64, torch.bool, torch.complex64):
                with pytest.raises(ValueError, match=f"x has dtype {dtype}; it must hold floating-point"):
                    function(torch.zeros(2, 4, dtype=dtype))

    return check
