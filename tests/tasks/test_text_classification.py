"""Texts of a person's own: recognised, read without leaks, learned, scored; what is wrong is said."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fathom.data.baselines import NaiveBayes
from fathom.data.split import Tensors
from fathom.deployment import preprocessing
from fathom.errors import InputError, RunError
from fathom.report.marked_texts import MarkedTexts
from fathom.report.page import Section, page
from fathom.task import Arrays, Boundary, Options
from fathom.tasks.tabular_classification import TabularClassification
from fathom.tasks.text_classification import FRAMED, SPECIAL, TextClassification
from fathom.training import train

GOOD, BAD = ("lovely", "superb", "moving"), ("dull", "awful", "boring")


def sample(count: int = 120, seed: int = 0) -> list[dict[str, Any]]:
    dice = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        good = bool(i % 2)
        word = str(dice.choice(GOOD if good else BAD))
        filler = " ".join(dice.choice(["the", "film", "is", "so", "very", "and", "plot", "was"], 6))
        rows.append({"review": f"{filler} {word}, really!", "stars": "good" if good else "bad"})
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
        return path
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_a_text_column_is_recognised(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, sample())
    sighting = TextClassification.recognise(path, Options())
    other = TabularClassification.recognise(path, Options())
    assert sighting and any("'review' holds texts" in s for s in sighting.saw)
    assert other is None or other.confidence < sighting.confidence
    asked = TextClassification.recognise(path, Options(text="review"))
    assert asked and asked.confidence == 1.0
    assert TabularClassification.recognise(path, Options(text="review")) is None
    assert TextClassification.recognise(tmp_path, Options()) is None


def test_numbers_are_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "n.csv", [{"a": i, "b": i % 2} for i in range(30)])
    assert TextClassification.recognise(path, Options()) is None
    with pytest.raises(InputError, match="no column holds texts; name one with --text: a, b"):
        TextClassification.read(path, Options())


def test_the_vocabulary_is_of_training_texts_only(tmp_path: Path) -> None:
    rows = sample()
    task, data = TextClassification.read(write(tmp_path / "r.csv", rows), Options())
    assert data.valid is not None and (len(data.train), len(data.valid)) == (96, 24)
    encoded = task.encode([r["review"] for r in rows])
    valid = {tuple(t) for t in data.valid.rows(torch.arange(24))[0].tolist()}
    train_texts = {tuple(t) for t in data.train.rows(torch.arange(96))[0].tolist()}
    only_valid = [i for i, t in enumerate(encoded.tolist()) if tuple(t) in valid - train_texts]
    assert len(only_valid) >= 2
    for i in only_valid:
        rows[i]["review"] = "zebra zebra quagga " * 50
    again, _ = TextClassification.read(write(tmp_path / "r.csv", rows), Options())
    assert again == task and "zebra" not in task.vocabulary


def test_what_is_read_is_what_a_request_gives(tmp_path: Path) -> None:
    rows = sample()
    task, _ = TextClassification.read(write(tmp_path / "r.csv", rows), Options())
    request = preprocessing.apply(task.preprocessing(), {"review": rows[3]["review"]})["tokens"]
    np.testing.assert_array_equal(request, task.encode([rows[3]["review"]])[0].numpy())
    assert request.shape == (task.length,)
    assert task.decode(request).startswith(rows[3]["review"].split()[0])
    assert "[?]" in task.decode(task.encode(["never seen"])[0].numpy())


def test_learned_and_reported(tmp_path: Path) -> None:
    task, data = TextClassification.read(write(tmp_path / "r.csv", sample(200)), Options())
    experiment = task.experiment(data, 0)
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=120, seed=0)
    network = Boundary(task, learner.model)
    found, baselines = task.evaluate(network, data.valid), task.baselines(data)
    assert found.metrics["accuracy"] > 0.95
    assert baselines["naive Bayes, words and pairs"].metrics["accuracy"] > 0.95
    assert baselines["most frequent class"].metrics["accuracy"] == 0.5
    answers = task.respond(network, [preprocessing.apply(task.preprocessing(), e) for e in task.examples()])
    assert all(sum(a["probabilities"].values()) == pytest.approx(1, abs=1e-5) for a in answers)
    untrained = task.evaluate(Boundary(task, experiment.build()), data.valid)
    sections = task.sections(untrained, data.valid)
    titles = ["Confusion", "Classes", "Calibration", "Worst errors", "What each token adds"]
    assert [s.title for s in sections] == titles, "texts of one length have no slices"
    assert "really" in page("t", "s", sections)
    of_a_baseline = task.sections(baselines["naive Bayes, words and pairs"], data.valid)
    assert "What each token adds" not in [s.title for s in of_a_baseline], "there is no network to ask"


def test_new_data_must_have_the_same_columns_and_classes(tmp_path: Path) -> None:
    task, _ = TextClassification.read(write(tmp_path / "r.csv", sample()), Options())
    new = sample(20, seed=3)
    data = task.read_labelled(write(tmp_path / "n.csv", new), Options())
    assert data.test is not None and len(data.test) == 20
    renamed = [{"body": r["review"], "stars": r["stars"]} for r in new]
    with pytest.raises(InputError, match="no column 'review'"):
        task.read_labelled(write(tmp_path / "m.csv", renamed), Options())
    assert len(task.read_labelled(tmp_path / "m.csv", Options(text="body")).train) == 20
    new[2]["stars"] = "so-so"
    with pytest.raises(InputError, match="'so-so', which is no class of this model; it knows: bad, good"):
        task.read_labelled(write(tmp_path / "o.csv", new), Options())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(text="revue"), "no column 'revue'; did you mean 'review'"),
        (Options(target="star"), "no column of labels 'star'; did you mean 'stars'"),
        (Options(target="review", text="review"), "no column of labels 'review'"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, options: Options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextClassification.read(write(tmp_path / "r.csv", sample()), options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["one"] * 30, "constant cannot be learned"),
        ([f"l{i}" for i in range(30)], "different in every row"),
        ([""] * 30, "every label in column 'stars' is missing"),
        (["", *["a", "b"] * 14, "a"], "is empty in 1 of 30"),
    ],
)
def test_labels_that_cannot_be_learned(tmp_path: Path, labels: list[str], message: str) -> None:
    rows = sample(30)
    for row, label in zip(rows, labels, strict=True):
        row["stars"] = label
    with pytest.raises(InputError, match=message):
        TextClassification.read(write(tmp_path / "r.csv", rows), Options(target="stars"))


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        TextClassification(labels=("a", "b"), vocabulary=("x", "y", "z"), length=3)
    with pytest.raises(ValueError, match="labels has 1"):
        TextClassification(labels=("a",), vocabulary=(*SPECIAL, "z"), length=3)
    with pytest.raises(ValueError, match="length is 0"):
        TextClassification(labels=("a", "b"), vocabulary=(*SPECIAL, "z"), length=0)
    with pytest.raises(InputError, match="no word occurs in two texts"):
        TextClassification.fitted(("a", "b"), ["one", "two"])


def test_naive_bayes_equals_scikit_learn() -> None:
    from sklearn.naive_bayes import MultinomialNB

    dice = np.random.default_rng(0)
    texts = [dice.integers(0, 6, dice.integers(1, 8)).tolist() for _ in range(60)]
    labels = dice.integers(0, 2, 60)
    grams = [{*t, *pairwise(t)} for t in texts]
    known = sorted({g for gs in grams for g in gs}, key=str)
    counts = np.array([[g in gs for g in known] for gs in grams], dtype=int)
    prior = np.log((np.bincount(labels) + 1) / 62)
    theirs = MultinomialNB(alpha=1.0).fit(counts, labels)
    theirs.class_log_prior_ = prior
    ours = NaiveBayes(texts, labels.tolist(), 2)
    made = np.stack([ours.probabilities(t) for t in texts])
    np.testing.assert_allclose(made, theirs.predict_proba(counts), atol=1e-9)


def test_characters_are_read_as_they_are_written() -> None:
    task = TextClassification.fitted(("a", "b"), ["Ab-c", "cab", "bA"], unit="character")
    assert task.vocabulary == (*SPECIAL, "b", "A", "c") and task.length == 4
    assert task.encode(["bAcbA", "a", ""]).tolist() == [[2, 3, 4, 2], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert task.decode(np.array([2, 3, 1, 0])) == "bA[?]"
    assert task.examples()[0] == {"text": "bAc"}
    with pytest.raises(ValueError, match="unit is 'letter'; it must be one of 'word', 'character', 'piece'"):
        TextClassification(labels=("a", "b"), vocabulary=(*SPECIAL, "x"), length=4, unit="letter")
    with pytest.raises(InputError, match="no character occurs in two texts"):
        TextClassification.fitted(("a", "b"), ["ab", "cd"], unit="character")


# -- word pieces, which weights bring along ---------------------------------------------------------
PIECES = (*FRAMED, "the", "film", "is", "so", "love", "##ly", "awful", ",", "really", "!")


def test_weights_decide_how_a_text_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", sample())
    asked = Options(target="stars", fixed={"unit": "piece", "vocabulary": PIECES})
    task, data = TextClassification.read(path, asked)
    assert task.vocabulary == PIECES and task.unit == "piece" and task.length == 13
    row = preprocessing.apply(task.preprocessing(), "The lovely film [SEP]")["tokens"]
    assert row[:5].tolist() == [2, 5, 9, 10, 6] and row.tolist().count(3) == 1
    assert torch.equal(task.encode(["The lovely film [SEP]"])[0], torch.from_numpy(row))
    assert task.decode(row) == "the lovely film [?] [?] [?]"
    assert data.train.rows(torch.arange(2))[0].shape == (2, task.length)
    assert preprocessing.bounds(task.preprocessing(), "tokens") == (0, len(PIECES) - 1)
    found = task.baselines(data)
    assert found["naive Bayes, pieces and pairs"].metrics["accuracy"] > 0.6
    assert all(isinstance(example["review"], str) for example in task.examples())
    assert task.examples()[0]["review"].startswith("the film is so love awful")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vocabulary": PIECES[1:]}, r"it begins with \[PAD\], then pieces"),
        ({"vocabulary": ("[PAD]", "a", "b")}, r"vocabulary has no \[UNK\], \[CLS\], \[SEP\], \[MASK\]"),
        ({"length": 2}, "length is 2; it must be 3 or more"),
    ],
)
def test_pieces_need_their_marks(changed: dict[str, Any], words: str) -> None:
    given = {"labels": ("a", "b"), "vocabulary": PIECES, "length": 8, "unit": "piece"} | changed
    with pytest.raises(ValueError, match=words):
        TextClassification(**given)


# -- what an answer says, and when there is none ----------------------------------------------------
WORDS = TextClassification(labels=("bad", "good"), vocabulary=(*SPECIAL, "a", "b"), length=4)


def unsure(arrays: Arrays) -> Arrays:
    return {"probabilities": np.full((len(arrays["tokens"]), 2), 0.5, np.float32)}


def asked(task: TextClassification, *texts: str, network: Any = unsure) -> list[dict[str, Any]]:
    return task.respond(network, [preprocessing.apply(task.preprocessing(), text) for text in texts])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_no_answer(bad: float) -> None:
    task = WORDS

    def model(tokens: torch.Tensor) -> torch.Tensor:
        return torch.where((tokens == 3).any(dim=1, keepdim=True), torch.tensor([bad, 0.0]), torch.zeros(2))

    def network(arrays: Arrays) -> Arrays:
        (shares,) = task.finish(model(torch.from_numpy(arrays["tokens"])))
        return {"probabilities": shares.numpy()}

    with pytest.raises(RunError, match=r"'a b' has the probabilities \[nan.*an earlier checkpoint"):
        asked(task, "a", "a b", network=network)
    assert asked(task, "a", "a a", network=network)[1]["label"] == "bad"


def test_a_class_that_is_excluded_is_a_number() -> None:
    task = WORDS
    (shares,) = task.finish(torch.tensor([[-torch.inf, 0.0]]))
    answer = asked(task, "a", network=lambda arrays: {"probabilities": shares.numpy()})
    assert answer[0]["probabilities"] == {"bad": 0.0, "good": 1.0}


@pytest.mark.parametrize(
    ("unit", "text", "said"),
    [
        ("word", "a b c d", None),
        ("word", "a, b c!", "only the first 4 of 5 words were read"),
        ("word", "never seen " * 30, "only the first 4 of 60 words were read"),
        ("word", "a " * 5_000, "only the first 4 of more than 1,024 words were read"),
        ("character", "a ba", None),
        ("character", "a bab", "only the first 4 of 5 characters were read"),
        ("piece", "the film", None),
        ("piece", "lovely film", "only the first 2 of 3 pieces were read"),
        ("piece", "film " * 1_024, "only the first 2 of 1,024 pieces were read"),
        ("piece", "film " * 1_025, "only the first 2 of more than 1,024 pieces were read"),
        ("word", "", None),
    ],
)
def test_a_text_that_is_cut_is_said(unit: str, text: str, said: str | None) -> None:
    known = PIECES if unit == "piece" else WORDS.vocabulary
    task = TextClassification(labels=("bad", "good"), vocabulary=known, length=4, unit=unit)
    (answer,) = asked(task, text)
    assert answer.get("cut") == said and set(answer) - {"cut"} == {"label", "probabilities"}
    one, many = asked(task, text, "a a a a a a")
    assert one == answer and "cut" in many, "texts of one batch are told apart"


def test_an_artifact_of_before_answers_as_it_did() -> None:
    before = WORDS.preprocessing()[:1]
    (answer,) = WORDS.respond(unsure, [preprocessing.apply(before, "a " * 9)])
    assert set(answer) == {"label", "probabilities"}


# -- what the report looks into -----------------------------------------------------------------------
WEIGHED = {"not": -2.0, "superb": 3.0, "dull": -1.5, "film": 0.0, "the": 0.25, "'": 0.0, "t": -1.0}
JUDGE = TextClassification(labels=("bad", "good"), vocabulary=(*SPECIAL, *WEIGHED), length=8)


def judge(arrays: Arrays) -> Arrays:
    """Adds up a number for each word: by hand, so that it is known what each adds."""
    weight = np.array([0.0, 0.5, *WEIGHED.values()])
    good = 1 / (1 + np.exp(-weight[arrays["tokens"]].sum(axis=1)))
    return {"probabilities": np.stack([1 - good, good], axis=1).astype(np.float32)}


def judged(texts: list[str], labels: list[int]) -> dict[str, Section]:
    split = Tensors((JUDGE.encode(texts), torch.tensor(labels)))
    return {s.title: s for s in JUDGE.sections(JUDGE.evaluate(judge, split), split)}


def test_the_report_parts_texts_by_negation_and_length() -> None:
    texts = (
        ["the superb film"] * 30 + ["superb"] * 25 + ["not superb the film"] * 24 + ["didn't dull ? ?"] * 6
    )
    section = judged(texts, [1] * 55 + [0] * 30)["Slices"]
    (table,) = section.blocks
    assert [row[:3] for row in table.rows] == [  # type: ignore[attr-defined]
        ["all", 85, "0.718"], ["with a negation", 30, "0.200"], ["without one", 55, "1.000"],
        ["length 1 to 3", 55, "1.000"], ["length 4", 24, "0.000"], ["length 6", 6, "fewer than 20 texts"],
    ]  # fmt: skip


def test_the_report_tells_what_each_token_adds() -> None:
    """Of a sum of numbers, each adds its own beyond that of an unknown word."""
    section = judged(["the superb film", "not superb", "dull film"], [1, 0, 0])["What each token adds"]
    (block,) = section.blocks
    assert isinstance(block, MarkedTexts)
    assert [text.title for text in block.texts] == [
        "said good, is bad, 73.1% sure", "said good, rightly, 96.3% sure", "said bad, rightly, 81.8% sure",
    ]  # fmt: skip
    for text in block.texts:
        side = 1 if "said good" in text.title else -1
        for mark in text.marks:
            assert mark.adds == pytest.approx(side * (WEIGHED[mark.text] - 0.5), abs=1e-5)
