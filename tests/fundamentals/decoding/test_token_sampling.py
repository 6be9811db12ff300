"""All filters in one order, and the tokens drawn after them, against generate of transformers."""

from typing import Any

import pytest
import torch
from tests.fundamentals.decoding.warpers import logits, theirs

from fathom.fundamentals.decoding.token_sampling import Sampling, filtered_by_hand

TOKENS = torch.randint(50, (64, 9), generator=torch.Generator().manual_seed(1))
SETTINGS = (
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 20},
    {"temperature": 0.9, "top_k": 30, "nucleus": 0.9},
    {"nucleus": 0.8, "min_p": 0.05, "repetition_penalty": 1.3},
    {"temperature": 2.0, "top_k": 40, "nucleus": 0.95, "min_p": 0.02, "repetition_penalty": 0.8},
)
THEIRS = {"nucleus": "top_p"}


def model() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    made = GPT2LMHeadModel(
        GPT2Config(vocab_size=50, n_positions=40, n_embd=16, n_layer=2, n_head=2, bos_token_id=0)
    )
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return made.eval()


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_probabilities_are_those_of_the_processors_in_order(given: dict[str, Any]) -> None:
    """Only finite logits: a token that is excluded from the start says nothing about an order."""
    scores = logits().nan_to_num(neginf=-9.0)
    wanted = scores.clone()
    for name, kind in (
        ("repetition_penalty", "RepetitionPenaltyLogitsProcessor"),
        ("temperature", "TemperatureLogitsWarper"),
        ("top_k", "TopKLogitsWarper"),
        ("nucleus", "TopPLogitsWarper"),
        ("min_p", "MinPLogitsWarper"),
    ):
        if name in given:
            wanted = theirs(kind, given[name])(TOKENS, wanted)
    found = Sampling(**given).filtered(scores, TOKENS)
    torch.testing.assert_close(found.softmax(dim=-1), wanted.softmax(dim=-1))
    double = scores.double()
    by_hand = filtered_by_hand(double, TOKENS, Sampling(**given))
    torch.testing.assert_close(Sampling(**given).filtered(double, TOKENS), by_hand)


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_with_the_same_seed_the_same_text_as_transformers(given: dict[str, Any]) -> None:
    other = model()
    prompt = torch.tensor([[3, 1, 4], [1, 5, 9]])
    torch.manual_seed(7)
    wanted = other.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=True, eos_token_id=None,
        pad_token_id=0, **{"top_k": 0} | {THEIRS.get(name, name): value for name, value in given.items()},
    )  # fmt: skip
    torch.manual_seed(7)
    text, how = prompt, Sampling(**given)
    with torch.no_grad():
        for _ in range(30):
            text = torch.cat([text, how.choose(other(text).logits[:, -1], text)[:, None]], dim=1)
    assert torch.equal(text, wanted)


def test_a_temperature_of_zero_is_greedy_after_the_penalty() -> None:
    scores = torch.tensor([[2.0, 1.9, 0.0]])
    written = torch.tensor([[0]])
    assert Sampling(temperature=0).choose(scores, written).tolist() == [0]
    assert Sampling(temperature=0, repetition_penalty=1.5).choose(scores, written).tolist() == [1]


@pytest.mark.parametrize(
    "given",
    [{"temperature": -1}, {"top_k": 0}, {"nucleus": 0}, {"min_p": 2}, {"repetition_penalty": 0}],
    ids=str,
)
def test_what_no_filter_takes_is_refused_before_a_text_is_begun(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it must be"):
        Sampling(**given)
