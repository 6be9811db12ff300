"""The repetition penalty against transformers' processor."""

import math

import pytest
import torch
from tests.fundamentals.decoding.warpers import logits, theirs

from fathom.fundamentals.decoding.repetition_penalty import repetition_penalty, repetition_penalty_by_hand

TOKENS = torch.randint(50, (64, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.2, 3.0])
def test_equals_transformers(penalty: float) -> None:
    given = logits()
    found = repetition_penalty(given, TOKENS, penalty)
    torch.testing.assert_close(
        found, theirs("RepetitionPenaltyLogitsProcessor", penalty)(TOKENS, given.clone())
    )
    torch.testing.assert_close(found, repetition_penalty_by_hand(given, TOKENS, penalty))
    assert penalty == 1 or not torch.equal(found, given)


def test_how_often_a_token_was_written_does_not_count_and_padding_not_at_all() -> None:
    given = torch.tensor([[2.0, 2.0, -2.0]])
    once, often = torch.tensor([[1, 2]]), torch.tensor([[1, 1, 2, 1]])
    for tokens in (once, often):
        assert repetition_penalty(given, tokens, 2.0).tolist() == [[2.0, 1.0, -4.0]]
    mask = torch.tensor([[False, False, True, False]])
    assert repetition_penalty(given, often, 2.0, mask).tolist() == [[2.0, 2.0, -4.0]]
    nothing = torch.zeros(1, 0, dtype=torch.int64)
    assert torch.equal(repetition_penalty(given, nothing, 2.0), given)


@pytest.mark.parametrize("penalty", [0.0, -1.0, math.inf, math.nan])
def test_penalties_without_meaning_are_refused(penalty: float) -> None:
    with pytest.raises(ValueError, match=r"penalty is .*positive and finite, 1 for none"):
        repetition_penalty(torch.zeros(1, 3), torch.tensor([[0]]), penalty)


def test_tokens_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="tokens holds 1 to 3; allowed: 0 to 2"):
        repetition_penalty(torch.zeros(1, 3), torch.tensor([[1, 3]]), 1.2)
