"""Contrastive search against equation 5 written out, and with a whole model."""

import math

import pytest
import torch
from torch import Tensor

from fathom.architectures.transformers import gpt2
from fathom.fundamentals.decoding.contrastive_search import (
    contrastive_choice,
    contrastive_scores,
    contrastive_scores_by_hand,
    contrastive_search,
)


def model() -> gpt2.GPT2:
    made = gpt2.Config(vocabulary=13, context=40, width=16, layers=2, heads=2, dropout=0.0).build().eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.25)
    return made


def reader(made: gpt2.GPT2):
    @torch.no_grad()
    def read(text: Tensor) -> tuple[Tensor, Tensor]:
        states = made.body(made.positions(made.embedding(text)))
        return made.scores(states), states

    return read


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.6, 1.0])
def test_a_whole_text_is_that_of_the_equation(alpha: float) -> None:
    """One token at a time, one text at a time, with the equation by hand."""
    made = model()
    prompt = torch.randint(13, (3, 4))
    found = contrastive_search(reader(made), prompt, longest=12, count=5, alpha=alpha)
    assert found.shape == (3, 16) and torch.equal(found[:, :4], prompt)
    read = reader(made)
    for row in range(3):
        text = prompt[row].tolist()
        for _ in range(12):
            logits, states = read(torch.tensor([text]))
            shares, tokens = logits[0, -1].softmax(0).sort(descending=True)
            after = torch.stack([read(torch.tensor([[*text, v]]))[1][0, -1] for v in tokens[:5].tolist()])
            scores = contrastive_scores_by_hand(shares[None, :5], after[None], states, alpha)
            text.append(int(tokens[int(scores.argmax())]))
        assert text == found[row].tolist()


def test_without_the_penalty_it_is_greedy() -> None:
    made, text = model(), torch.tensor([[1, 2, 3]])
    found = contrastive_search(reader(made), text, longest=20, count=6, alpha=0.0)
    with torch.no_grad():
        for _ in range(20):
            text = torch.cat([text, made(text)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    assert torch.equal(found, text)


def test_a_loop_is_left_where_greedy_runs_round_in_it() -> None:
    """States are the tokens themselves: what was written has likeness 1, what was not has 0."""
    size = 6

    def read(text: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.zeros(*text.shape, size)
        logits.scatter_(-1, ((text + 1) % 2)[..., None], 3.0)  # 0 1 0 1 0 1 ...
        return logits, torch.eye(size)[text]

    start = torch.tensor([[0]])
    assert contrastive_search(read, start, longest=5, count=size, alpha=0.0).tolist() == [[0, 1] * 3]
    found = contrastive_search(read, start, longest=5, count=size, alpha=0.9).tolist()[0]
    assert sorted(found) == list(range(size))


def test_padding_is_like_nothing() -> None:
    shares, candidates, states = torch.rand(2, 3), torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    found = contrastive_scores(shares, candidates, states, 0.6, mask)
    torch.testing.assert_close(found[:1], contrastive_scores(shares[:1], candidates[:1], states[:1, :3], 0.6))
    torch.testing.assert_close(found[1:], contrastive_scores(shares[1:], candidates[1:], states[1:], 0.6))
    assert torch.equal(contrastive_choice(shares, candidates, states, 0.6, mask), found.argmax(dim=1))


def test_bad_input_is_refused() -> None:
    shares, candidates, states = torch.rand(1, 2), torch.randn(1, 2, 4), torch.randn(1, 3, 4)
    for alpha in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"alpha is .*; it must be in \[0, 1\]"):
            contrastive_scores(shares, candidates, states, alpha)
    with pytest.raises(ValueError, match="each text must have one or more"):
        contrastive_scores(shares, candidates, states[:, :0], 0.5)
    with pytest.raises(ValueError, match="each text must have one or more"):
        contrastive_scores(shares, candidates, states, 0.5, torch.zeros(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"hold NaN or an infinity.*try float32"):
        contrastive_scores(shares, candidates * math.nan, states, 0.5)
    with pytest.raises(ValueError, match="longest is 0, count 4"):
        contrastive_search(reader(model()), torch.tensor([[1]]), longest=0)
