"""Sigmoid and its logarithm against torch, and where the formulas as written break."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.activations.sigmoid import (
    log_sigmoid,
    log_sigmoid_by_hand,
    sigmoid,
    sigmoid_by_hand,
)


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(sigmoid, sigmoid_by_hand, torch.sigmoid)
    contract(log_sigmoid, log_sigmoid_by_hand, F.logsigmoid)


def test_the_formula_as_written_breaks_where_ours_does_not() -> None:
    x = torch.tensor([-1e4], dtype=torch.float64, requires_grad=True)
    (naive,) = torch.autograd.grad(1 / (1 + torch.exp(-x)), x)
    assert bool(naive.isnan())
    for function in (sigmoid, sigmoid_by_hand):
        (gradient,) = torch.autograd.grad(function(x), x)
        assert gradient.item() == 0
    assert torch.log(torch.sigmoid(x)).item() == -torch.inf
    assert log_sigmoid_by_hand(x).item() == log_sigmoid(x).item() == -1e4


def test_slope_is_largest_at_zero_and_a_quarter() -> None:
    x = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(sigmoid_by_hand(x).sum(), x)
    assert slope.argmax() == 50 and slope[50].item() == pytest.approx(0.25, abs=1e-15)
    assert torch.allclose(slope, sigmoid(x) * (1 - sigmoid(x)), rtol=0, atol=1e-15)


def test_small_probabilities_keep_their_digits() -> None:
    x = torch.tensor([-40.0, -300.0], dtype=torch.float64)
    assert torch.allclose(sigmoid_by_hand(x), torch.exp(x), rtol=1e-15, atol=0)
    assert torch.allclose(log_sigmoid_by_hand(-x), -torch.exp(x), rtol=1e-15, atol=0)


def test_other_numbers_are_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(sigmoid, log_sigmoid)
