"""The task of finding boxes: selection, answers, scores, VOC folders, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fathom.applications.detection import grid_detector
from fathom.data.boxes import Boxed, drawn_shapes
from fathom.data.split import Data
from fathom.deployment import artifact, preprocessing
from fathom.deployment.export import export
from fathom.errors import InputError
from fathom.task import Arrays, Boundary, Options, Task
from fathom.tasks.detection import Detection
from fathom.training import train

TASK = Detection(labels=("disc", "square"))


def small() -> grid_detector.GridDetector:
    return grid_detector.Config(classes=2, width=6, blocks=1).build().eval()


def decoded() -> list[Arrays]:
    return [preprocessing.apply(TASK.preprocessing(), item) for item in TASK.examples()]


def test_it_is_a_task_whose_pictures_keep_their_size() -> None:
    assert isinstance(TASK, Task)
    assert [item["image"].shape for item in decoded()] == [(3, 40, 56), (3, 24, 72), (3, 8, 8)]
    assert TASK.collate(decoded())["image"].shape == (3, 3, 40, 72)


def test_selection_drops_faint_boxes_and_doubles_of_one_class() -> None:
    box = [0.0, 0, 10, 10]
    boxes = np.array([box, box, [0, 1, 10, 11], [30, 30, 40, 40]], np.float32)
    scores = np.array([[0.9, 0.1], [0.2, 0.7], [0.8, 0.6], [0.4, 0.29]], np.float32)
    found, labels, values = TASK.select(scores, boxes, 0.3)
    assert labels.tolist() == [0, 1, 0]
    assert values == pytest.approx([0.9, 0.7, 0.4])
    assert found[2].tolist() == [30, 30, 40, 40]
    none, labels, _ = TASK.select(scores, boxes, 0.95)
    assert none.shape == (0, 4)
    assert len(labels) == 0


def test_selection_keeps_the_best_hundred() -> None:
    corner = np.arange(300, dtype=np.float32)[:, None] * 20
    boxes = np.concatenate([corner, corner, corner + 10, corner + 10], axis=1)
    scores = np.linspace(0.31, 0.99, 300, dtype=np.float32)[:, None]
    _, _, values = Detection(labels=("one",)).select(scores, boxes, 0.3)
    assert len(values) == 100
    assert values[0] == pytest.approx(0.99)
    assert (np.diff(values) <= 0).all()


def test_answers_are_cut_at_the_edges_and_do_not_depend_on_company() -> None:
    model = small()
    with torch.no_grad():
        assert model.head.bias is not None
        model.head.bias[:2] = 3.0  # sure of everything
    network = Boundary(TASK, model)
    together = TASK.respond(network, decoded())
    for item, answer in zip(decoded(), together, strict=True):
        assert answer == TASK.respond(network, [item])[0]
        height, width = item["image"].shape[1:]
        assert answer["boxes"]
        for found in answer["boxes"]:
            left, top, right, bottom = found["box"]
            assert 0 <= left <= right <= width
            assert 0 <= top <= bottom <= height


@pytest.mark.slow
def test_exported_network_takes_any_size(tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        assert model.head.bias is not None
        model.head.bias[:2] = 0.0
    artifact.write(
        tmp_path, task=TASK, model=model, system="grid_detector", digest="0" * 64, name="x", facts={}
    )
    assert export(tmp_path, TASK, model)["equal"]
    ours, theirs = Boundary(TASK, model), artifact.onnx_network(tmp_path, TASK)
    dice = np.random.default_rng(0)
    for shape in ((1, 3, 8, 8), (3, 3, 64, 24), (2, 3, 40, 136)):
        arrays = {"image": dice.integers(0, 256, shape, dtype=np.uint8)}
        a, b = ours(arrays), theirs(arrays)
        assert a["scores"].shape == (shape[0], shape[2] * shape[3] // 64, 2)
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-4)


def truth(*boxes: list[float]) -> np.ndarray:
    return np.array(boxes, np.float32).reshape(-1, 5)


def found(*boxes: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of label, edges, score."""
    rows = np.array(boxes, np.float64).reshape(-1, 6)
    return rows[:, 1:5], rows[:, 0].astype(int), rows[:, 5]


def test_mean_average_precision_of_a_known_case() -> None:
    truths = [truth([0, 0, 0, 10, 10], [1, 20, 20, 30, 30]), truth([0, 0, 0, 10, 10])]
    answers = [
        found([0, 0, 0, 10, 10, 0.9], [0, 40, 40, 50, 50, 0.8], [1, 20, 20, 30, 30, 0.2]),
        found([0, 0, 0, 10, 9, 0.7]),
    ]
    evaluation = TASK.score(answers, truths)
    # discs: right, wrong, right of two (1/2 + 1/2 * 2/3); squares: the only one, though faint
    assert evaluation.metrics["mean_average_precision"] == pytest.approx((5 / 6 + 1) / 2)
    assert evaluation.items["recall"].tolist() == [1, 1, 0]  # the square is found below the threshold only
    assert evaluation.items["precision"].tolist() == [1, 0, 1]
    assert evaluation.metrics["recall"] == pytest.approx(2 / 3)


def test_classes_that_never_occur_are_left_out_of_the_mean() -> None:
    evaluation = TASK.score([found([0, 0, 0, 10, 10, 0.9])], [truth([0, 0, 0, 10, 10])])
    assert evaluation.metrics["mean_average_precision"] == 1
    with pytest.raises(InputError, match="no picture of this split has a box"):
        TASK.score([found()], [truth()])


def begins(image: np.ndarray, part: np.ndarray) -> bool:
    """Whether ``part`` fills the upper left corner of ``image``."""
    corner = image[:, : part.shape[1], : part.shape[2]]
    return corner.shape == part.shape and bool((corner == part).all())


def test_a_perfect_network_scores_one_and_its_report_shows_boxes() -> None:
    """Cells whose box is the true one, in a split whose batches are padded."""
    split = drawn_shapes(train=2, valid=10).load().valid
    assert isinstance(split, Boxed)

    def network(arrays: Arrays) -> Arrays:
        made = {"scores": [], "boxes": []}
        for image in arrays["image"]:
            i = next(i for i, picture in enumerate(split.images) if begins(image, picture.numpy()))
            rows = np.zeros((5, 5), np.float32)
            rows[: len(split.boxes[i])] = split.boxes[i].numpy()
            real = np.arange(5) < len(split.boxes[i])
            made["scores"].append((rows[:, :1] == [0, 1]) * real[:, None] * np.float32(0.9))
            made["boxes"].append(rows[:, 1:])
        return {name: np.stack(v).astype(np.float32) for name, v in made.items()}

    loose = Detection(labels=("disc", "square"), doubles=0.99)
    evaluation = loose.evaluate(network, split)
    assert evaluation.metrics["mean_average_precision"] == 1
    titles = [s.title for s in loose.sections(evaluation, split)]
    assert titles == ["Boxes", "Classes"]
    html = "".join(block.html() for s in loose.sections(evaluation, split) for block in s.blocks)
    assert "square 0.90" in html
    assert "average precision" in html


def test_it_learns_to_find_shapes_better_than_the_baseline() -> None:
    experiment = grid_detector.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps, seed=0)
    score = TASK.evaluate(Boundary(TASK, learner.model), data.valid).score
    (baseline,) = TASK.baselines(data).values()
    assert score > baseline.score + 0.2
    assert TASK.baselines(Data(data.train)) == {}


def test_padding_hardly_changes_what_is_found() -> None:
    """A trained network names the same objects at the same places when the picture gets a black margin."""
    experiment = grid_detector.tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps, seed=0)
    network = Boundary(TASK, learner.model)
    alike, count = 0, 0
    for i in range(len(data.valid)):
        image, _ = data.valid.rows(torch.tensor([i]))
        wide = np.pad(image.numpy(), ((0, 0), (0, 0), (0, 24), (0, 16)))
        first, second = (network({"image": v}) for v in (image.numpy(), wide))
        plain = TASK.select(first["scores"][0], first["boxes"][0], 0.5)
        padded = TASK.select(second["scores"][0], second["boxes"][0], 0.4)
        for box, label in zip(plain[0], plain[1], strict=True):
            near = np.abs(padded[0] - box).max(axis=1, initial=0) < 4 if len(padded[0]) else np.zeros(0, bool)
            count += 1
            alike += bool((near & (padded[1] == label)).any())
    assert count >= 5
    assert alike >= 0.8 * count


EDGES = "<xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>18</ymax>"
BOX = f"<object><name>{{}}</name><bndbox>{EDGES}</bndbox></object>"


def voc(place: Path, *names: str) -> Path:
    for part in ("Annotations", "JPEGImages"):
        (place / part).mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.new("RGB", (40 + i, 30), (90, 0, 0)).save(place / "JPEGImages" / f"{i}.jpg")
        (place / "Annotations" / f"{i}.xml").write_text(f"<annotation>{BOX.format(name)}</annotation>")
    return place


def test_voc_folders_are_recognised_and_read(tmp_path: Path) -> None:
    assert Detection.recognise(tmp_path, Options()) is None
    place = voc(tmp_path, *"ab" * 5)
    sighting = Detection.recognise(place, Options())
    assert sighting is not None
    assert "10 XML files" in sighting.saw[0]
    task, data = Detection.read(place, Options())
    assert task.labels == ("a", "b")
    assert (len(data.train), len(data.valid or ())) == (8, 2)
    experiment = task.experiment(data, seed=4)
    assert experiment.seed == 4
    scores, boxes = experiment.build()(torch.rand(1, 3, 32, 48))
    assert scores.shape == (1, 24, 2)
    assert boxes.shape == (1, 24, 4)
    again = task.read_labelled(place, Options()).test
    assert again is not None
    assert len(again) == 10


def test_other_labels_and_single_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 'cow'; the model knows: disc, square"):
        TASK.read_labelled(voc(tmp_path / "cows", "cow"), Options())
    with pytest.raises(InputError, match="has 1 pictures with boxes"):
        Detection.read(voc(tmp_path / "one", "a"), Options())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ()}, "labels is empty"),
        ({"multiple": 12}, "multiple is 12"),
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"doubles": 1.0}, "doubles is 1.0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detection(**({"labels": ("a",)} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("item", [b"no picture", [[300]], {"image": 3}, "???"])
def test_bad_items_are_refused(item: object) -> None:
    with pytest.raises(InputError):
        preprocessing.apply(TASK.preprocessing(), item)
