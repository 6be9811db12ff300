"""Masked language modelling: blanks in, words out; scored where pieces are hidden, and nowhere else."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fathom.deployment import preprocessing
from fathom.errors import InputError, RunError
from fathom.fundamentals.tokenizers.word_piece import MARKS
from fathom.task import Arrays, Boundary, Options
from fathom.tasks.masked_language_modelling import MaskedLanguageModelling
from fathom.training import train
from fathom.training.objectives import IGNORE

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "##s", "mat", "on")
TASK = MaskedLanguageModelling(vocabulary=WORDS, length=10)
TEXTS = ["the cat sat on the mat", "the cats sat", "on the mat the cat sat"] * 20


def after(before: dict[str, str], task: MaskedLanguageModelling = TASK) -> Any:
    """A network that is sure of one piece after each."""
    table = np.zeros((len(task.vocabulary),) * 2, dtype=np.float32)
    for word, best in before.items():
        table[task.vocabulary.index(word), task.vocabulary.index(best)] = 9.0

    def network(arrays: Arrays) -> Arrays:
        return {"logits": table[np.roll(arrays["token"], 1, axis=1)]}

    return network


def ask(text: Any, network: Any = None) -> dict[str, Any]:
    item = preprocessing.apply(TASK.preprocessing(), text)
    return TASK.respond(network or after({"the": "cat", "sat": "on"}), [item])[0]


def test_blanks_are_filled_in_order() -> None:
    answer = ask({"text": "The ____ sat __ the mat"})
    assert answer["text"] == "the cat sat on the mat"
    assert [best[0]["token"] for best in answer["blanks"]] == ["cat", "on"]
    assert answer["blanks"][0][0]["probability"] == pytest.approx(math.exp(9) / (math.exp(9) + 10))
    assert all(len(best) == 5 for best in answer["blanks"])
    assert ask("the cats sat") == {"text": "the cats sat", "blanks": []}
    assert ask("") == {"text": "", "blanks": []} and ask("dog")["text"] == "[?]"


def test_a_mark_that_is_typed_is_letters() -> None:
    item = preprocessing.apply(TASK.preprocessing(), "[MASK] [SEP]")["token"]
    assert 4 not in item and (item == 3).sum() == 1


def test_a_long_text_loses_its_end_and_keeps_its_frame() -> None:
    item = preprocessing.apply(TASK.preprocessing(), "the cat " * 40)["token"]
    assert item.tolist() == [2, *[5, 6] * 4, 3]


def test_an_answer_says_what_was_not_read() -> None:
    assert "cut" not in ask("the cat sat on the mat the cat")
    long = ask("the __ sat on the mat the cat __ sat")
    assert long["cut"] == "only the first 8 of 10 pieces were read" and len(long["blanks"]) == 1
    assert ask("s" * 9_999)["text"] == "[?]" and "cut" not in ask("s" * 9_999), "one word is one piece"
    assert ask("the " * 2_000)["cut"] == "only the first 8 of more than 1,024 pieces were read"


def test_an_artifact_of_before_says_nothing_of_a_cut() -> None:
    item = preprocessing.apply(TASK.preprocessing()[:1], "the cat " * 40)
    assert set(TASK.respond(after({"the": "cat"}), [item])[0]) == {"text", "blanks"}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_no_answer(bad: float) -> None:
    """They are refused where a blank asks for them, and nowhere else."""

    def network(arrays: Arrays) -> Arrays:
        logits = after({"the": "cat"})(arrays)["logits"]
        logits[:, 2, 5] = bad
        return {"logits": logits}

    with pytest.raises(
        RunError, match=r"^'the ___ sat': logits holds (nan|inf) in row 0; .*earlier checkpoint"
    ):
        ask("the __ sat", network)
    assert ask("the cat __", network)["text"].startswith("the cat")


def test_a_piece_that_is_excluded_is_no_guess() -> None:
    def network(arrays: Arrays) -> Arrays:
        logits = after({"the": "cat"})(arrays)["logits"]
        logits[..., 6] = -math.inf
        return {"logits": logits}

    (best,) = ask("the __", network)["blanks"]
    assert "cat" not in [guess["token"] for guess in best]


def test_a_network_that_knows_nothing_costs_the_logarithm_of_the_vocabulary() -> None:
    split = TASK.hidden(TASK.encode(TEXTS), 0)
    found = TASK.evaluate(after({}), split)
    assert found.metrics["loss"] == pytest.approx(math.log(11))
    hidden = (split.columns[1] != IGNORE).sum(dim=1)
    assert len(found.items["loss"]) == int((hidden > 0).sum()) < len(TEXTS)
    assert found.items["accuracy"].mean() == pytest.approx(found.metrics["accuracy"])


def test_only_hidden_pieces_are_scored() -> None:
    token = TASK.encode(["the cat sat on the mat"])
    target = torch.full_like(token, IGNORE)
    target[0, 2], target[0, 4] = 6, 7  # cat, and what is no "on"
    split = type(TASK.hidden(token, 0))((token, target))
    found = TASK.evaluate(after({"the": "cat", "sat": "on"}), split)
    sure = math.log(math.exp(9) + 10)
    assert found.metrics == pytest.approx({"loss": (sure - 9 + sure) / 2, "accuracy": 0.5})


def test_what_is_hidden_for_scoring_is_always_the_same_and_training_is_not() -> None:
    task = MaskedLanguageModelling.fitted(TEXTS, 40, 12)
    data = task.data({"train": TEXTS, "valid": TEXTS, "test": TEXTS[:6]}, {"source": "cats"})
    again = task.data({"train": TEXTS, "valid": TEXTS, "test": TEXTS[:6]}, {"source": "cats"})
    every = torch.arange(60)
    for one, other in zip(data.valid.rows(every), again.valid.rows(every), strict=True):
        assert torch.equal(one, other)
    experiment = task.experiment(data, seed=0)
    stream = experiment.source(data).stream(None, 0)
    seen = [next(stream) for _ in range(8)]
    masks = [tuple((target != IGNORE).flatten().tolist()) for _, target in seen]
    assert len(set(masks)) == len(masks)
    assert data.facts == {"source": "cats", "train": 60, "valid": 60, "test": 6}


def test_baselines_look_at_what_stands_before() -> None:
    task = MaskedLanguageModelling.fitted(TEXTS, 40, 12)
    data = task.data({"train": TEXTS, "valid": TEXTS}, {})
    found = task.baselines(data)
    losses = [evaluation.metrics["loss"] for evaluation in found.values()]
    assert list(found) == ["unigram counts", "bigram counts", "trigram counts"]
    assert losses == sorted(losses, reverse=True)
    mine = task.evaluate(after({}, task), data.valid)
    assert all(len(e.items["loss"]) == len(mine.items["loss"]) for e in found.values())


def test_unigrams_are_counted_as_by_hand() -> None:
    task = MaskedLanguageModelling(vocabulary=WORDS, length=10)
    data = task.data({"train": TEXTS, "valid": TEXTS}, {})
    rows = data.train.columns[0]
    counts = torch.bincount(rows[rows > 0], minlength=11).double()
    likely = (counts + 1 / 11) / (counts.sum() + 1)
    target = data.valid.columns[1]
    wanted = -likely[target[target != IGNORE]].log().mean()
    assert task.baselines(data)["unigram counts"].metrics["loss"] == pytest.approx(float(wanted))


def test_learns_what_a_text_says() -> None:
    task = MaskedLanguageModelling.fitted(TEXTS, 40, 12)
    data = task.data({"train": TEXTS, "valid": TEXTS}, {})
    experiment = task.experiment(data, seed=0)
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=120)
    network = Boundary(task, learner.model)
    found = task.evaluate(network, data.valid)
    assert found.metrics["loss"] < 1.0 and found.metrics["loss"] < math.log(len(task.vocabulary)) / 2
    page = "".join(b.html() for s in task.sections(found, data.valid) for b in s.blocks)
    assert "perplexity" in page and "___" in page


def test_a_file_is_scored_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("\n\n".join(TEXTS))
    data = TASK.read_labelled(file, Options())
    assert len(data.test) == 60 and data.facts["test"] == 60
    file.write_text(" \n\n")
    with pytest.raises(InputError, match="no line with a word"):
        TASK.read_labelled(file, Options())
    with pytest.raises(InputError, match=r"fathom train bert_captions"):
        MaskedLanguageModelling.read(file, Options())


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (7, "JSON object"), ({"text": 7}, "a text is a JSON string"), ({}, "field 'text' is missing"),
        ({"text": "a" * 10_001}, "at most 10,000"), ({"text": "\ud800"}, "half of a sign"),
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_granted(wish: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        ask(wish)


def test_tokens_beyond_the_vocabulary_are_out_of_bounds() -> None:
    assert preprocessing.bounds(TASK.preprocessing(), "token") == (0, 10)


def test_texts_without_a_hidden_piece_cannot_be_scored() -> None:
    empty = TASK.hidden(TASK.encode(["", ""]), 0)
    with pytest.raises(InputError, match="no piece of these texts is hidden"):
        TASK.evaluate(after({}), empty)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vocabulary": WORDS[1:]}, r"lacks \[PAD\]"),
        ({"vocabulary": (*WORDS, "the")}, "12 pieces, 11 different"),
        ({"vocabulary": ("a", *MARKS)}, "it must begin with"),
        ({"length": 2}, "length is 2"),
    ],
)
def test_nonsense_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MaskedLanguageModelling(**{"vocabulary": WORDS, "length": 10} | changed)
