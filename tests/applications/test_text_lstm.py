"""The BiLSTM equals torch's on packed sentences; padding is nothing; order matters."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.applications.language.text_lstm import Config, TextLSTM

SMALL = Config(vocabulary=20, classes=3, embedding=4, width=5, dropout=0.0, word_dropout=0.0)


def sentences() -> Tensor:
    tokens = torch.randint(1, 20, (4, 7), generator=torch.Generator().manual_seed(3))
    tokens[1, 5:], tokens[2, 1:], tokens[3] = 0, 0, 0
    return tokens


def slow(model: TextLSTM, other: nn.LSTM, tokens: Tensor) -> Tensor:
    """Sentence by sentence, without what fills it up, through torch's own layer."""
    answers = []
    for sentence in tokens:
        x = model.words.weight[sentence[sentence != 0]]
        states = other(x[None])[0][0] if len(x) else torch.zeros(1, 10)
        bag = x.sum(dim=0) / max(len(x), 1) ** 0.5
        answers.append(model.output(torch.cat([states.amax(dim=0), bag])))
    return torch.stack(answers)


def test_outputs_and_gradients_equal_torchs_lstm() -> None:
    model, tokens = SMALL.build(), sentences()
    other = nn.LSTM(4, 5, batch_first=True, bidirectional=True)
    own = [*model.layer.forwards.kernel.parameters(), *model.layer.backwards.kernel.parameters()]
    for weight in own:
        nn.init.normal_(weight, std=0.5)
    with torch.no_grad():
        for theirs, ours in zip(other.parameters(), own, strict=True):
            theirs.copy_(ours)
    found, wanted = model(tokens), slow(model, other, tokens)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    shared = [model.words.weight, *model.output.parameters()]
    fast = torch.autograd.grad(found.square().sum(), [*own, *shared])
    plain = torch.autograd.grad(wanted.square().sum(), [*other.parameters(), *shared])
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_padding_changes_nothing() -> None:
    model, tokens = SMALL.build(), sentences()[:1]
    longer = torch.cat([tokens, torch.zeros(1, 6, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(model(tokens), model(longer))


def test_order_matters() -> None:
    model, tokens = SMALL.build(), sentences()[:1]
    for name, weight in model.layer.named_parameters():
        if name.endswith("hh_l0"):
            nn.init.normal_(weight)
    assert not torch.allclose(model(tokens), model(tokens.flip(1)), atol=1e-4)


def test_words_are_dropped_in_training_only() -> None:
    model, tokens = dataclasses.replace(SMALL, word_dropout=0.5).build(), sentences()
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocabulary", 2),
        ("classes", 1),
        ("embedding", 0),
        ("width", 0),
        ("dropout", 1.0),
        ("word_dropout", -0.1),
    ],
)
def test_config_refuses_nonsense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(SMALL, **{field: value})


def test_tiny_learns_what_not_does() -> None:
    from fathom.applications.language import text_lstm
    from fathom.task import Boundary
    from fathom.training import train

    experiment = text_lstm.tiny()
    data, learner = experiment.data.load(), experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["accuracy"] > 0.95
