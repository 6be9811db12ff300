"""AugMix: a picture is blended with versions of itself that short chains of operations have changed.

Long chains of operations soon leave a picture that shows nothing any more. Hendrycks et al. (2019) make
several short ones beside each other and blend them, and blend the result with the picture itself:

    y = m x + (1 - m) sum_i w_i chain_i(x)        w ~ Dirichlet(1, ..., 1), m ~ Beta(1, 1)

so that much is varied and little is lost; networks then do better on pictures that are damaged in ways they
never saw. Weights, chains and signs are given for each picture; whoever knows the sample draws them.

Axes used below
    b  pictures      c  channels      h, w  height and width      k  chains      n  operations of a chain
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
    title="AugMix",
    paper="https://arxiv.org/abs/1912.02781",
    year=2019,
    summary="Blends a training picture with versions of itself that random operations have changed.",
    rows=("RN05",),
    builds_on=("picture_operations",),
    differs=(
        "Draws with alpha 1, the paper's value, only.",
        "All operations, as torchvision has them; the paper leaves out the four that its test pictures show.",
    ),
    oracle="torchvision.transforms.v2 with the same draws: table and pictures",
)

STEPS = 10
AUGMIX: Space = {
    "ShearX": (0.0, 0.3, "slope", True),
    "ShearY": (0.0, 0.3, "slope", True),
    "TranslateX": (0.0, 0.3333333333333333, "width", True),
    "TranslateY": (0.0, 0.3333333333333333, "height", True),
    "Rotate": (0.0, 30.0, "degrees", True),
    "Posterize": (4.0, 0.0, "bits", False),
    "Solarize": (1.0, 0.0, "white", False),
    "AutoContrast": None,
    "Equalize": None,
    "Brightness": (0.0, 0.9, "factor", True),
    "Color": (0.0, 0.9, "factor", True),
    "Contrast": (0.0, 0.9, "factor", True),
    "Sharpness": (0.0, 0.9, "factor", True),
}


def augmix(
    images: Tensor,
    choice: Int[Tensor, "b k n"],
    step: Int[Tensor, "b k n"],
    negative: Bool[Tensor, "b k n"],
    depth: Int[Tensor, "b k"],
    weight: Float[Tensor, "b k"],
    kept: Float[Tensor, "b"],
    *,
    interpolation: str = "bilinear",
    fill: float | int = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """The equation in the head of this file for pictures (b, c, h, w): ``kept`` is m, ``weight`` w.

    Chain k makes its first ``depth`` of n operations. Raises ``ValueError`` where weights do not sum to 1.
    """
    if bool((weight < 0).any()) or bool(((weight.sum(1) - 1).abs() > 1e-4).any()):
        raise ValueError("weight holds rows that are no shares; each must be positive and sum to 1")
    if bool(((kept < 0) | (kept > 1)).any()):
        raise ValueError("kept holds a number outside [0, 1]")
    names, size = [*AUGMIX, "Identity"], (images.shape[2], images.shape[3])
    kind = images.dtype if images.is_floating_point() else torch.float32
    shares = (weight * (1 - kept)[:, None]).to(images.device, kind)[:, :, None, None, None]
    mixed = kept.to(images.device, kind)[:, None, None, None] * images
    for k in range(choice.shape[1]):
        chain = images
        for n in range(choice.shape[2]):
            strength = strengths(
                AUGMIX, choice[:, k, n], step[:, k, n], negative[:, k, n], steps=STEPS, size=size
            )
            number = torch.where(depth[:, k] > n, choice[:, k, n], len(names) - 1)
            chain = apply_operations(chain, names, number, strength, interpolation=interpolation, fill=fill)
        mixed = mixed + shares[:, k] * chain
    return mixed.to(images.dtype)


def augmix_by_hand(
    images: Float[Tensor, "b 3 h w"],
    choice: Int[Tensor, "b k n"],
    step: Int[Tensor, "b k n"],
    negative: Bool[Tensor, "b k n"],
    depth: Int[Tensor, "b k"],
    weight: Float[Tensor, "b k"],
    kept: Float[Tensor, "b"],
) -> Float[Tensor, "b 3 h w"]:
    """The equation in the head of this file, picture by picture and chain by chain."""
    names, made, size = list(AUGMIX), [], (images.shape[2], images.shape[3])
    for i in range(len(images)):
        mixed = kept[i] * images[i : i + 1]
        for k in range(choice.shape[1]):
            chain = images[i : i + 1]
            for n in range(int(depth[i, k])):
                name = names[int(choice[i, k, n])]
                ends, strength = AUGMIX[name], ladder(AUGMIX, name, STEPS, size)[step[i, k, n]]
                strength = -strength if ends is not None and ends[3] and negative[i, k, n] else strength
                number = choice[i, k, n : n + 1]
                chain = apply_operations_by_hand(chain, names, number, strength[None], "bilinear")
            mixed = mixed + (1 - kept[i]) * weight[i, k] * chain
        made.append(mixed)
    return torch.cat(made)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: three chains of up to three operations."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    count, shape = 6, (6, 3, 3)
    images = torch.rand(count, 3, 6, 5, dtype=torch.float64, generator=dice)
    choice = torch.randint(len(AUGMIX), shape, generator=dice)
    step, negative = torch.randint(3, shape, generator=dice), torch.rand(shape, generator=dice) < 0.5
    depth = torch.randint(1, 4, (count, 3), generator=dice)
    weight = torch.rand(count, 3, dtype=torch.float64, generator=dice)
    weight = weight / weight.sum(1, keepdim=True)
    kept = torch.rand(count, dtype=torch.float64, generator=dice)
    yield Twin(
        "three chains",
        lambda x: augmix(x, choice, step, negative, depth, weight, kept),
        lambda x: augmix_by_hand(x, choice, step, negative, depth, weight, kept),
        (images,),
        gradients=False,
    )
