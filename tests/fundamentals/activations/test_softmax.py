"""Softmax, its logarithm and its Jacobian against torch; invariances; where the formula as written breaks."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.fundamentals.activations.softmax import (
    Softmax,
    log_softmax,
    log_softmax_by_hand,
    softmax,
    softmax_by_hand,
    softmax_jacobian,
    softmax_jacobian_by_hand,
)

SCORES = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8)


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(softmax, softmax_by_hand, lambda x: F.softmax(x, -1))
    contract(lambda x: softmax(x, 0), lambda x: softmax_by_hand(x, 0), lambda x: F.softmax(x, 0))
    contract(Softmax(temperature=4.0), lambda x: softmax_by_hand(x, -1, 4.0), lambda x: F.softmax(x / 4, -1))
    contract(
        lambda x: log_softmax(x, 0, 4.0),
        lambda x: log_softmax_by_hand(x, 0, 4.0),
        lambda x: F.log_softmax(x / 4, 0),
    )
    contract(log_softmax, log_softmax_by_hand, lambda x: F.log_softmax(x, -1))
    assert "temperature=4.0" in repr(Softmax(temperature=4.0))


def test_jacobian_is_that_of_automatic_differentiation() -> None:
    dice = torch.Generator().manual_seed(0)
    for temperature in (1.0, 0.5, 3.0):
        x = torch.randn(6, generator=dice, dtype=torch.float64) * 2
        true = torch.autograd.functional.jacobian(lambda t, c=temperature: F.softmax(t / c, -1), x)
        for function in (softmax_jacobian, softmax_jacobian_by_hand):
            ours = function(x, temperature)
            assert torch.allclose(ours, true, rtol=0, atol=1e-12)
            assert torch.allclose(ours, ours.T) and float(ours.sum(1).abs().max()) < 1e-12
    batch = torch.randn(4, 3, 5, generator=dice, dtype=torch.float64)
    assert torch.allclose(softmax_jacobian(batch)[2, 1], softmax_jacobian_by_hand(batch[2, 1]), atol=1e-15)
    assert softmax_jacobian(torch.zeros(0, 3)).shape == (0, 3, 3)


def test_scores_of_ten_thousand_do_not_overflow() -> None:
    x = torch.tensor([1e4, -1e4, 1e4 - 1], dtype=torch.float64)
    assert bool((torch.exp(x) / torch.exp(x).sum()).isnan().any())
    right = torch.sigmoid(torch.tensor(1.0, dtype=torch.float64))
    for function in (softmax, softmax_by_hand):
        assert function(x).tolist() == pytest.approx([float(right), 0, 1 - float(right)], abs=1e-15)
    for function in (log_softmax, log_softmax_by_hand):
        assert function(x)[1].item() == pytest.approx(-2e4 + float(right.log()), abs=1e-10)
    cold = torch.tensor([1e4, 1e4 - 8], dtype=torch.float16)  # 1e4 / 0.01 is past the end of half precision
    for function in (softmax, softmax_by_hand):
        assert function(cold, -1, 0.01).tolist() == [1, 0]
    assert torch.softmax(cold / 0.01, -1).isnan().all()


@settings(max_examples=60, deadline=None)
@given(SCORES, st.floats(-1e4, 1e4))
def test_shares_add_up_and_only_differences_count(scores: list[float], shift: float) -> None:
    x = torch.tensor(scores, dtype=torch.float64)
    for function in (softmax, softmax_by_hand):
        p = function(x)
        assert float(p.sum()) == pytest.approx(1, abs=1e-12) and bool((p >= 0).all())
        assert torch.allclose(function(x + shift), p, rtol=0, atol=1e-10)  # x + shift itself is rounded


def test_temperature_sharpens_and_evens_out() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    assert softmax(x, temperature=1e-3).tolist() == [0, 0, 1]
    assert softmax(x, temperature=1e6).tolist() == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_masked_scores_get_nothing_and_no_classes_give_nothing() -> None:
    x = torch.tensor([0.0, -torch.inf, 0.0])
    assert softmax(x).tolist() == softmax_by_hand(x).tolist() == [0.5, 0, 0.5]
    for function in (softmax, softmax_by_hand, log_softmax, log_softmax_by_hand):
        assert function(torch.zeros(3, 0)).shape == (3, 0)


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(softmax, log_softmax, softmax_jacobian)
    for dim in (2, -3):
        for function in (softmax, log_softmax):
            with pytest.raises(ValueError, match=f"dim is {dim}; x of shape"):
                function(torch.zeros(2, 3), dim)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        for function in (softmax, log_softmax):
            with pytest.raises(ValueError, match=f"temperature is {temperature}; it must be positive"):
                function(torch.zeros(3), temperature=temperature)
        with pytest.raises(ValueError, match="temperature is"):
            Softmax(temperature=temperature)
    with pytest.raises(ValueError, match="at least one axis"):
        softmax_jacobian(torch.tensor(1.0))
