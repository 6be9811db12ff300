"""What a network learned of eight kinds of things, and a hundred labels of two others.

VGG, Inception, EfficientNet and a residual net, each by its own recipe on CIFAR-10, are trained on the
training photographs of eight classes, six times as long as the recipe of five minutes, that is for half an
hour. Then each is to tell the other two apart, cars from trucks, from fifty labelled photographs of each:
once from what it learned, as ``fathom fit --from`` chooses head, freezing and rates, and once from weights
as they are drawn, everything moving from the first step at the rate that was best of three (3e-4, 1e-3,
3e-3) on labels of another seed. Batches and number of steps are the same.

A seed draws the hundred labels, the new head, the weights that scratch begins with and the batches; the four
networks of eight classes are trained once, all seeds begin from them. ``accuracy`` is on the thousand
photographs of the two classes that the training set holds out.

Source: Yosinski et al. (2014), https://arxiv.org/abs/1411.1792; row TL02 of the inventory.
"""

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training import Experiment
    from fathom.verbs.transfer import Source

CLAIM = Claim(
    sentence="With a hundred labels, a network that knows eight other classes beats one that knows nothing.",
    rows=("TL02",),
    expect=(
        "accuracy: vgg/known - vgg/scratch >= 0.1",
        "accuracy: inception/known - inception/scratch >= 0.1",
        "accuracy: efficientnet/known - efficientnet/scratch >= 0.1",
        "accuracy: resnet/known - resnet/scratch >= 0.1",
    ),
    source="Yosinski et al. 2014, arXiv 1411.1792",
    builds_on=("vgg", "inception", "efficientnet", "resnet", "pretrained", "gradual_unfreezing"),
    seeds=5,
    differs=(
        "The networks of eight classes are small and learn for half an hour on one thread, once for all"
        " seeds; what varies is the hundred labels and all that is drawn after them.",
    ),
)

SCRATCH_RATES = {"vgg": 1e-3, "inception": 3e-3, "efficientnet": 3e-3, "resnet": 1e-3}
PAIR = (1, 9)  # automobile, truck
EACH, STEPS = 50, 150  # labelled photographs of each of the two, and steps to learn from them
LONGER = 6  # times the steps of a recipe of five minutes


def measure(seed: int) -> dict[str, dict[str, float]]:
    """``accuracy`` of each family, with and without what it knows."""
    from dataclasses import replace

    from fathom.verbs.train import train
    from fathom.verbs.transfer import adapted

    found: dict[str, dict[str, float]] = {}
    two = others(seed)
    with tempfile.TemporaryDirectory() as scratch:
        for family, rate in SCRATCH_RATES.items():
            begun = from_nothing(family, two, seed)
            known = adapted(begun, two, trained(family), None, lambda line: None)
            for arm, experiment in (("known", known), ("scratch", replace(begun, learning=plainly(rate)))):
                run = train(experiment, out=Path(scratch) / f"{family}-{arm}", export=False)
                found[f"{family}/{arm}"] = {"accuracy": run.metrics["valid/accuracy"]}
    return found


def from_nothing(family: str, data: "Data", seed: int) -> "Experiment":
    """The family's recipe on the two classes, its weights as they are drawn."""
    from dataclasses import replace

    from fathom.data.split import InMemory

    recipe: Any = recipe_of(family)
    return replace(
        recipe, model=replace(recipe.model, classes=2), data=InMemory(data), task=naming(PAIR), seed=seed,
        steps=STEPS, batch_size=20,
    )  # fmt: skip


def plainly(rate: float) -> Any:
    """How a network that knows nothing learns from few labels."""
    from fathom.training import AdamW, CrossEntropy, GradientDescent, WarmupCosine

    return GradientDescent(
        objective=CrossEntropy(label_smoothing=0.1),
        optimizer=AdamW(learning_rate=rate),
        schedule=WarmupCosine(),
    )


@lru_cache(maxsize=len(SCRATCH_RATES))
def trained(family: str) -> "Source":
    """The family's recipe, trained on the eight classes: trained once for all seeds."""
    from dataclasses import replace

    from fathom.data.split import InMemory
    from fathom.verbs.train import train
    from fathom.verbs.transfer import source

    recipe: Any = recipe_of(family)
    eight = tuple(k for k in range(10) if k not in PAIR)
    experiment = replace(
        recipe, model=replace(recipe.model, classes=8), data=InMemory(of_classes(eight)), task=naming(eight),
        steps=LONGER * recipe.steps,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        return source(train(experiment, out=Path(scratch) / "run", export=False).folder)


def recipe_of(family: str) -> "Experiment":
    from fathom import catalog

    return catalog.recipe(f"cifar10_{family}").load()()


def naming(classes: tuple[int, ...]) -> Any:
    """The task of telling these classes apart."""
    from dataclasses import replace

    from fathom.data.photographs import LABELS
    from fathom.recipes.plain_cnn import PHOTOGRAPHS

    return replace(PHOTOGRAPHS, labels=tuple(LABELS[k] for k in classes))


def others(seed: int) -> "Data":
    """``EACH`` photographs of each of the two classes to learn from, and all that are held out."""
    from dataclasses import replace

    import torch

    from fathom.training.randomness import generator

    data: Any = of_classes(PAIR)
    dice = generator("a hundred labels", seed)
    rows = [(data.train.columns[1] == k).nonzero()[:, 0] for k in range(2)]
    kept = torch.cat([own[torch.randperm(len(own), generator=dice)[:EACH]] for own in rows])
    return replace(data, train=chosen(data.train, kept))


@lru_cache(maxsize=2)
def of_classes(classes: tuple[int, ...]) -> "Data":
    """The training photographs of some classes, the last 5,000 of all held out; the test set is not read."""
    import torch

    from fathom.data.photographs import Photographs
    from fathom.data.split import Data

    whole: Any = Photographs().load()
    number = torch.full((10,), -1)
    number[list(classes)] = torch.arange(len(classes))
    parts = []
    for split in (whole.train, whole.valid):
        labels = number[split.columns[1]]
        parts.append(chosen(type(split)((split.columns[0], labels)), (labels >= 0).nonzero()[:, 0]))
    return Data(
        train=parts[0], valid=parts[1], test=None, facts={"source": "cifar10", "classes": len(classes)}
    )


def chosen(split: Any, rows: Any) -> Any:
    """Some rows of a split that lies in memory."""
    return type(split)(tuple(column[rows] for column in split.columns))
