"""Greedy decoding against argmax and against generation of transformers; logits without a choice."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fathom.fundamentals.decoding.greedy_decoding import checked_logits, greedy, greedy_by_hand

NUMBERS = st.floats(-50, 50, width=32) | st.sampled_from([0.0, 1.0, -math.inf])


@given(st.lists(NUMBERS, min_size=1, max_size=9))
def test_the_first_of_the_largest(row: list[float]) -> None:
    logits = torch.tensor([row])
    if max(row) == -math.inf:
        with pytest.raises(ValueError, match="excludes every token in row 0: all are -inf"):
            greedy(logits)
        return
    found = greedy(logits)
    assert torch.equal(found, greedy_by_hand(logits)) and int(found) == row.index(max(row))


def test_any_number_of_axes() -> None:
    for shape in ((7,), (3, 7), (2, 3, 7)):
        logits = torch.randn(shape)
        assert torch.equal(greedy(logits), logits.argmax(dim=-1)) and greedy(logits).shape == shape[:-1]


def test_token_by_token_as_transformers_generates() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=17, n_positions=24, n_embd=16, n_layer=2, n_head=2, bos_token_id=0)
    ).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    text = torch.tensor([[3, 5, 1]])
    wanted = model.generate(
        text, attention_mask=torch.ones_like(text), max_new_tokens=16, do_sample=False, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    for _ in range(16):
        text = torch.cat([text, greedy(model(text).logits[:, -1])[:, None]], dim=1)
    assert torch.equal(text, wanted) and len(set(text[0].tolist())) > 2


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1.0, math.nan], r"logits holds nan in row 1; it must be numbers.*try float32, or an earlier"),
        ([1.0, math.inf], "logits holds inf in row 1"),
        ([-math.inf, -math.inf], "excludes every token in row 1.*loosen what filters"),
    ],
)
def test_a_damaged_model_is_said_to_be_one(row: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked_logits(torch.tensor([[0.0, 0.0], row]))
    with pytest.raises(ValueError, match=r"in row \(1, 0\)"):
        checked_logits(torch.tensor([[[0.0, 0.0]], [row]]))


def test_a_vocabulary_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 0\); its last axis must hold one or more tokens"):
        greedy(torch.zeros(2, 0))
