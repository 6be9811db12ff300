"""The committee equals its readers one by one and a plain loop; each learns as if it were alone."""

import dataclasses
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.applications.language.text_committee import (
    RATE,
    SHARES,
    STRIDE,
    Config,
    EachReader,
    TextCommittee,
)

SMALL = Config(vocabulary=20, classes=3, width=4, pairs=64, dropout=0.0, word_dropout=0.0)


@pytest.fixture(name="model")
def drawn() -> TextCommittee:
    """With weights that are not what it begins with, for the linear reader begins at zero."""
    torch.manual_seed(0)
    model = SMALL.build()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    for part in model.modules():
        if isinstance(part, nn.Embedding) and part.padding_idx is not None:
            part.weight.data[part.padding_idx] = 0
    return model


def sentences() -> Tensor:
    tokens = torch.randint(1, 20, (4, 7), generator=torch.Generator().manual_seed(3))
    tokens[1, 5:], tokens[2, 1:], tokens[3] = 0, 0, 0
    return tokens


def counted(model: TextCommittee, tokens: Tensor) -> Tensor:
    """The linear reader: sentence by sentence, word by word, pair by pair."""
    linear, answers = model.pairs, []
    for sentence in tokens.tolist():
        words = [word for word in sentence if word]
        score = linear.bias
        for word in words:
            score = score + RATE * linear.words.weight[word]
        for one, other in pairwise(words):
            score = score + RATE * linear.pairs.weight[(one * STRIDE + other) % 64]
        answers.append(score)
    return torch.stack(answers)


def together(model: TextCommittee, tokens: Tensor) -> Tensor:
    """The committee: a weighted geometric mean of shares, made to sum to one."""
    said = [model.phrases(tokens), model.order(tokens), counted(model, tokens)]
    product = torch.ones(len(tokens), 3)
    for share, scores in zip(SHARES, said, strict=True):
        product = product * scores.softmax(dim=1) ** share
    return (product / product.sum(dim=1, keepdim=True)).log()


def test_outputs_and_gradients_equal_a_plain_loop(model: TextCommittee) -> None:
    tokens, weights = sentences(), list(model.parameters())
    found, wanted = model(tokens), together(model, tokens)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(4))
    fast = torch.autograd.grad(found.square().sum(), weights)
    plain = torch.autograd.grad(wanted.square().sum(), weights)
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_readers_are_told_apart(model: TextCommittee) -> None:
    said = model(sentences(), each=True)
    assert said.shape == (4, 3, 3)
    for place, reader in enumerate((model.phrases, model.order, model.pairs)):
        torch.testing.assert_close(said[:, place], reader(sentences()).log_softmax(dim=1))


def test_each_learns_as_if_it_were_alone(model: TextCommittee) -> None:
    """The gradient of a reader is that of its own loss, a third of it, whatever the others say."""
    batch = (sentences(), torch.tensor([0, 2, 1, 1]))
    loss, metrics = EachReader()(model, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    total = 0.0
    for reader in (model.phrases, model.order, model.pairs):
        own = nn.functional.cross_entropy(reader(batch[0]), batch[1])
        total += own.item() / 3
        for weight, wanted in zip(
            reader.parameters(), torch.autograd.grad(own, list(reader.parameters())), strict=True
        ):
            assert weight.grad is not None
            torch.testing.assert_close(weight.grad, wanted / 3, atol=1e-6, rtol=1e-4)
    assert loss.item() == pytest.approx(total) and 0 <= float(metrics["accuracy"]) <= 1


def test_padding_changes_nothing(model: TextCommittee) -> None:
    tokens = sentences()[:1]
    longer = torch.cat([tokens, torch.zeros(1, 6, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(model(tokens), model(longer))


def test_one_word_has_no_pair(model: TextCommittee) -> None:
    torch.testing.assert_close(model.pairs(torch.tensor([[5]])), model.pairs(torch.tensor([[5, 0, 0]])))


def test_it_begins_without_an_opinion_of_pairs() -> None:
    assert not SMALL.build().pairs(sentences()).any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocabulary", 2),
        ("vocabulary", STRIDE),
        ("classes", 1),
        ("width", 0),
        ("pairs", 0),
        ("dropout", 1.0),
        ("word_dropout", -0.1),
    ],
)
def test_config_refuses_nonsense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(SMALL, **{field: value})
