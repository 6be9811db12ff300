"""Tanh against torch, and the digits it keeps near zero."""

from collections.abc import Callable

import torch

from fathom.fundamentals.activations.tanh import tanh, tanh_by_hand


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(tanh, tanh_by_hand, torch.tanh)


def test_the_formula_as_written_breaks_where_ours_does_not() -> None:
    x = torch.tensor([1e4], dtype=torch.float64)
    assert bool(((torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))).isnan())
    assert tanh_by_hand(x).item() == tanh(x).item() == 1
    small = torch.tensor([1e-12, -1e-300], dtype=torch.float64)
    assert torch.equal(tanh_by_hand(small), small)  # tanh(x) = x - x^3 / 3 + ...


def test_it_is_a_stretched_sigmoid_and_odd() -> None:
    x = torch.linspace(-9, 9, 201, dtype=torch.float64)
    assert torch.allclose(tanh(x), 2 * torch.sigmoid(2 * x) - 1, rtol=0, atol=1e-15)
    assert torch.equal(tanh_by_hand(-x), -tanh_by_hand(x))


def test_other_numbers_are_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(tanh)
