"""RandAugment and TrivialAugment: random operations on each picture, with hardly anything to choose.

Policies that are found by search, as in ``autoaugment``, cost a search for each data set. RandAugment (Cubuk
et al. 2019) drops it: n operations at random, all at one strength, two numbers to tune. TrivialAugment
(Mueller and Hutter 2021) drops these as well: one operation at a random strength, from wider ranges.

Which operation, which step of its ladder and which sign are given for each picture; whoever knows the sample
draws them. The tables' values are those of torchvision 0.28, which follow AutoAugment's Table 6
(translations: 150 of 331 pixels) and TrivialAugment's wide space.

Axes used below
    b  pictures      c  channels      h, w  height and width      n  operations in a row
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.augmentation.picture_operations import (
    Space,
    apply_operations,
    apply_operations_by_hand,
    ladder,
    strengths,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="RandAugment, TrivialAugment",
    paper="https://arxiv.org/abs/1909.13719",
    year=2019,
    summary="Changes each training picture at random, with two numbers to choose, or none.",
    rows=("RN05",),
    builds_on=("picture_operations",),
    oracle="torchvision.transforms.v2 with the same draws: tables and pictures",
)

RANDAUGMENT: Space = {
    "Identity": None,
    "ShearX": (0.0, 0.3, "slope", True),
    "ShearY": (0.0, 0.3, "slope", True),
    "TranslateX": (0.0, 0.45317220543806647, "width", True),
    "TranslateY": (0.0, 0.45317220543806647, "height", True),
    "Rotate": (0.0, 30.0, "degrees", True),
    "Brightness": (0.0, 0.9, "factor", True),
    "Color": (0.0, 0.9, "factor", True),
    "Contrast": (0.0, 0.9, "factor", True),
    "Sharpness": (0.0, 0.9, "factor", True),
    "Posterize": (8.0, 4.0, "bits", False),
    "Solarize": (1.0, 0.0, "white", False),
    "AutoContrast": None,
    "Equalize": None,
}
TRIVIALAUGMENT: Space = {
    "Identity": None,
    "ShearX": (0.0, 0.99, "slope", True),
    "ShearY": (0.0, 0.99, "slope", True),
    "TranslateX": (0.0, 32.0, "pixels", True),
    "TranslateY": (0.0, 32.0, "pixels", True),
    "Rotate": (0.0, 135.0, "degrees", True),
    "Brightness": (0.0, 0.99, "factor", True),
    "Color": (0.0, 0.99, "factor", True),
    "Contrast": (0.0, 0.99, "factor", True),
    "Sharpness": (0.0, 0.99, "factor", True),
    "Posterize": (8.0, 2.0, "bits", False),
    "Solarize": (1.0, 0.0, "white", False),
    "AutoContrast": None,
    "Equalize": None,
}


def random_operations(
    images: Tensor,
    space: Space,
    choice: Int[Tensor, "b n"],
    step: Int[Tensor, "b n"],
    negative: Bool[Tensor, "b n"],
    *,
    steps: int = 31,
    interpolation: str = "nearest",
    fill: float | int = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """Several operations of ``space`` in a row, ``choice`` and ``step`` (b, n), on pictures (b, c, h, w).

    RandAugment has the same ``step``, of ``steps`` on each ladder, everywhere; TrivialAugment has n = 1. What
    moves pixels fills with ``fill``. Raises ``ValueError`` for a choice or step outside the tables.
    """
    names, size = list(space), (images.shape[2], images.shape[3])
    for i in range(choice.shape[1]):
        strength = strengths(space, choice[:, i], step[:, i], negative[:, i], steps=steps, size=size)
        images = apply_operations(
            images, names, choice[:, i], strength, interpolation=interpolation, fill=fill
        )
    return images


def random_operations_by_hand(
    images: Float[Tensor, "b 3 h w"],
    space: Space,
    choice: Int[Tensor, "b n"],
    step: Int[Tensor, "b n"],
    negative: Bool[Tensor, "b n"],
    steps: int = 31,
) -> Float[Tensor, "b 3 h w"]:
    """Picture by picture, one operation after the other, each strength found on its ladder."""
    names, made, size = list(space), [], (images.shape[2], images.shape[3])
    for i in range(len(images)):
        picture = images[i : i + 1]
        for number, rung, turned in zip(choice[i], step[i], negative[i], strict=True):
            name = names[int(number)]
            ends, strength = space[name], ladder(space, name, steps, size)[rung]
            strength = -strength if ends is not None and ends[3] and turned else strength
            picture = apply_operations_by_hand(picture, names, number[None], strength[None])
        made.append(picture)
    return torch.cat(made)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: every operation of both spaces, followed by another."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    for name, space in (("RandAugment", RANDAUGMENT), ("TrivialAugment", TRIVIALAUGMENT)):
        images = torch.rand(len(space), 3, 6, 5, dtype=torch.float64, generator=dice)
        first = torch.arange(len(space))
        choice = torch.stack([first, first.flip(0)], dim=1)
        step, negative = torch.full_like(choice, 9), torch.rand(choice.shape, generator=dice) < 0.5
        yield Twin(
            name,
            lambda x, s=space, c=choice, k=step, n=negative: random_operations(x, s, c, k, n),
            lambda x, s=space, c=choice, k=step, n=negative: random_operations_by_hand(x, s, c, k, n),
            (images,),
            gradients=False,
        )
