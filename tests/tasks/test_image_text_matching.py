"""The task of matching pictures and captions: items, scores, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.data.captions import (
    CANDIDATES,
    LENGTH,
    PHRASES,
    WORDS,
    CaptionedDigits,
    captioned_bars,
    captions,
    encode,
)
from fathom.data.split import Data, Tensors
from fathom.deployment import preprocessing
from fathom.errors import InputError
from fathom.multimodal import image_text
from fathom.task import Arrays, Boundary, Options, Task
from fathom.tasks.image_text_matching import ImageTextMatching, next_of_other_kind

TASK = ImageTextMatching(
    candidates=("a cat", "a dog", "a cow"), vocabulary=("<padding>", "<unknown>", "a", "cat", "cow", "dog"),
    length=3, channels=1, height=8, width=8,
)  # fmt: skip


def split(kinds: list[int]) -> Tensors:
    """Pictures whose first pixel is the kind; their own captions are the candidates."""
    label = torch.tensor(kinds)
    image = torch.zeros(len(kinds), 1, 8, 8, dtype=torch.uint8)
    image[:, 0, 0, 0] = label
    return Tensors((image, torch.from_numpy(TASK.encoded())[label], label))


def oracle(arrays: Arrays) -> Arrays:
    """1 where the caption is that of the picture's kind, except that it takes every cow for a dog."""
    kinds = np.array([0, 1, 1])[arrays["image"][:, 0, 0, 0]]
    fits = (arrays["tokens"] == TASK.encoded()[kinds]).all(axis=1)
    return {"probability": fits.astype(np.float32)}


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)
    assert ImageTextMatching.recognise(Path("x"), Options()) is None
    for call in (lambda: ImageTextMatching.read(Path("x"), Options()),
                 lambda: TASK.read_labelled(Path("x"), Options())):  # fmt: skip
        with pytest.raises(InputError, match="rows as Tensors in Python"):
            call()


def test_retrieval_and_matching_on_a_worked_example() -> None:
    evaluation = TASK.evaluate(oracle, split([0, 1, 2, 0]))
    assert evaluation.items["retrieval"].tolist() == [1, 1, 0, 1]
    # The cow's own caption does not fit it (wrong); the next other caption, a cat, does not either (right).
    assert evaluation.items["matching"].tolist() == [1, 1, 0.5, 1]
    assert evaluation.metrics == {"retrieval": 0.75, "matching": 0.875}
    titles = [s.title for s in TASK.sections(evaluation, split([0, 1, 2, 0]))]
    assert titles == ["Captions", "Probabilities", "Mistakes"]
    pages = "".join(b.html() for s in TASK.sections(evaluation, split([0, 1, 2, 0])) for b in s.blocks)
    assert "right: a cow" in pages


def test_wrong_captions_are_of_another_kind() -> None:
    kinds = np.array([0, 0, 1, 1, 2, 0])
    assert next_of_other_kind(kinds).tolist() == [2, 2, 4, 4, 5, 2]
    with pytest.raises(InputError, match="of one kind"):
        next_of_other_kind(np.zeros(4, dtype=np.int64))


def test_baseline_is_the_most_frequent_kind() -> None:
    found = TASK.baselines(Data(split([1, 1, 2]), split([1, 0, 2, 1])))
    assert [e.metrics for e in found.values()] == [{"retrieval": 0.5, "matching": 0.5}]
    assert TASK.baselines(Data(split([1]))) == {}


def test_answers_name_both_probabilities() -> None:
    model = image_text.Config(size=8, vocabulary=6, width=4).build()
    decoded = [preprocessing.apply(TASK.preprocessing(), item) for item in TASK.examples()]
    assert decoded[3]["tokens"].tolist() == [1, 1, 1]  # unknown words, cut at three
    assert decoded[2]["tokens"].tolist() == [0, 0, 0]
    for answer in TASK.respond(Boundary(TASK, model), decoded):
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"image": [[0]]}, "'text' is missing"),
        ({"text": "a cat"}, "'image' is missing"),
        ({"image": [[0]], "text": 7}, "a text is a JSON string"),
        ("a cat", "JSON object with a field"),
    ],
)
def test_bad_items_are_refused(item: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preprocessing.apply(TASK.preprocessing(), item)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": ("a cat",)}, "candidates has 1"),
        ({"vocabulary": ("<padding>", "<unknown>")}, "vocabulary has 2"),
        ({"length": 0}, "length is 0"),
        ({"channels": 2}, "channels is 2"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    good = {"candidates": ("a", "b"), "vocabulary": ("-", "?", "a"), "length": 2, "channels": 1}
    with pytest.raises(ValueError, match=message):
        ImageTextMatching(**(good | {"height": 8, "width": 8} | settings))  # type: ignore[arg-type]


def test_captions_of_digits_are_known_and_fit_whole() -> None:
    for digit in range(10):
        for text in captions(digit):
            assert 1 not in encode(text, WORDS, LENGTH)
            assert len(preprocessing.words(text)) <= LENGTH
        assert CANDIDATES[digit] in captions(digit)


def test_digits_have_phrases_of_every_kind_that_fit_them() -> None:
    data = CaptionedDigits().load()
    assert (len(data.train), len(data.valid or ()), len(data.test or ())) == (55_000, 5_000, 10_000)
    _, tokens, label = data.train.rows(torch.arange(300))
    known = {tuple(encode(text, WORDS, LENGTH).tolist()): (digit, i)
             for digit in range(10) for i, text in enumerate(captions(digit))}  # fmt: skip
    found = [known[tuple(row)] for row in tokens.tolist()]
    assert [digit for digit, _ in found] == label.tolist()
    assert {phrase for _, phrase in found} == set(range(len(PHRASES)))
    with pytest.raises(ValueError, match="valid is 0"):
        CaptionedDigits(valid=0)


def test_bars_carry_the_caption_of_their_direction() -> None:
    texts = ("a cat", "a dog", "a cow", "a")
    data = captioned_bars(texts, TASK.vocabulary, length=3, size=8, train=12, valid=4).load()
    _, tokens, label = data.train.rows(torch.arange(12))
    for row, kind in zip(tokens.numpy(), label.tolist(), strict=True):
        assert (row == encode(texts[kind], TASK.vocabulary, 3)).all()


def test_the_suggested_experiment_fits_the_task() -> None:
    experiment = TASK.experiment(Data(split([0, 1]), split([0, 1])), seed=2)
    made = TASK.evaluate(Boundary(TASK, experiment.build()), split([0, 1, 2]))
    assert set(made.metrics) == {"retrieval", "matching"}
