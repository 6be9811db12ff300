"""Where a model looked: the section's pictures glow where a planted mark is, and nothing else is touched."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import mnist
from fathom.data.split import Tensors
from fathom.report.class_maps import GLOW, class_map_sections, enlarged, glowing, surest
from fathom.report.page import page
from fathom.report.pictures import Gallery
from fathom.task import Boundary, Evaluation
from fathom.tasks.image_classification import ImageClassification
from fathom.tasks.vector_classification import VectorClassification

TASK = ImageClassification(
    labels=("dark", "left", "right"), channels=1, height=12, width=12, mean=(0.0,), deviation=(1.0,)
)


class Marks(nn.Module):
    """Says on which side there is light: by hand, so that it is known where it must look."""

    def __init__(self) -> None:
        super().__init__()
        self.light = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.head = nn.Linear(12 * 12, 3)
        with torch.no_grad():
            self.light.weight.fill_(1 / 9)
            sides = torch.zeros(3, 12, 12)
            sides[1, :, :6] = sides[2, :, 6:] = 0.1
            self.head.weight.copy_(sides.flatten(1))
            self.head.bias.copy_(torch.tensor([0.2, 0.0, 0.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.light(x).flatten(1))


def pictures() -> Tensors:
    drawn = torch.zeros(4, 1, 12, 12, dtype=torch.uint8)
    drawn[0, 0, 4:8, 2:4] = 255
    drawn[1, 0, 4:8, 8:10] = 255
    drawn[2, 0, 4:8, 8:10] = 255  # labelled wrongly: an error of the model's
    return Tensors((drawn, torch.tensor([1, 2, 1, 0])))


def scored(model: nn.Module, split: Tensors) -> Evaluation:
    return TASK.evaluate(Boundary(TASK, model), split)


def test_errors_come_first_with_the_truth_beside_and_right_answers_after() -> None:
    model, split = Marks(), pictures()
    (section,) = class_map_sections(TASK, model, scored(model, split), split)
    (gallery,) = section.blocks
    assert isinstance(gallery, Gallery)
    assert [p.label for p in gallery.images] == [
        "said right, is left", "said left, rightly", "said right, rightly", "said dark, rightly",
    ]  # fmt: skip
    assert [p.pixels.shape for p in gallery.images] == [(72, 220, 3)] + [(72, 146, 3)] * 3
    assert "Where it looked" in page("a page", "of a test", [section])


def test_it_glows_where_the_light_is() -> None:
    model, split = Marks(), pictures()
    (section,) = class_map_sections(TASK, model, scored(model, split), split)
    shown = {p.label: p.pixels for p in section.blocks[0].images}  # type: ignore[attr-defined]

    def warm(pixels: np.ndarray) -> np.ndarray:
        return pixels[..., 0].astype(int) - pixels[..., 2]

    left = warm(shown["said left, rightly"][:, 74:146])
    assert left[36, 18] > 100 and left[:, 40:].max() < 10 and left[:10].max() < 10
    right = warm(shown["said right, rightly"][:, 74:146])
    assert right[36, 54] > 100 and right[:, :32].max() < 10


def test_the_model_stays_as_it_is() -> None:
    model, split = Marks(), pictures()
    evaluation = scored(model, split)
    model.train()
    model.head.eval()
    model.light.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert class_map_sections(TASK, model, evaluation, split)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training and not model.head.training and model.head.weight.grad is None
    assert not model.light.weight.requires_grad


def test_what_has_no_pictures_no_maps_or_no_scores_has_no_section() -> None:
    split = pictures()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(144, 3))
    assert class_map_sections(TASK, flat, scored(flat, split), split) == []
    vectors = Tensors((torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])))
    task = VectorClassification(labels=("a", "b"), inputs_count=4)
    linear = nn.Linear(4, 2)
    found = task.evaluate(Boundary(task, linear), vectors)
    assert class_map_sections(task, linear, found, vectors) == []
    assert class_map_sections(TASK, Marks(), Evaluation(metrics={}, headline="loss"), split) == []


def test_a_graph_of_many_answers_is_no_row_of_pictures() -> None:
    """One row, and an answer for each of its nodes."""
    answers = Evaluation(
        metrics={}, headline="loss", detail={"probabilities": np.eye(3), "labels": np.array([0, 1, 1])}
    )
    assert class_map_sections(TASK, Marks(), answers, pictures_of(1)) == []


def pictures_of(count: int) -> Tensors:
    return Tensors(tuple(column[:count] for column in pictures().columns))


def test_surest_of_each_class_and_only_right_ones() -> None:
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    assert surest(shares, np.array([0, 0, 1, 1]), 6) == [0, 2]
    assert surest(shares, np.array([1, 1, 0, 1]), 6) == []
    assert surest(shares, np.array([0, 0, 1, 1]), 1) == [0]


def test_without_a_place_that_speaks_nothing_glows() -> None:
    large = enlarged(torch.full((3, 80, 70), 10, dtype=torch.uint8))
    assert large.shape == (80, 70, 3)
    assert (glowing(large, torch.zeros(2, 2)) == 10).all()
    bright = glowing(large, torch.ones(2, 2))
    assert bright[0, 0] == pytest.approx(0.3 * 10 + 0.7 * GLOW, abs=1)


@pytest.mark.slow
def test_the_report_of_a_run_on_a_folder_has_it(tmp_path: Path) -> None:
    from PIL import Image

    from fathom.verbs.fit import fit

    dice = np.random.default_rng(0)
    for side, at in (("left", 4), ("right", 18)):
        (tmp_path / "marks" / side).mkdir(parents=True)
        for i in range(40):
            picture = dice.integers(0, 60, (28, 28), dtype=np.uint8)
            picture[8:20, at : at + 6] = 255
            Image.fromarray(picture).save(tmp_path / "marks" / side / f"{i}.png")
    run = fit(tmp_path / "marks", steps=20, out=tmp_path / "run", export=False)
    assert "Where it looked" in run.report.read_text(encoding="utf-8")


def test_networks_of_the_catalogue_are_looked_into() -> None:
    model = mnist.Config().build()
    task = ImageClassification(
        labels=tuple("0123456789"), channels=1, height=28, width=28, mean=(0.1,), deviation=(0.3,)
    )
    split = Tensors((torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8), torch.arange(20) % 10))
    (section,) = class_map_sections(task, model, task.evaluate(Boundary(task, model), split), split)
    assert 1 <= len(section.blocks[0].images) <= 12  # type: ignore[attr-defined]
