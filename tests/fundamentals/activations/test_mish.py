"""Mish against torch and timm, and against its own formula."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.activations.mish import mish, mish_by_hand


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(mish, mish_by_hand, F.mish)


def test_the_fraction_is_the_formula() -> None:
    x = torch.linspace(-30, 30, 601, dtype=torch.float64)
    formula = x * torch.tanh(torch.log1p(torch.exp(x)))
    assert torch.allclose(mish_by_hand(x), formula, rtol=1e-14, atol=1e-14)


def test_the_dip_is_where_the_docstring_says() -> None:
    x = torch.linspace(-2, -0.5, 150_001, dtype=torch.float64)
    y = mish(x)
    assert float(y.min()) == pytest.approx(-0.309, abs=1e-3)
    assert float(x[y.argmin()]) == pytest.approx(-1.19, abs=5e-3)


def test_other_numbers_are_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(mish)


@pytest.mark.slow
def test_values_and_gradients_are_timms(contract: Callable[..., None]) -> None:
    from timm.layers.activations import mish as of_timm

    contract(mish, mish_by_hand, of_timm)
