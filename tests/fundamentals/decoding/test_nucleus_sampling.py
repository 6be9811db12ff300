"""The nucleus against transformers' warper, and against its definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.fundamentals.decoding.warpers import NOTHING, logits, theirs

from fathom.fundamentals.decoding.nucleus_sampling import nucleus, nucleus_by_hand


@pytest.mark.parametrize("share", [1e-6, 0.3, 0.9, 0.95, 1.0])
def test_equals_transformers(share: float) -> None:
    found = nucleus(logits(), share)
    assert torch.equal(found, theirs("TopPLogitsWarper", share)(NOTHING, logits()))
    double = logits().double()
    if share < 1:  # at 1 the plain sum of shares may miss 1 by its last digit
        assert torch.equal(nucleus(double, share), nucleus_by_hand(double, share))


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=12), st.floats(0.01, 0.99))
def test_the_fewest_likeliest_that_have_enough(row: list[int], share: float) -> None:
    shares = torch.tensor(row, dtype=torch.float64).softmax(dim=0)
    kept = torch.isfinite(nucleus(shares.log(), share))
    held = float(shares[kept].sum())
    assert held >= share - 1e-9
    assert held - float(shares[kept].min()) < share + 1e-9  # with one less there would not be enough
    assert not (~kept).any() or shares[kept].min() >= shares[~kept].max()


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share is .*; it must be in \(0, 1\]"):
        nucleus(torch.zeros(2), share)


def test_a_damaged_model_is_said_to_be_one() -> None:
    with pytest.raises(ValueError, match="logits holds nan"):
        nucleus(torch.tensor([0.0, math.nan]), 0.5)
