"""Min-p against transformers' warper."""

import math

import pytest
import torch
from tests.fundamentals.decoding.warpers import NOTHING, logits, theirs

from fathom.fundamentals.decoding.min_p_sampling import min_p, min_p_by_hand


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_equals_transformers(share: float) -> None:
    found = min_p(logits(), share)
    assert torch.equal(found, theirs("MinPLogitsWarper", share)(NOTHING, logits()))
    assert torch.equal(min_p(logits().double(), share), min_p_by_hand(logits().double(), share))


def test_how_many_stay_depends_on_how_sure_the_model_is() -> None:
    sure, unsure = torch.tensor([9.0, 0, 0, 0, 0]), torch.tensor([0.5, 0, 0, 0, 0])
    assert [int(torch.isfinite(min_p(x, 0.1)).sum()) for x in (sure, unsure)] == [1, 5]


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share is .*; it must be in \[0, 1\]"):
        min_p(torch.zeros(2), share)
