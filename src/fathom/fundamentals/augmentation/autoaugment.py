"""AutoAugment: which operations help, how strongly and how often, found by search for three data sets.

Cubuk et al. (2018) let a controller propose policies and trained a small network with each to see what it is
worth. What was found is a table: 25 pairs of operations, each with a probability and a step of ten. A picture
draws one pair and makes its operations one after the other, each with its probability. The tables serve
pictures like those they were searched on; ``randaugment`` needs no search.

Which pair, whether its operations are made, and their signs are given for each picture; whoever knows the
sample draws them. The ladders are those of the paper's Table 6 (translations: 150 of 331 pixels).

Axes used below
    b  pictures      c  channels      h, w  height and width
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
    title="AutoAugment",
    paper="https://arxiv.org/abs/1805.09501",
    year=2018,
    summary="Changes each training picture by one of 25 pairs of operations that a search found to help.",
    rows=("RN05",),
    builds_on=("picture_operations",),
    differs=("The search is left out: its results for ImageNet, CIFAR-10 and SVHN are the tables below.",),
    oracle="torchvision.transforms.v2 with the same draws: tables and pictures; timm's table for ImageNet",
)

STEPS = 10
AUTOAUGMENT: Space = {
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
    "Invert": None,
}
# Appendix A, Tables 7 to 9: 25 pairs of (operation, probability, step of ten).
IMAGENET = (
    (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
    (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Equalize", 0.4, 0), ("Rotate", 0.8, 8)),
    (("Solarize", 0.6, 3), ("Equalize", 0.6, 0)),
    (("Posterize", 0.8, 5), ("Equalize", 1.0, 0)),
    (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
    (("Equalize", 0.6, 0), ("Posterize", 0.4, 6)),
    (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
    (("Rotate", 0.4, 9), ("Equalize", 0.6, 0)),
    (("Equalize", 0.0, 0), ("Equalize", 0.8, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
    (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
    (("Sharpness", 0.4, 7), ("Invert", 0.6, 0)),
    (("ShearX", 0.6, 5), ("Equalize", 1.0, 0)),
    (("Color", 0.4, 0), ("Equalize", 0.6, 0)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
)
CIFAR10 = (
    (("Invert", 0.1, 0), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 0), ("Equalize", 0.9, 0)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 0), ("Equalize", 0.5, 0)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 0), ("AutoContrast", 0.4, 0)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 0)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 0), ("Equalize", 0.6, 0)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 0)),
    (("AutoContrast", 0.8, 0), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 0)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 0), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 0), ("Invert", 0.1, 0)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 0)),
)
SVHN = (
    (("ShearX", 0.9, 4), ("Invert", 0.2, 0)),
    (("ShearY", 0.9, 8), ("Invert", 0.7, 0)),
    (("Equalize", 0.6, 0), ("Solarize", 0.6, 6)),
    (("Invert", 0.9, 0), ("Equalize", 0.6, 0)),
    (("Equalize", 0.6, 0), ("Rotate", 0.9, 3)),
    (("ShearX", 0.9, 4), ("AutoContrast", 0.8, 0)),
    (("ShearY", 0.9, 8), ("Invert", 0.4, 0)),
    (("ShearY", 0.9, 5), ("Solarize", 0.2, 6)),
    (("Invert", 0.9, 0), ("AutoContrast", 0.8, 0)),
    (("Equalize", 0.6, 0), ("Rotate", 0.9, 3)),
    (("ShearX", 0.9, 4), ("Solarize", 0.3, 3)),
    (("ShearY", 0.8, 8), ("Invert", 0.7, 0)),
    (("Equalize", 0.9, 0), ("TranslateY", 0.6, 6)),
    (("Invert", 0.9, 0), ("Equalize", 0.6, 0)),
    (("Contrast", 0.3, 3), ("Rotate", 0.8, 4)),
    (("Invert", 0.8, 0), ("TranslateY", 0.0, 2)),
    (("ShearY", 0.7, 6), ("Solarize", 0.4, 8)),
    (("Invert", 0.6, 0), ("Rotate", 0.8, 4)),
    (("ShearY", 0.3, 7), ("TranslateX", 0.9, 3)),
    (("ShearX", 0.1, 6), ("Invert", 0.6, 0)),
    (("Solarize", 0.7, 2), ("TranslateY", 0.6, 7)),
    (("ShearY", 0.8, 4), ("Invert", 0.8, 0)),
    (("ShearX", 0.7, 9), ("TranslateY", 0.8, 3)),
    (("ShearY", 0.8, 5), ("AutoContrast", 0.7, 0)),
    (("ShearX", 0.7, 2), ("Invert", 0.1, 0)),
)
SEARCHED = {"imagenet": IMAGENET, "cifar10": CIFAR10, "svhn": SVHN}


def autoaugment(
    images: Tensor,
    policy: str,
    pair: Int[Tensor, "b"],
    applied: Float[Tensor, "b 2"],
    negative: Bool[Tensor, "b 2"],
    *,
    interpolation: str = "nearest",
    fill: float | int = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """Pair number ``pair`` of ``policy`` ("imagenet", "cifar10", "svhn") on each picture of (b, c, h, w).

    An operation is made where ``applied``, a uniform number, is at most its probability.
    """
    if policy not in SEARCHED:
        raise ValueError(f"policy is {policy!r}; it must be one of {', '.join(SEARCHED)}")
    names, size = [*AUTOAUGMENT, "Identity"], (images.shape[2], images.shape[3])
    for i in range(2):
        rows = [SEARCHED[policy][p][i] for p in pair.tolist()]
        made = applied[:, i].cpu() <= torch.tensor([probability for _, probability, _ in rows])
        choice = torch.tensor([names.index(name) for name, _, _ in rows], dtype=torch.int64)
        step = torch.tensor([number for _, _, number in rows], dtype=torch.int64)
        strength = strengths(AUTOAUGMENT, choice, step, negative[:, i], steps=STEPS, size=size)
        choice = torch.where(made, choice, len(names) - 1)
        images = apply_operations(images, names, choice, strength, interpolation=interpolation, fill=fill)
    return images


def autoaugment_by_hand(
    images: Float[Tensor, "b 3 h w"],
    policy: str,
    pair: Int[Tensor, "b"],
    applied: Float[Tensor, "b 2"],
    negative: Bool[Tensor, "b 2"],
) -> Float[Tensor, "b 3 h w"]:
    """Picture by picture: look the pair up, and make what its probabilities allow."""
    names, made, size = list(AUTOAUGMENT), [], (images.shape[2], images.shape[3])
    for i in range(len(images)):
        picture = images[i : i + 1]
        for k, (name, probability, rung) in enumerate(SEARCHED[policy][int(pair[i])]):
            if float(applied[i, k]) > probability:
                continue
            ends, strength = AUTOAUGMENT[name], ladder(AUTOAUGMENT, name, STEPS, size)[rung]
            strength = -strength if ends is not None and ends[3] and negative[i, k] else strength
            number = torch.tensor([names.index(name)])
            picture = apply_operations_by_hand(picture, names, number, strength[None])
        made.append(picture)
    return torch.cat(made)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: every pair of every policy."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    images = torch.rand(25, 3, 6, 5, dtype=torch.float64, generator=dice)
    pair, applied = torch.arange(25), torch.rand(25, 2, generator=dice)
    negative = torch.rand(25, 2, generator=dice) < 0.5
    for policy in SEARCHED:
        yield Twin(
            policy,
            lambda x, p=policy: autoaugment(x, p, pair, applied, negative),
            lambda x, p=policy: autoaugment_by_hand(x, p, pair, applied, negative),
            (images,),
            gradients=False,
        )
