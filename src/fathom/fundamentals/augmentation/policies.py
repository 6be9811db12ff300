"""Augmentation policies: which operations, how strongly, how often: found by search, or simply at random.

AutoAugment (Cubuk et al. 2018) searched for 25 pairs of operations with probabilities and strengths, for each
data set. RandAugment (Cubuk et al. 2019) drops the search: n operations at random, all at one strength.
TrivialAugment (Mueller and Hutter 2021) drops that as well: one operation at a random strength, from wider
ranges. AugMix (Hendrycks et al. 2019) blends several short chains of operations with the picture itself:

    AugMix    y = m x + (1 - m) sum_i w_i chain_i(x)        w ~ Dirichlet(1, ..., 1), m ~ Beta(1, 1)

A strength is a step on a ladder from weakest to strongest; the tables below hold the ladders' ends. For
``Brightness``, ``Color``, ``Contrast`` and ``Sharpness`` the blend factor of colour is 1 + strength, and half
of all signed strengths are turned round. The choices (which, which step, which sign) are given for each
picture: pictures with the same operation are gathered, so that a batch costs a few calls, and the five that
move pixels are one warp.

Axes used below
    b  pictures      c  channels      h, w  height and width      k  chains of AugMix
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.augmentation import colour, geometry

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="AutoAugment, RandAugment, TrivialAugment, AugMix",
    paper="https://arxiv.org/abs/1909.13719",
    year=2019,
    summary="Ready-made recipes of which changes to make to a training picture, and how strongly.",
    rows=("RN05",),
    builds_on=("geometry", "colour"),
    differs=("AugMix draws with alpha 1, the paper's value, only.",),
    oracle="torchvision.transforms.v2 with the same draws: tables and pictures; timm's table of AutoAugment",
)

# Ladders: (weakest, strongest, unit, signed). "width" and "height" are shares of that side, "pixels" whole
# pixels, "bits" are kept bits and rounded, "white" is a share of the value of white. The values are those of
# torchvision 0.28, which follow AutoAugment's Table 6 (translations: 150 of 331 pixels) and TrivialAugment's
# wide space.
RANDAUGMENT = {
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
TRIVIALAUGMENT = {
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
AUTOAUGMENT = {
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
AUGMIX = {
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
# AutoAugment's policies (appendix A, Tables 7 to 9): 25 pairs of (operation, probability, step of ten).
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
SPACES = {
    "RandAugment": RANDAUGMENT,
    "TrivialAugment": TRIVIALAUGMENT,
    "AutoAugment": AUTOAUGMENT,
    "AugMix": AUGMIX,
}
SEARCHED = {"imagenet": IMAGENET, "cifar10": CIFAR10, "svhn": SVHN}
MOVING = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
STEPS = 10  # of the ladders of AutoAugment and AugMix


def ladder(space: str, name: str, steps: int, size: tuple[int, int]) -> Float[Tensor, "steps"]:
    """The ``steps`` strengths of operation ``name`` of ``space``, weakest first, for pictures of ``size``.

    ``size`` is (h, w). Zeros for an operation that has none. Raises ``ValueError`` for an unknown name and
    fewer than 2 steps.
    """
    if space not in SPACES or name not in SPACES[space]:
        known = ", ".join(SPACES.get(space, SPACES))
        raise ValueError(f"{name!r} of {space!r} is not known; there are: {known}")
    if steps < 2:
        raise ValueError(f"steps is {steps}; a ladder has 2 or more")
    ends = SPACES[space][name]
    if ends is None:
        return torch.zeros(steps)
    low, high, unit, _ = ends
    if unit == "bits":
        return (low + (high - low) * torch.arange(steps) / (steps - 1)).round()
    side = {"height": size[0], "width": size[1]}.get(unit, 1)
    return torch.linspace(low * side, high * side, steps)


def strengths(
    space: str,
    choice: Int[Tensor, "b"],
    step: Int[Tensor, "b"],
    negative: Bool[Tensor, "b"],
    *,
    steps: int,
    size: tuple[int, int],
) -> Float[Tensor, "b"]:
    """The strength of operation ``choice`` of ``space`` at rung ``step``, turned round where ``negative``."""
    names = list(SPACES[space])
    for name, value, count in (("choice", choice, len(names)), ("step", step, steps)):
        if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < count:
            raise ValueError(
                f"{name} goes from {int(value.min())} to {int(value.max())}; it is in [0, {count})"
            )
    table = torch.stack([ladder(space, name, steps, size) for name in names])
    signed = torch.tensor([bool(SPACES[space][name] and SPACES[space][name][3]) for name in names])
    found = table[choice.cpu(), step.cpu()]
    return torch.where(negative.cpu() & signed[choice.cpu()], -found, found)


def apply_operations(
    images: Tensor,
    names: list[str],
    choice: Int[Tensor, "b"],
    strength: Float[Tensor, "b"],
    *,
    interpolation: str = "nearest",
    fill: float | int = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """Pictures (b, c, h, w), each changed by operation ``names[choice]`` at its ``strength``.

    Raises ``ValueError`` for an unknown name. What moves pixels fills with ``fill``.
    """
    for name in names:
        if name not in MOVING and name not in RECOLOURING:
            raise ValueError(f"names holds {name!r}; known are: {', '.join((*MOVING, *RECOLOURING))}")
    made, choice, strength = images.clone(), choice.to(images.device), strength.to(torch.float64)
    moving = torch.tensor([name in MOVING for name in names], device=images.device)[choice].nonzero()[:, 0]
    if len(moving):
        kinds = [names[i] for i in choice[moving].tolist()]
        matrix = moves(kinds, strength[moving.cpu()], (images.shape[2], images.shape[3]))
        made[moving] = geometry.warp(images[moving], matrix, interpolation=interpolation, fill=fill)
    for number, name in enumerate(names):
        rows = (choice == number).nonzero()[:, 0]
        if name in RECOLOURING and name != "Identity" and len(rows):
            made[rows] = RECOLOURING[name](images[rows], strength[rows.cpu()])
    return made


def moves(kinds: list[str], strength: Float[Tensor, "b"], size: tuple[int, int]) -> Float[Tensor, "b 2 3"]:
    """The maps of those operations that move pixels: a slope, whole pixels, or degrees counter-clockwise."""
    zero = torch.zeros_like(strength)
    picked = {kind: torch.tensor([k == kind for k in kinds]) for kind in MOVING}
    slope = torch.rad2deg(torch.atan(strength))
    slants = [torch.where(picked[kind], slope, zero) for kind in ("ShearX", "ShearY")]
    ways = [torch.where(picked[kind], strength.trunc(), zero) for kind in ("TranslateX", "TranslateY")]
    turn = torch.where(picked["Rotate"], -strength, zero)

    def around(centre: tuple[float, float] | None) -> Tensor:
        way, slant = (ways[0], ways[1]), (slants[0], slants[1])
        return geometry.affine_matrix(len(kinds), size, angle=turn, translate=way, shear=slant, centre=centre)

    slanted = (picked["ShearX"] | picked["ShearY"])[:, None, None]
    return torch.where(slanted, around((0.0, 0.0)), around(None))


def _solarize(images: Tensor, strength: Tensor) -> Tensor:
    return colour.solarize(images, strength * (1.0 if images.is_floating_point() else 255.0))


RECOLOURING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Identity": lambda images, strength: images,
    "Brightness": lambda images, strength: colour.brightness(images, 1 + strength),
    "Color": lambda images, strength: colour.saturation(images, 1 + strength),
    "Contrast": lambda images, strength: colour.contrast(images, 1 + strength),
    "Sharpness": lambda images, strength: colour.sharpness(images, 1 + strength),
    "Posterize": colour.posterize,
    "Solarize": _solarize,
    "AutoContrast": lambda images, strength: colour.autocontrast(images),
    "Equalize": lambda images, strength: colour.equalize(images),
    "Invert": lambda images, strength: colour.invert_colours(images),
}


def random_operations(
    images: Tensor,
    space: str,
    choice: Int[Tensor, "b n"],
    step: Int[Tensor, "b n"],
    negative: Bool[Tensor, "b n"],
    *,
    steps: int = 31,
    interpolation: str = "nearest",
    fill: float | int = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """RandAugment (``step`` the same everywhere) and TrivialAugment (n = 1): n operations in a row."""
    names, size = list(SPACES[space]), (images.shape[2], images.shape[3])
    for i in range(choice.shape[1]):
        strength = strengths(space, choice[:, i], step[:, i], negative[:, i], steps=steps, size=size)
        images = apply_operations(
            images, names, choice[:, i], strength, interpolation=interpolation, fill=fill
        )
    return images


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
        strength = strengths("AutoAugment", choice, step, negative[:, i], steps=STEPS, size=size)
        choice = torch.where(made, choice, len(names) - 1)
        images = apply_operations(images, names, choice, strength, interpolation=interpolation, fill=fill)
    return images


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
                "AugMix", choice[:, k, n], step[:, k, n], negative[:, k, n], steps=STEPS, size=size
            )
            number = torch.where(depth[:, k] > n, choice[:, k, n], len(names) - 1)
            chain = apply_operations(chain, names, number, strength, interpolation=interpolation, fill=fill)
        mixed = mixed + shares[:, k] * chain
    return mixed.to(images.dtype)


def apply_operations_by_hand(
    images: Float[Tensor, "b 3 h w"], names: list[str], choice: Tensor, strength: Tensor
) -> Float[Tensor, "b 3 h w"]:
    """Picture by picture, with the plain twins of geometry and colour."""
    pictures, (h, w) = [], images.shape[2:]
    for n, number in enumerate(choice.tolist()):
        x, s, name = images[n : n + 1], float(strength[n]), names[number]
        factor = torch.tensor([1 + s], dtype=images.dtype)
        if name in MOVING:
            c, q = math.cos(math.radians(s)), math.sin(math.radians(s))
            maps = {
                "ShearX": ((1, -s, 0), (0, 1, 0)),
                "ShearY": ((1, 0, 0), (-s, 1, 0)),
                "TranslateX": ((1, 0, int(s)), (0, 1, 0)),
                "TranslateY": ((1, 0, 0), (0, 1, int(s))),
                "Rotate": ((c, q, w / 2 - c * w / 2 - q * h / 2), (-q, c, h / 2 + q * w / 2 - c * h / 2)),
            }
            matrix = torch.tensor([maps[name]], dtype=images.dtype)
            pictures.append(geometry.warp_by_hand(x, matrix, "nearest"))
            continue
        changed: dict[str, Callable[[], Tensor]] = {
            "Identity": lambda x=x: x,
            "Brightness": lambda x=x, f=factor: colour.brightness_by_hand(x, f),
            "Color": lambda x=x, f=factor: colour.saturation_by_hand(x, f),
            "Contrast": lambda x=x, f=factor: colour.contrast_by_hand(x, f),
            "Sharpness": lambda x=x, f=factor: colour.sharpness_by_hand(x, f),
            "Posterize": lambda x=x, s=s: colour.posterize_by_hand(x, int(s)),
            "Solarize": lambda x=x, s=s: colour.solarize_by_hand(x, s),
            "AutoContrast": lambda x=x: colour.autocontrast_by_hand(x),
            "Equalize": lambda x=x: colour.equalize_by_hand((x * 255.999).to(torch.uint8)).to(x.dtype) / 255,
            "Invert": lambda x=x: colour.invert_colours_by_hand(x),
        }
        pictures.append(changed[name]())
    return torch.cat(pictures)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: every operation at once."""
    from fathom.fundamentals.twin import Twin

    names = [*AUTOAUGMENT, "Identity"]
    dice = torch.Generator().manual_seed(0)
    images = torch.rand(len(names), 3, 6, 5, dtype=torch.float64, generator=dice)
    choice = torch.arange(len(names))
    step = torch.full_like(choice, 7)
    for negative in (False, True):
        strength = strengths(
            "AutoAugment",
            choice[:-1],
            step[:-1],
            torch.full((len(names) - 1,), negative),
            steps=STEPS,
            size=(6, 5),
        )
        strength = torch.cat([strength, torch.zeros(1)]).double()
        yield Twin(
            "every operation, turned round" if negative else "every operation",
            lambda x, s=strength: apply_operations(x, names, choice, s),
            lambda x, s=strength: apply_operations_by_hand(x, names, choice, s),
            (images,),
            gradients=False,
        )
