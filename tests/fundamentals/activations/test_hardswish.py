"""Hardswish and hardsigmoid against torch and timm, and at the corners."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.activations.hardswish import (
    hardsigmoid,
    hardsigmoid_by_hand,
    hardswish,
    hardswish_by_hand,
)


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(hardswish, hardswish_by_hand, F.hardswish)
    # Not F.hardsigmoid, whose slope in float64 has only the digits of float32.
    contract(hardsigmoid, hardsigmoid_by_hand, lambda x: F.hardtanh(x / 6 + 0.5, 0, 1))
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    assert torch.allclose(hardsigmoid(x), F.hardsigmoid(x), rtol=0, atol=1e-15)
    assert torch.equal(hardsigmoid(x.float()), F.hardsigmoid(x.float()))


def test_slopes_at_the_corners_are_those_of_the_outer_sides() -> None:
    x = torch.tensor([-3.0, 3.0], dtype=torch.float64, requires_grad=True)
    for function, slopes in (
        (hardswish, [0, 1]), (hardswish_by_hand, [0, 1]), (hardsigmoid, [0, 0]), (hardsigmoid_by_hand, [0, 0])
    ):  # fmt: skip
        (slope,) = torch.autograd.grad(function(x).sum(), x)
        assert slope.tolist() == slopes


def test_it_is_flat_then_bent_then_straight_and_near_swish() -> None:
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    y = hardswish(x)
    assert bool((y[x <= -3] == 0).all())
    assert torch.allclose(y[x >= 3], x[x >= 3], rtol=1e-15)
    assert float((y - F.silu(x)).abs().max()) < 0.15


def test_other_numbers_are_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(hardswish, hardsigmoid)


@pytest.mark.slow
def test_values_are_timms() -> None:
    from timm.layers.activations import hard_sigmoid, hard_swish

    x = torch.linspace(-6, 6, 1201, dtype=torch.float64)
    assert torch.allclose(hardswish(x), hard_swish(x), rtol=0, atol=1e-12)
    assert torch.allclose(hardsigmoid(x), hard_sigmoid(x), rtol=0, atol=1e-12)
