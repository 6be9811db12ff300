"""The recipes on CIFAR-10: every family under the same terms as the floor, and about as large."""

import pytest
import torch

from fathom import catalog
from fathom.settings import diff, whole

FAMILIES = ("alexnet", "vgg", "googlenet", "inception", "resnet", "densenet", "efficientnet")
TERMS = ("steps", "learning.optimizer.learning_rate")


def parameters(recipe: str) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in catalog.recipe(recipe).load()().model.build().parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_differs_from_the_floor_in_its_model_rate_and_length_alone(family: str) -> None:
    name = f"cifar10_{family}"
    assert catalog.recipe(name).system == family
    floor, own = (catalog.recipe(n).load()() for n in ("cifar10_floor", name))
    changed = {key for key in diff(floor, own) if not key.startswith(("model", "expect"))}
    assert changed <= set(TERMS), changed
    assert parameters(name) == pytest.approx(parameters("cifar10_floor"), rel=0.125)
    assert own.model.classes == 10 and own.model.image_size == 32  # type: ignore[attr-defined]


def test_promises_are_those_of_the_inventory() -> None:
    promised = {
        name: [(e.at_least, e.seeds) for e in catalog.recipe(name).load()().expect]
        for name in catalog.recipes()
        if name.startswith("cifar10_")
    }
    assert promised["cifar10_resnet8"] == [(0.72, 3)] and promised["cifar10_best"] == [(0.88, 1)]
    assert promised["cifar10_floor"] == [] and promised["cifar10_vgg"] == []
    eight = whole(catalog.recipe("cifar10_resnet8").load()())
    assert (eight["model.depths"], eight["model.width"]) == ((1, 1, 1), 16)


@pytest.mark.parametrize("name", ["cifar10_floor", "cifar10_resnet8", "cifar10_best"])
def test_a_step_of_it_can_be_made(name: str) -> None:
    """On drawn pictures: the photographs need not be here."""
    experiment = catalog.recipe(name).load()()
    learner = experiment.learner()
    image = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    (prepared,) = experiment.task.prepare(image)
    metrics = learner.update((prepared, torch.tensor([0, 3, 9, 3])), 0)
    assert torch.isfinite(metrics["loss"])
