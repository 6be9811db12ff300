"""A hundred labelled pictures, and the weights of a network that saw a million others.

EfficientNet-Lite0 is fine-tuned by ``fathom.fit`` on a folder it has never seen, once from its published
ImageNet weights and once from weights as they are drawn, with the same pictures, batches and number of steps.
From the published ones ``fit`` chooses itself what moves, when and how fast. From scratch everything moves
from the first step on, at the rate that was best of three (3e-4, 1e-3, 3e-3) on pictures of another seed.

``cells``: blood cells cut from the photographs of BCCD, a third of each kind; training pictures come from its
training photographs, held-out ones from the others. ``photographs``: CIFAR-10, ten of each class, enlarged to
the 224 pixels that the weights know. The folder's own ``valid`` pictures measure, a hundred of each kind of
cell and thirty of each class.

Source: Yosinski et al. (2014), https://arxiv.org/abs/1411.1792. The claim `eight_classes_teach_two` is
the same with weights of our own.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fathom.claim import Claim

if TYPE_CHECKING:
    from PIL import Image

CLAIM = Claim(
    sentence="With a hundred labels and few steps, who knows other pictures beats who begins from nothing.",
    rows=("TL07",),
    expect=(
        "valid/accuracy: cells/published - cells/scratch >= 0.1",
        "valid/accuracy: photographs/published - photographs/scratch >= 0.1",
    ),
    source="Yosinski et al. 2014, arXiv 1411.1792",
    builds_on=("efficientnet", "pretrained"),
    seeds=5,
    differs=(
        "The cells get 40 steps, the photographs 150. In 150 three kinds of cells, which differ in colour,"
        " are learned as well from nothing: there the gain is in the time, not in what is reached.",
    ),
)

SIZE = "efficientnet_lite0"
STEPS = {"cells": 40, "photographs": 150}  # in 40 a new head has not learned ten classes
FROM_SCRATCH = (
    ("learning.unfreezing.stages", "()"),
    ("learning.optimizer.layer_decay", "1.0"),
    ("learning.optimizer.learning_rate", "0.001"),
)
Picture = tuple["Image.Image", str]


def measure(seed: int) -> dict[str, dict[str, float]]:
    import torch

    from fathom.architectures.convolutional.efficientnet import efficientnet_lite0
    from fathom.verbs.fit import fit
    from fathom.verbs.importing import write

    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        drawn = place / "drawn.safetensors"
        torch.manual_seed(seed)
        write(drawn, efficientnet_lite0().state_dict(), {})
        for name, draw in (("cells", blood_cells), ("photographs", photographs)):
            folder = draw(place / name, np.random.default_rng(seed))
            for arm in ("published", "scratch"):
                known = arm == "published"
                run = fit(
                    folder, start=SIZE if known else drawn, start_as=None if known else SIZE, seed=seed,
                    steps=STEPS[name], settings=() if known else FROM_SCRATCH, export=False,
                    out=place / f"{name}-{arm}",
                )  # fmt: skip
                found[f"{name}/{arm}"] = {"valid/accuracy": run.metrics["valid/accuracy"]}
    return found


def blood_cells(folder: Path, dice: np.random.Generator) -> Path:
    """34 pictures of each kind to learn from and 100 to measure on, from other photographs of blood."""
    from fathom.data.sets import bccd

    blood = bccd.read()
    keep(folder / "train", bccd.cells(blood.train), 34, dice)
    return keep(folder / "valid", bccd.cells(blood.valid + blood.test), 100, dice)


def photographs(folder: Path, dice: np.random.Generator) -> Path:
    """Ten of each class to learn from and thirty to measure on, of the training pictures alone."""
    from fathom.data.sets import cifar10

    images = cifar10.read()
    chosen = dice.permutation(len(images.train_labels))[:4000]
    half = len(chosen) // 4
    for split, part, each in (("train", chosen[:half], 10), ("valid", chosen[half:], 30)):
        keep(folder / split, drawn_from(images.train_images, images.train_labels, part), each, dice)
    return folder


def drawn_from(pictures: np.ndarray, labels: np.ndarray, part: np.ndarray) -> Iterable[Picture]:
    from PIL import Image

    from fathom.data.sets.cifar10 import LABELS

    for i in part:
        yield Image.fromarray(pictures[i].transpose(1, 2, 0)), LABELS[labels[i]]


def keep(folder: Path, pictures: Iterable[Picture], each: int, dice: np.random.Generator) -> Path:
    """``each`` pictures of every kind, chosen by ``dice``, as files in a folder a kind; the folder above."""
    by_kind: dict[str, list[Image.Image]] = {}
    for picture, kind in pictures:
        by_kind.setdefault(kind, []).append(picture)
    for kind, found in by_kind.items():
        place = folder / kind
        place.mkdir(parents=True)
        for n, i in enumerate(dice.permutation(len(found))[:each]):
            found[i].save(place / f"{n:03}.png")
    return folder.parent
