"""Texts are cut into tokens, written token by token, and scored without their padding."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fathom.architectures.recurrent import seq2seq
from fathom.data.split import Data
from fathom.deployment import artifact, preprocessing
from fathom.deployment.export import export
from fathom.errors import InputError
from fathom.task import Arrays, Boundary, Options
from fathom.tasks.sequence_to_sequence import END, PADDING, SPECIAL, START, UNKNOWN, SequenceToSequence
from fathom.training import train
from fathom.training.objectives import IGNORE

PAIRS = [("A red house.", "Ein rotes Haus."), ("A house", "Ein Haus"), ("Red!", "Rot!")]


@pytest.fixture
def task() -> SequenceToSequence:
    return SequenceToSequence.fitted(PAIRS, source_length=6, target_length=5)


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Any, Any]:
    """The tiny run: experiment, data, model."""
    experiment = seq2seq.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    return experiment, data, learner.model


def decode(task: SequenceToSequence, *texts: str) -> list[Arrays]:
    return [preprocessing.apply(task.preprocessing(), text) for text in texts]


def flat(task: SequenceToSequence, arrays: Arrays) -> np.ndarray:
    """Scores that prefer nothing."""
    shape = len(arrays["source"]), task.target_length, len(task.target_vocabulary)
    return np.zeros(shape, dtype=np.float32)


def script(task: SequenceToSequence, words: list[str]) -> Any:
    """A network that knows what it wants to write, if it is told what it wrote."""
    wanted = [task.target_vocabulary.index(word) for word in words]

    def network(arrays: Arrays) -> Arrays:
        logits = np.zeros(
            (len(arrays["source"]), task.target_length, len(task.target_vocabulary)), np.float32
        )
        for row, previous in enumerate(arrays["previous"].tolist()):
            for place in range(task.target_length):
                right = previous[: place + 1] == [START, *wanted[:place]] and place < len(wanted)
                logits[row, place, wanted[place] if right else END] = 5.0
        return {"logits": logits}

    return network


def test_rows_hold_source_previous_and_target(task: SequenceToSequence) -> None:
    source, previous, target = task.split(PAIRS).rows(torch.arange(3))
    words = [task.source_vocabulary[i] for i in source[0].tolist()]
    assert words == ["a", "red", "house", ".", "<end>", "<padding>"]
    assert [task.target_vocabulary[i] for i in previous[0].tolist()] == [
        "<start>",
        "ein",
        "rotes",
        "haus",
        ".",
    ]
    assert [task.target_vocabulary[i] for i in target[0].tolist()] == ["ein", "rotes", "haus", ".", "<end>"]
    assert target[1].tolist()[2:] == [END, IGNORE, IGNORE]
    assert previous[1].tolist()[3:] == [PADDING, PADDING]


def test_a_row_is_what_a_request_becomes(task: SequenceToSequence) -> None:
    source, _, _ = task.split(PAIRS).rows(torch.arange(3))
    for row, (text, _) in zip(source.numpy(), PAIRS, strict=True):
        np.testing.assert_array_equal(row, decode(task, text)[0]["source"])


def test_rare_words_are_unknown() -> None:
    task = SequenceToSequence.fitted(PAIRS, source_length=6, target_length=5, minimum=2)
    assert task.source_vocabulary == (*SPECIAL, "a", "house", "red")
    _, _, target = task.split(PAIRS).rows(torch.tensor([2]))
    assert target[0, :3].tolist() == [UNKNOWN, UNKNOWN, END]


@pytest.mark.parametrize("pair", [("a a a a a a", "ein"), ("a", "ein ein ein ein ein")])
def test_pairs_that_do_not_fit_are_refused(task: SequenceToSequence, pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=r"tokens; at most \d fit"):
        task.split([pair])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source_vocabulary", ("a", "b")),
        ("target_vocabulary", SPECIAL),
        ("target_vocabulary", (*SPECIAL, "a", "a")),
        ("source_length", 1),
        ("unit", "syllable"),
        ("beams", 0),
        ("length_penalty", -1.0),
    ],
)
def test_nonsense_is_refused(field: str, value: Any) -> None:
    good = {"source_vocabulary": (*SPECIAL, "a"), "target_vocabulary": (*SPECIAL, "a")}
    with pytest.raises(ValueError, match=field):
        SequenceToSequence(**{**good, "source_length": 4, "target_length": 4, field: value})


def test_files_are_refused_with_a_way_out(tmp_path: Path, task: SequenceToSequence) -> None:
    assert SequenceToSequence.recognise(tmp_path, Options()) is None
    with pytest.raises(InputError, match="fathom train seq2seq"):
        SequenceToSequence.read(tmp_path, Options())
    with pytest.raises(InputError, match="Python"):
        task.read_labelled(tmp_path, Options())


def test_what_was_written_is_told_to_the_network(task: SequenceToSequence) -> None:
    answers = task.respond(script(task, ["rotes", "haus", "."]), decode(task, "red", "a house"))
    assert [answer["text"] for answer in answers] == ["rotes haus ."] * 2
    assert answers[0] == {"text": "rotes haus .", "tokens": 3, "unknown": 0, "cut": False}


def test_writing_stops_where_there_is_no_more_room(task: SequenceToSequence) -> None:
    answer = task.respond(script(task, ["haus"] * 5), decode(task, "red"))[0]
    assert answer["tokens"] == 5


def test_an_answer_says_what_was_not_read(task: SequenceToSequence) -> None:
    network = script(task, ["haus"])
    long, strange, empty = task.respond(network, decode(task, "a a a a a a a", "a green house", ""))
    assert long["cut"] and not strange["cut"] and not empty["cut"]
    assert (long["unknown"], strange["unknown"], empty["unknown"]) == (0, 1, 0)


def test_words_without_meaning_are_never_written(task: SequenceToSequence) -> None:
    def network(arrays: Arrays) -> Arrays:
        logits = np.zeros(
            (len(arrays["source"]), task.target_length, len(task.target_vocabulary)), np.float32
        )
        logits[:, :, [PADDING, START, UNKNOWN]] = 9.0
        logits[:, :, task.target_vocabulary.index("haus")] = 1.0
        return {"logits": logits}

    assert task.respond(network, decode(task, "red"))[0]["text"] == "haus haus haus haus haus"


def test_together_and_alone_sources_get_the_same_text(trained: tuple[Any, Any, Any]) -> None:
    experiment, _, model = trained
    network = Boundary(experiment.task, model)
    texts = ["0123", "3", "", "21", "1110"]
    together = experiment.task.respond(network, decode(experiment.task, *texts))
    assert together == [experiment.task.respond(network, decode(experiment.task, text))[0] for text in texts]
    assert [answer["text"] for answer in together][:2] == ["3210", "3"]


@pytest.mark.slow
def test_torch_and_onnx_write_the_same_text(trained: tuple[Any, Any, Any], tmp_path: Path) -> None:
    experiment, _, model = trained
    task = experiment.task
    artifact.write(
        tmp_path, task=task, model=model, system="seq2seq", digest="0" * 64, name="backwards", facts={}
    )
    assert export(tmp_path, task, model)["equal"]
    texts = ["".join(f"{n:04b}").replace("0", "3") for n in range(16)]
    ours = artifact.open_artifact(tmp_path, "torch").predict(texts)
    assert ours == artifact.open_artifact(tmp_path, "onnx").predict(texts)
    assert len({answer["text"] for answer in ours}) > 10


def test_a_network_that_knows_nothing_costs_the_logarithm_of_the_vocabulary(task: SequenceToSequence) -> None:
    def network(arrays: Arrays) -> Arrays:
        return {"logits": flat(task, arrays)}

    found = task.evaluate(network, task.split(PAIRS))
    assert found.metrics["loss"] == pytest.approx(math.log(len(task.target_vocabulary)))


def test_scores_equal_the_objective_and_their_items(trained: tuple[Any, Any, Any]) -> None:
    from fathom.training.objectives import NextToken

    experiment, data, model = trained
    found = experiment.task.evaluate(Boundary(experiment.task, model), data.train)  # two batches of rows
    with torch.no_grad():
        expected, _ = NextToken()(model, data.train.rows(torch.arange(len(data.train))))
    assert found.metrics["loss"] == pytest.approx(expected.item(), abs=1e-5)
    for name in ("loss", "accuracy"):
        assert found.items[name].mean() == pytest.approx(found.metrics[name])
        assert len(found.items[name]) == len(data.train)


def test_baselines_do_not_look_at_the_source(task: SequenceToSequence) -> None:
    split = task.split(PAIRS)
    found = task.baselines(Data(train=split, valid=split))
    unigram, bigram = found.values()
    assert bigram.metrics["loss"] < unigram.metrics["loss"] < math.log(len(task.target_vocabulary))
    assert len(unigram.items["loss"]) == 3
    other = task.split([("red", german) for _, german in PAIRS])
    assert (
        task.baselines(Data(train=other, valid=other))["bigram counts of the target"].metrics
        == bigram.metrics
    )


def test_the_report_shows_what_is_written(trained: tuple[Any, Any, Any]) -> None:
    experiment, data, model = trained
    found = experiment.task.evaluate(Boundary(experiment.task, model), data.valid)
    sections = experiment.task.sections(found, data.valid)
    assert [s.title for s in sections] == ["Written freely", "By length", "Where it looks"]
    table, bars = sections[0].blocks[0], sections[1].blocks[0]
    asked, wanted, _ = table.rows[0]  # type: ignore[attr-defined]
    assert wanted == asked[::-1]
    assert "written exactly as expected" in table.html()
    assert len(sections[2].blocks) == 4 and "written" in sections[2].blocks[0].html()
    assert len(bars.labels) == 4 and all(0 <= v <= 1 for v in bars.values)  # type: ignore[attr-defined]


def test_exact_counts_what_is_written_freely(task: SequenceToSequence) -> None:
    found = task.evaluate(script(task, ["ein", "haus"]), task.split(PAIRS))
    assert found.items["exact"].tolist() == [0, 1, 0] and found.metrics["exact"] == pytest.approx(1 / 3)
    assert found.detail["wanted"][1] == found.detail["written"][1] == "ein haus"
    assert not found.detail["alignments"]  # this network shows none
    assert [s.title for s in task.sections(found, None)] == ["Written freely", "By length"]


def test_alignments_belong_to_what_is_written(trained: tuple[Any, Any, Any]) -> None:
    """Written backwards, the first digit is found at the end of the source and the last at its beginning."""
    experiment, data, model = trained
    found = experiment.task.evaluate(Boundary(experiment.task, model), data.valid)
    for (written, read, looked), text, asked in zip(
        found.detail["alignments"], found.detail["written"], found.detail["asked"], strict=False
    ):
        assert "".join(written) == text + "<end>" and "".join(read) == asked + "<end>"
        np.testing.assert_allclose(looked.sum(axis=1), 1, atol=1e-5)


def test_more_beams_find_likelier_texts(trained: tuple[Any, Any, Any]) -> None:
    """On the mean of the rows; one row may lose what the wider beam crowds out."""
    experiment, data, _ = trained
    fresh = experiment.model.build().eval()
    for weight in fresh.parameters():
        torch.nn.init.normal_(weight, std=0.8)
    totals = []
    source = data.valid.rows(torch.arange(len(data.valid)))[0].numpy()
    for beams in (1, 5):
        task = dataclasses.replace(experiment.task, beams=beams)
        network = Boundary(task, fresh)
        texts = task.write(network, source)
        previous = np.full((len(source), task.target_length), PADDING)
        goal = np.full((len(source), task.target_length), IGNORE)
        for k, text in enumerate(texts):
            whole = [*text, END][: task.target_length]
            previous[k, : len(whole)] = [START, *whole[:-1]]
            goal[k, : len(whole)] = whole
        logits = torch.from_numpy(network({"source": source, "previous": previous})["logits"])
        logits[:, :, [PADDING, START, UNKNOWN]] = -math.inf
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(goal).flatten(), ignore_index=IGNORE, reduction="none"
        )
        totals.append(-losses.reshape(goal.shape).sum(dim=1))
    assert (totals[1] > totals[0] + 1e-3).any() and totals[1].mean() > totals[0].mean()
