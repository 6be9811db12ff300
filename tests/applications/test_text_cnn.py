"""TextCNN equals a slow loop over phrases; padding is nothing; the vocabulary is of training text."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.applications.language.text_cnn import Config, TextCNN
from fathom.errors import InputError
from fathom.recipes import text_cnn as recipe

SMALL = Config(vocabulary=20, classes=3, width=4, filters=5, phrases=(1, 2, 3), dropout=0.0, word_dropout=0.0)


def slow(model: TextCNN, tokens: Tensor) -> Tensor:
    """Sentence by sentence, phrase by phrase, filter by filter."""
    answers = []
    for sentence in tokens:
        words = [model.words.weight[t] for t in sentence.tolist() if t != 0]
        nothing = torch.zeros(model.cfg.width)
        found = []
        for length, convolution in zip(model.cfg.phrases, model.phrases, strict=True):
            assert isinstance(convolution, nn.Conv1d) and convolution.bias is not None
            before = (length - 1) // 2
            for f in range(model.cfg.filters):
                best = torch.zeros(())
                for i in range(len(words)):
                    score = convolution.bias[f]
                    for k in range(length):
                        place = i - before + k
                        word = words[place] if 0 <= place < len(words) else nothing
                        score = score + convolution.weight[f, :, k] @ word
                    best = torch.maximum(best, score)
                found.append(best)
        bag = sum(words, nothing) / max(len(words), 1) ** 0.5
        answers.append(model.output(torch.cat([torch.stack(found), bag])))
    return torch.stack(answers)


def sentences() -> Tensor:
    tokens = torch.randint(1, 20, (4, 7), generator=torch.Generator().manual_seed(3))
    tokens[1, 5:], tokens[2, 1:], tokens[3] = 0, 0, 0
    return tokens


def test_outputs_and_gradients_equal_the_slow_loop() -> None:
    torch.manual_seed(0)
    model, tokens = SMALL.build(), sentences()
    for bias in (m.bias for m in model.modules() if isinstance(m, nn.Conv1d)):
        nn.init.normal_(bias)  # type: ignore[arg-type]
    ours, theirs = model(tokens), slow(model, tokens)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    fast = torch.autograd.grad(ours.square().sum(), list(model.parameters()))
    plain = torch.autograd.grad(theirs.square().sum(), list(model.parameters()))
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_parameter_count() -> None:
    with torch.device("meta"):
        model = Config(vocabulary=9000).build()
    expected = 9000 * 64 + sum(64 * 64 * h + 64 for h in (1, 2, 3)) + (3 * 64 + 64) * 2 + 2
    assert sum(p.numel() for p in model.parameters()) == expected


def test_padding_changes_nothing() -> None:
    model = SMALL.build()
    tokens = sentences()[:1]
    longer = torch.cat([tokens, torch.zeros(1, 6, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(model(tokens), model(longer))


def test_words_are_dropped_in_training_only() -> None:
    model = dataclasses.replace(SMALL, word_dropout=0.5).build()
    tokens = sentences()
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


@pytest.mark.parametrize(
    ("field", "value"),
    [("vocabulary", 2), ("classes", 1), ("phrases", ()), ("phrases", (0, 2)), ("dropout", 1.0)],
)
def test_config_refuses_nonsense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(SMALL, **{field: value})


def test_the_real_reviews() -> None:
    """Read from the data set: splits are apart, and the vocabulary holds words of training sentences only."""
    data = recipe.Reviews()
    try:
        task, splits = data.task(), data.load()
    except InputError as error:
        pytest.skip(f"the reviews are not at hand: {error}")
    assert splits.valid is not None and splits.test is not None
    assert [len(s) for s in (splits.train, splits.valid, splits.test)] == [8530, 1066, 1066]
    used = set(splits.train.rows(torch.arange(8530))[0].unique().tolist())
    assert set(range(2, len(task.vocabulary))) <= used
    assert recipe.text_cnn().model.vocabulary == len(task.vocabulary)  # type: ignore[attr-defined]
