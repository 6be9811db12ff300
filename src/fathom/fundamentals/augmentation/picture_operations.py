"""The operations of augmentation policies: fourteen changes of a picture, and how strong each may be.

A policy says which operation each picture gets and how strongly: ``autoaugment`` found that out by search,
``randaugment`` draws it, ``augmix`` blends what several chains made. They share what is here. A strength is a
step on a ladder from weakest to strongest; a policy's table of operations, its space, holds the ladders'
ends. For ``Brightness``, ``Color``, ``Contrast`` and ``Sharpness`` the blend factor of colour is
1 + strength. Signed strengths may be turned round; policies do that half of the time.

The choices (which, which step, which sign) are given for each picture: pictures with the same operation are
gathered, so that a batch costs a few calls, and the five that move pixels are one warp.

Axes used below
    b  pictures      c  channels      h, w  height and width
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.augmentation import colour, geometry

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Operations of augmentation policies",
    paper="https://arxiv.org/abs/1805.09501",
    year=2018,
    summary="Fourteen ways to change a training picture, with strengths that mean the same at every size.",
    rows=("RN05",),
    builds_on=("geometry", "colour"),
    oracle="torchvision.transforms.v2: uint8, bit for bit, each operation at each strength",
)

# Name -> (weakest, strongest, unit, signed), or None where there is no strength. "width" and "height" are
# shares of that side, "pixels" whole pixels, "bits" are kept bits and rounded, "white" is a share of white.
Space = Mapping[str, tuple[float, float, str, bool] | None]

MOVING = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


def ladder(space: Space, name: str, steps: int, size: tuple[int, int]) -> Float[Tensor, "steps"]:
    """The ``steps`` strengths of operation ``name`` of ``space``, weakest first, for pictures of ``size``.

    ``size`` is (h, w). Zeros for an operation that has none. Raises ``ValueError`` for an unknown name and
    fewer than 2 steps.
    """
    if name not in space:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(space)}")
    if steps < 2:
        raise ValueError(f"steps is {steps}; a ladder has 2 or more")
    ends = space[name]
    if ends is None:
        return torch.zeros(steps)
    low, high, unit, _ = ends
    if unit == "bits":
        return (low + (high - low) * torch.arange(steps) / (steps - 1)).round()
    side = {"height": size[0], "width": size[1]}.get(unit, 1)
    return torch.linspace(low * side, high * side, steps)


def strengths(
    space: Space,
    choice: Int[Tensor, "b"],
    step: Int[Tensor, "b"],
    negative: Bool[Tensor, "b"],
    *,
    steps: int,
    size: tuple[int, int],
) -> Float[Tensor, "b"]:
    """The strength of operation ``choice`` of ``space`` at rung ``step``, turned round where ``negative``."""
    names = list(space)
    for name, value, count in (("choice", choice, len(names)), ("step", step, steps)):
        if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < count:
            raise ValueError(
                f"{name} goes from {int(value.min())} to {int(value.max())}; it is in [0, {count})"
            )
    table = torch.stack([ladder(space, name, steps, size) for name in names])
    signed = torch.tensor([bool(ends and ends[3]) for ends in space.values()])
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


def apply_operations_by_hand(
    images: Float[Tensor, "b 3 h w"],
    names: list[str],
    choice: Tensor,
    strength: Tensor,
    interpolation: str = "nearest",
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
            pictures.append(geometry.warp_by_hand(x, matrix, interpolation))
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
    """The pairs that the contract compares: every operation at once, at a strength of its own."""
    from fathom.fundamentals.twin import Twin

    strong = {
        "ShearX": 0.21, "ShearY": 0.23, "TranslateX": 2.0, "TranslateY": 1.0, "Rotate": 23.0,
        "Brightness": 0.7, "Color": 0.6, "Contrast": 0.5, "Sharpness": 0.8, "Posterize": 3.0, "Solarize": 0.2,
    }  # fmt: skip
    names = [*MOVING, *RECOLOURING]
    dice = torch.Generator().manual_seed(0)
    images = torch.rand(len(names), 3, 6, 5, dtype=torch.float64, generator=dice)
    choice = torch.arange(len(names))
    for sign in (1, -1):
        found = [strong.get(n, 0.0) * (1 if n in ("Posterize", "Solarize") else sign) for n in names]
        strength = torch.tensor(found, dtype=torch.float64)
        yield Twin(
            "every operation" if sign > 0 else "every operation, turned round",
            lambda x, s=strength: apply_operations(x, names, choice, s),
            lambda x, s=strength: apply_operations_by_hand(x, names, choice, s),
            (images,),
            gradients=False,
        )
