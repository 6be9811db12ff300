"""Texts are cut into tokens, written token by token, and scored without their padding."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fathom.architectures.recurrent import seq2seq
from fathom.data.split import Data, Tensors
from fathom.deployment import artifact, preprocessing
from fathom.deployment.export import export
from fathom.errors import InputError, RunError
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


def decode(task: SequenceToSequence, *texts: Any) -> list[Arrays]:
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


def test_a_network_that_gives_no_numbers_is_said_to_be_damaged(task: SequenceToSequence) -> None:
    def broken(arrays: Arrays) -> Arrays:
        return {"logits": flat(task, arrays) * np.nan}

    with pytest.raises(RunError, match=r"logits holds nan.*overflowed or its weights are damaged"):
        task.respond(broken, decode(task, "red"))


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
        ("spelling", ("a", "b")),
    ],
)
def test_nonsense_is_refused(field: str, value: Any) -> None:
    good = {"source_vocabulary": (*SPECIAL, "a"), "target_vocabulary": (*SPECIAL, "a")}
    with pytest.raises(ValueError, match=field):
        SequenceToSequence(**{**good, "source_length": 4, "target_length": 4, field: value})


def test_what_was_written_is_told_to_the_network(task: SequenceToSequence) -> None:
    answers = task.respond(script(task, ["rotes", "haus", "."]), decode(task, "red", "a house"))
    assert [answer["text"] for answer in answers] == ["Rotes Haus."] * 2
    assert answers[0] == {"text": "Rotes Haus.", "tokens": 3, "unknown": 0, "cut": False}


def test_without_spelling_words_stay_as_they_are_known(task: SequenceToSequence) -> None:
    """As in artifacts of before there was one."""
    plain = dataclasses.replace(task, spelling=(), capitals=False)
    assert (
        plain.respond(script(task, ["rotes", "haus", "."]), decode(task, "red"))[0]["text"] == "rotes haus ."
    )


def test_a_request_is_a_text_or_has_the_column_as_its_field(task: SequenceToSequence) -> None:
    named = dataclasses.replace(task, source="en")
    for item in ("A house", {"en": "A house", "de": "ignored"}):
        np.testing.assert_array_equal(decode(named, item)[0]["source"], decode(task, "a HOUSE")[0]["source"])
    with pytest.raises(InputError, match="'en' is missing"):
        decode(named, {"de": "Ein Haus"})
    assert 'field="en"' in named.page()


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

    assert task.respond(network, decode(task, "red"))[0]["text"] == "Haus Haus Haus Haus Haus"


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
    titles = ["Written freely", "By length", "Against the references", "Where it looks"]
    assert [s.title for s in sections] == titles
    table, bars = sections[0].blocks[0], sections[1].blocks[0]
    asked, wanted, _ = table.rows[0]  # type: ignore[attr-defined]
    assert wanted == asked[::-1]
    assert "written exactly as expected" in table.html()
    assert [row[0] for row in sections[2].blocks[0].rows] == ["chrF"]  # type: ignore[attr-defined]
    assert len(sections[3].blocks) == 4 and "written" in sections[3].blocks[0].html()
    assert len(bars.labels) == 4 and all(0 <= v <= 1 for v in bars.values)  # type: ignore[attr-defined]


def test_exact_counts_what_is_written_freely(task: SequenceToSequence) -> None:
    found = task.evaluate(script(task, ["ein", "haus"]), task.split(PAIRS))
    assert found.items["exact"].tolist() == [0, 1, 0] and found.metrics["exact"] == pytest.approx(1 / 3)
    assert found.detail["wanted"][1] == found.detail["written"][1] == "ein haus"
    assert not found.detail["alignments"]  # this network shows none
    titles = ["Written freely", "By length", "Against the references"]
    assert [s.title for s in task.sections(found, None)] == titles


def test_bleu_and_chrf_are_those_of_sacrebleu_against_the_texts_as_given(task: SequenceToSequence) -> None:
    """Capitals, glued signs and all; not against the row, in which rare words are one token."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    pairs = [
        ("a red house", "Ein rotes Haus, immer."),
        ("a house.", "Ein unbekanntes Haus."),
        ("red", "Rot!"),
    ]
    split = dataclasses.replace(task, target_length=8).split(pairs)
    wide = dataclasses.replace(task, target_length=8)
    found = wide.evaluate(script(wide, ["ein", "rotes", "haus", ".", "rot", "!"]), split)
    assert found.detail["spelled"] == ["Ein rotes Haus. Rot!"] * 3
    references = [target for _, target in pairs]
    assert found.detail["references"] == references
    score = BLEU(force=True).corpus_score(found.detail["spelled"], [references]).score
    assert found.metrics["bleu"] == pytest.approx(score, abs=1e-9) and score > 1
    score = CHRF().corpus_score(found.detail["spelled"], [references]).score
    assert found.metrics["chrf"] == pytest.approx(score, abs=1e-9)
    assert "bleu" not in found.items  # of all rows together: there is none of one row
    table = wide.sections(found, split)[2].blocks[0]
    assert [row[0] for row in table.rows] == ["BLEU", "chrF"]  # type: ignore[attr-defined]
    assert "tok:13a" in table.html() and f"{found.metrics['bleu']:.1f}" in table.html()


def test_no_score_without_the_texts_as_given_and_no_bleu_of_characters(task: SequenceToSequence) -> None:
    split = task.split(PAIRS)
    reduced = Data(train=split).reduced(2).train
    assert task.evaluate(script(task, ["rot", "!"]), reduced).detail["references"] == [
        t for _, t in PAIRS[:2]
    ]
    bare = task.evaluate(script(task, ["rot", "!"]), Tensors(split.columns))
    assert not {"bleu", "chrf"} & bare.metrics.keys() and bare.metrics["exact"] == pytest.approx(1 / 3)
    assert [s.title for s in task.sections(bare, None)] == ["Written freely", "By length"]
    letters = SequenceToSequence.fitted([("a", "b")], source_length=3, target_length=3, unit="character")
    found = letters.evaluate(script(letters, ["b"]), letters.split([("a", "b")]))
    assert found.metrics["chrf"] == pytest.approx(100) and "bleu" not in found.metrics
    assert letters.scored_by().keys() == {"chrf"} and not letters.spelling


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


NUMBERS = {"one": "ein", "two": "zwei", "three": "drei", "red": "rote", "blue": "blaue", "old": "alte"}


def sentences(place: Path, longest: int = 0) -> Path:
    """Pairs that translate word by word, in a table; with a last one of ``longest`` words."""
    things = {"house": "Haus", "dog": "Hund", "tree": "Baum", "street": "Straße", "man": "Mann"}
    lines = ["en\tde"]
    for number in list(NUMBERS)[:3]:
        for colour in list(NUMBERS)[3:]:
            for thing, wanted in things.items():
                lines.append(
                    f"{number} {colour} {thing}.\t{NUMBERS[number].title()} {NUMBERS[colour]} {wanted}."
                )
    if longest:
        lines.append("word " * longest + "\t" + "Wort " * longest)
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def test_a_table_is_read_with_lengths_that_fit_it(tmp_path: Path) -> None:
    options = Options(text="en", target="de")
    task, data = SequenceToSequence.read(sentences(tmp_path / "pairs.tsv"), options)
    assert (task.source, task.target, task.unit) == ("en", "de", "word")
    assert (task.source_length, task.target_length) == (5, 5) and task.capitals
    assert "straße" in task.target_vocabulary and " Straße " in task.spelling
    assert data.facts["train"] == len(data.train) == 36 and data.facts["valid"] == 9
    assert data.facts["source"].endswith("pairs.tsv") and data.facts["columns"] == ["en", "de"]
    assert data.facts["scored"]["bleu"].startswith("nrefs:1|case:mixed") and not data.facts["said"]
    assert data.valid is not None and data.valid.texts[0][1].endswith(".")  # type: ignore[attr-defined]


def test_pairs_that_are_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    place = sentences(tmp_path / "pairs.tsv", longest=80)
    _, data = SequenceToSequence.read(place, Options(text="en", target="de"))
    assert data.facts["said"] == [
        "1 pairs are left out, since they are longer: at most 50 words are read and 50 written"
    ] or data.facts["said"] == [
        "1 pairs are left out, since they are longer: at most 4 words are read and 4 written"
    ]  # by the side on which the long one is held
    assert data.facts["train"] + data.facts["valid"] == 45
    with pytest.raises(InputError, match="no pair of the split 'train' is short enough"):
        lines = ["en\tde", *(f"{n} {'x ' * 90}\t{n} {'y ' * 90}" for n in range(20))]
        place.write_text("\n".join(lines), encoding="utf-8")
        SequenceToSequence.read(place, Options(text="en", target="de"))


def test_settings_of_a_trained_model_are_kept(tmp_path: Path) -> None:
    place = sentences(tmp_path / "pairs.tsv")
    first, _ = SequenceToSequence.read(place, Options(text="en", target="de"))
    fixed = {
        f.name: getattr(first, f.name) for f in dataclasses.fields(first) if f.name not in ("target", "beams")
    }
    place.write_text(place.read_text("utf-8").replace("en\tde", "a\tb"), encoding="utf-8")
    again, _ = SequenceToSequence.read(place, Options(text="a", target="b", fixed=fixed))
    assert again == dataclasses.replace(first, source="a", target="b")


def test_texts_without_a_word_that_comes_again_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "pairs.csv"
    lines = ["en,de", *(f"a{n} b{n},c{n} d{n}" for n in range(20))]
    place.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match="no word stands 2 times in the sources"):
        SequenceToSequence.read(place, Options(text="en", target="de"))


def test_new_pairs_are_scored_as_they_stand(tmp_path: Path, task: SequenceToSequence) -> None:
    place = tmp_path / "new.csv"
    place.write_text("source,target\na red house.,Ein rotes Haus.\na a a a a a,zu lang\n", encoding="utf-8")
    data = task.read_labelled(place, Options())
    assert len(data.test or ()) == 1 and data.facts["said"][0].startswith("1 pairs are left out")
    assert task.evaluate(script(task, ["ein", "rotes", "haus", "."]), data.test).metrics["bleu"] > 99
    with pytest.raises(InputError, match="no column 'en'"):
        task.read_labelled(place, Options(text="en"))


def test_the_task_is_recognised_or_named(tmp_path: Path) -> None:
    from fathom.verbs.fit import named, recognise

    place = sentences(tmp_path / "pairs.tsv")
    kind, sighting = recognise(place, Options(text="en", target="de"))
    assert kind == "sequence_to_sequence" and "pairs of texts" in sighting.saw[-1]
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\n" + "a b c d,x\ne f g h,y\n" * 20, encoding="utf-8")
    assert recognise(labels, Options(text="text", target="label"))[0] == "text_classification"
    for name in ("sequence-to-sequence", "sequence_to_sequence"):
        assert named(name, labels, Options())[0] == "sequence_to_sequence"
    with pytest.raises(InputError, match="did you mean 'sequence_to_sequence'"):
        named("sequence-to-sequences", labels, Options())


def test_fit_resume_predict_and_evaluate_from_a_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from fathom.cli.command import main

    place, run = sentences(tmp_path / "pairs.tsv", longest=80), tmp_path / "run"
    command = ["fit", str(place), "--task", "sequence-to-sequence", "--text", "en", "--target", "de"]
    command += ["--set", "steps=400", "--set", "model.width=32", "--set", "model.embedding=16"]
    assert main([*command, "--set", "model.dropout=0.0", "--out", str(run)]) == 0
    assert "1 pairs are left out" in capfd.readouterr().err
    record = json.loads((run / "run.json").read_text())
    assert record["task"] == "sequence_to_sequence" and record["state"] == "finished"
    assert {"valid/bleu", "valid/chrf", "valid/exact"} <= record["result"]["metrics"].keys()
    assert record["result"]["metrics"]["valid/chrf"] > 50
    assert json.loads((run / "model" / "equality.json").read_text())["equal"]
    texts = {}
    for backend in ("torch", "onnx"):
        assert main(["predict", str(run), str(place), "--backend", backend, "--text", "two red dog."]) == 0
        rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert len(rows) == 47 and rows[-1]["text"].endswith(".") and rows[45]["cut"]
        texts[backend] = [row["text"] for row in rows]
    assert texts["torch"] == texts["onnx"] and texts["torch"][-1].startswith("Zwei ")
    assert main(["evaluate", str(run), str(place), "--json"]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["items"] == 45 and found["metrics"]["bleu"] > 50
    assert "Against the references" in (run / "report.html").read_text(encoding="utf-8")
