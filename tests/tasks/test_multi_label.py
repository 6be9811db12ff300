"""The task of several labels: answers, scores, report, what it refuses, and a whole run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fathom.applications.recognition import label_finder
from fathom.data.composed import drawn_marks
from fathom.deployment import artifact, preprocessing
from fathom.errors import InputError
from fathom.task import Arrays, Options, Task
from fathom.tasks.multi_label import MultiLabel
from fathom.training.run import Run
from fathom.verbs.calibrate import answered
from fathom.verbs.train import train

TASK = MultiLabel(labels=("bar", "post", "dot"), channels=1, height=16, width=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(label_finder.tiny(), out=tmp_path_factory.mktemp("runs") / "marks", export=False)


def network(*rows: list[float]) -> Any:
    def answer(arrays: Arrays) -> Arrays:
        return {"presence": np.asarray(rows[: len(arrays["image"])], np.float32)}

    return answer


def test_it_is_a_task() -> None:
    assert isinstance(TASK, Task)
    items = [preprocessing.apply(TASK.preprocessing(), item) for item in TASK.examples()]
    assert [item["image"].shape for item in items] == [(1, 16, 16)] * 3


def test_answers_name_what_reaches_the_threshold_the_surest_first() -> None:
    items = [{"image": np.zeros((1, 16, 16), np.uint8)}] * 3
    rows = [0.6, 0.1, 0.9], [0.5, 0.4, 0.3], [0.1, 0.2, 0.3]
    answers = TASK.respond(network(*rows), items)
    assert [a["labels"] for a in answers] == [["dot", "bar"], ["bar"], []]
    assert answers[0]["probabilities"] == pytest.approx({"bar": 0.6, "post": 0.1, "dot": 0.9})
    strict = MultiLabel(labels=TASK.labels, channels=1, height=16, width=16, threshold=0.7)
    assert [a["labels"] for a in strict.respond(network(*rows), items)] == [["dot"], [], []]


def test_a_run_is_scored_reported_and_answers(run: Run, tmp_path: Path) -> None:
    assert run.metrics["valid/mean_average_precision"] > 0.9
    low, high = run.result["intervals"]["valid/mean_average_precision"]
    assert low <= run.metrics["valid/mean_average_precision"] <= high
    assert "test/f1" in run.result["intervals"] and "test/exact" in run.result["intervals"]
    page = run.report.read_text(encoding="utf-8")
    assert "average precision" in page and ">post<" in page
    image, target = drawn_marks(train=1, valid=64).load().valid.columns  # type: ignore[union-attr]
    Image.fromarray(image[0, 0].numpy()).save(tmp_path / "x.png")
    answer = run.predict(tmp_path / "x.png")
    assert set(answer["probabilities"]) == set(TASK.labels)
    there = {label for label, value in zip(TASK.labels, target[0], strict=True) if value}
    assert set(answer["labels"]) == {n for n, p in answer["probabilities"].items() if p >= 0.5}
    assert len(there ^ set(answer["labels"])) <= 1


def test_an_artifact_keeps_the_threshold(run: Run) -> None:
    assert artifact.open_artifact(run.folder).task == TASK


def test_temperature_is_for_labels_that_compete(run: Run) -> None:
    split = drawn_marks(train=1, valid=64).load().valid
    assert split is not None
    with pytest.raises(InputError, match="does not answer with a probability for each class"):
        answered(artifact.open_artifact(run.folder), split)


def test_what_was_told_wrongly_is_shown() -> None:
    split = drawn_marks(train=1, valid=4).load().valid
    assert split is not None
    truth = split.rows(torch.arange(4))[-1].numpy()
    found = TASK.evaluate(network(*(0.2 + 0.6 * (1 - truth)).tolist()), split)
    *_, errors = TASK.sections(found, split)
    (gallery,) = errors.blocks
    assert errors.title == "Worst errors" and len(gallery.images) == 4  # type: ignore[attr-defined]
    shown = {(picture.label, picture.detail) for picture in gallery.images}  # type: ignore[attr-defined]
    for row in truth > 0.5:
        assert (f"shows {TASK.named(row)}", f"said {TASK.named(~row)}") in shown


def test_the_baseline_is_how_frequent_labels_are() -> None:
    data = drawn_marks(train=200, valid=80).load()
    (found,) = TASK.baselines(data).values()
    truth = data.valid.columns[-1].numpy()  # type: ignore[union-attr]
    expected = truth.mean(axis=0).mean()  # all in one rank: precision is the share of those that have it
    assert found.metrics["mean_average_precision"] == pytest.approx(float(expected), abs=1e-6)


def test_the_proposed_experiment_trains() -> None:
    data = drawn_marks(train=100, valid=20).load()
    experiment = TASK.experiment(data, seed=3)
    assert (experiment.model.classes, experiment.batch_size, experiment.steps) == (3, 10, 200)  # type: ignore[attr-defined]
    learner = experiment.learner()
    metrics = learner.update(next(experiment.source(data).stream(learner, 0)), 0)
    assert math.isfinite(metrics["loss"]) and 0 <= float(metrics["exact"]) <= 1


def test_what_is_refused(tmp_path: Path) -> None:
    for settings, said in (
        ({"labels": ()}, "labels is empty"), ({"channels": 2}, "channels is 2"),
        ({"threshold": 1.0}, "threshold is 1.0; it must lie between 0 and 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            MultiLabel(**{"labels": ("a",), "channels": 1, "height": 8, "width": 8, **settings})
    assert MultiLabel.recognise(tmp_path, Options()) is None
    for call in (MultiLabel.read, TASK.read_labelled):
        with pytest.raises(InputError, match="looked for one table"):
            call(tmp_path, Options())


def shapes(folder: Path, count: int, seed: int) -> dict[str, set[str]]:
    """Pictures of 32 pixels below ``folder`` with up to three things on each, and what they show."""
    dice, shown = np.random.default_rng(seed), {}
    (folder / "Bilder").mkdir(parents=True)
    for i in range(count):
        pixels = dice.integers(0, 60, (32, 32, 3)).astype(np.uint8)
        there = {name for name in ("rotes Feld", "blue", "Überstrich") if dice.random() < 0.5}
        y, x = dice.integers(2, 20, 2)
        if "rotes Feld" in there:
            pixels[y : y + 9, x : x + 9] = (230, 30, 30)
        if "blue" in there:
            pixels[y : y + 9, 31 - x - 9 : 31 - x] = (30, 30, 230)
        if "Überstrich" in there:
            pixels[28 - y : 30 - y] = (240, 240, 40)
        Image.fromarray(pixels).save(folder / "Bilder" / f"{i:03d} neu.png")
        shown[f"{i:03d} neu.png"] = there
    return shown


def written(folder: Path, shown: dict[str, set[str]]) -> None:
    rows = [f"{name},{'; '.join(sorted(labels))}" for name, labels in shown.items()]
    (folder / "labels.csv").write_text("\n".join(["file,labels", *rows]), encoding="utf-8")


@pytest.mark.slow
def test_a_folder_with_a_table_of_labels_goes_the_whole_way(tmp_path: Path) -> None:
    """Recognised, trained, exported, asked, scored on new pictures; labels it never saw are refused."""
    from fathom.verbs.evaluate import evaluate
    from fathom.verbs.fit import fit

    shown = shapes(tmp_path / "seen", 240, 0)
    written(tmp_path / "seen", shown)
    run = fit(tmp_path / "seen", time="40s", out=tmp_path / "run")
    task = artifact.open_artifact(run.folder).task
    assert isinstance(task, MultiLabel) and task.labels == ("blue", "rotes Feld", "Überstrich")
    assert (task.channels, task.height, task.width) == (3, 32, 32)
    assert run.metrics["valid/mean_average_precision"] > 0.95
    new = shapes(tmp_path / "new", 60, 1)
    written(tmp_path / "new", new)
    assert evaluate(run.folder, tmp_path / "new")["metrics"]["mean_average_precision"] > 0.9
    answer = run.predict(tmp_path / "new" / "Bilder" / "007 neu.png")
    assert len(set(answer["labels"]) ^ new["007 neu.png"]) <= 1
    written(tmp_path / "new", new | {"007 neu.png": {"tree"}})
    with pytest.raises(InputError, match=r"label.*tree"):
        evaluate(run.folder, tmp_path / "new")
    with pytest.raises(InputError, match="leave out --from"):
        MultiLabel.read(tmp_path / "seen", Options(fixed={"resize": 32}))
