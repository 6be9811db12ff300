"""Top-k against transformers' warper, with ties and counts beyond the vocabulary."""

import pytest
import torch
from tests.fundamentals.decoding.warpers import NOTHING, logits, theirs

from fathom.fundamentals.decoding.top_k_sampling import top_k, top_k_by_hand


@pytest.mark.parametrize("count", [1, 2, 7, 50, 1000])
def test_equals_transformers(count: int) -> None:
    for given in (logits(), logits().round()):  # whole numbers are often equal
        found = top_k(given, count)
        assert torch.equal(found, theirs("TopKLogitsWarper", count)(NOTHING, given))
        assert torch.equal(found, top_k_by_hand(given, count))


def test_equal_ones_at_the_edge_stay_together() -> None:
    kept = top_k(torch.tensor([3.0, 1.0, 1.0, 0.0]), 2)
    assert torch.isfinite(kept).tolist() == [True, True, True, False]


@pytest.mark.parametrize("count", [0, -1])
def test_keeping_none_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count is {count}; it must be 1 or more"):
        top_k(torch.zeros(2), count)
