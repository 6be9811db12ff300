"""Random changes of images, on the whole batch at once.

Each takes the first input of a batch, images (b, c, h, w) of any number type, and one row of uniform
numbers for each image. Sizes are in pixels, angles in degrees. What is done to a picture is in
``fundamentals/augmentation``; here is what is drawn. Ready-made policies are in ``policies``, changes that
need another row as well in ``mixing``.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.data.draws import between, ends_within, whole, within
from fathom.fundamentals.augmentation import colour, erasing, geometry

ORDERS = tuple(itertools.permutations(range(4)))


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Mirror left and right with probability ``probability``."""

    probability: float = 0.5
    draws = 1

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        return geometry.flip(images, numbers[:, 0] < self.probability), *rest


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Move by up to ``pixels`` in each direction; what comes in is ``fill`` (the pad-and-crop of CIFAR)."""

    pixels: int = 2
    fill: float = 0
    draws = 2

    def __post_init__(self) -> None:
        if self.pixels < 0:
            raise ValueError(f"pixels is {self.pixels}; it must be 0 or more")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        top, left = whole(numbers, 2 * self.pixels + 1).unbind(1)
        return geometry.pad_crop(images, top, left, padding=self.pixels, fill=self.fill), *rest


@dataclass(frozen=True, kw_only=True)
class PadCrop:
    """A window of the size of the picture, out of the picture padded by ``padding`` pixels.

    ``mode`` is "constant" (``fill``: what `Shift` does), "edge" or "reflect".
    """

    padding: int = 4
    mode: str = "reflect"
    fill: float = 0
    draws = 2

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding is {self.padding}; it must be 0 or more")
        if self.mode not in geometry.PADDINGS:
            raise ValueError(f"mode is {self.mode!r}; it must be one of {', '.join(geometry.PADDINGS)}")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        top, left = whole(numbers, 2 * self.padding + 1).unbind(1)
        moved = geometry.pad_crop(images, top, left, padding=self.padding, mode=self.mode, fill=self.fill)
        return moved, *rest


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Rotate, scale, shear and move, with bilinear interpolation and zeros outside."""

    degrees: float = 10.0
    scale: float = 0.1  # factor drawn from [1 - scale, 1 + scale]
    shear: float = 0.0  # degrees
    shift: float = 0.0  # pixels
    draws = 5

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        h, w = images.shape[-2:]
        n = (numbers * 2 - 1).to(images.device)
        angle, factor = torch.deg2rad(n[:, 0] * self.degrees), 1 + n[:, 1] * self.scale
        slant = torch.tan(torch.deg2rad(n[:, 2] * self.shear))
        cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
        dx, dy = n[:, 3] * self.shift * 2 / w, n[:, 4] * self.shift * 2 / h
        matrix = torch.stack([cos, cos * slant - sin, dx, sin, sin * slant + cos, dy], dim=1).reshape(
            -1, 2, 3
        )
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        moved = F.grid_sample(images.float(), grid, align_corners=False)
        return (moved if images.is_floating_point() else moved.round().to(images.dtype)), *rest


@dataclass(frozen=True, kw_only=True)
class RandomAffine:
    """Turn by up to ``degrees``, move by up to ``shift`` pixels, scale and slant, as torchvision draws."""

    degrees: float = 10.0
    shift: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0  # degrees, along x and along y
    interpolation: str = "bilinear"
    fill: float = 0
    draws = 6

    def __post_init__(self) -> None:
        ends_within("scale", self.scale, 1e-3, 1e3)
        if self.interpolation not in geometry.INTERPOLATIONS:
            raise ValueError(f"interpolation is {self.interpolation!r}; it must be 'nearest' or 'bilinear'")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        turn, across, down, size, slant_x, slant_y = numbers.double().unbind(1)
        moved = geometry.affine(
            images,
            angle=between(turn, -self.degrees, self.degrees),
            translate=(between(across, -self.shift, self.shift), between(down, -self.shift, self.shift)),
            scale=between(size, *self.scale),
            shear=(between(slant_x, -self.shear, self.shear), between(slant_y, -self.shear, self.shear)),
            interpolation=self.interpolation,
            fill=self.fill,
        )
        return moved, *rest


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Brightness, contrast, saturation and hue, by random amounts and in random order.

    Factors are drawn from [1 - amount, 1 + amount], from 0 on; hue from [-hue, hue], a share of the circle.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0
    draws = 5

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "hue"):
            within(name, getattr(self, name), 0, 0.5 if name == "hue" else math.inf)

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        numbers = numbers.double()
        amounts = (self.brightness, self.contrast, self.saturation, self.hue)
        changes = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
        order = torch.tensor(ORDERS)[whole(numbers[:, 4], len(ORDERS))]
        images = images.clone()
        for turn in range(4):
            for kind, (amount, change) in enumerate(zip(amounts, changes, strict=True)):
                rows = (order[:, turn] == kind).nonzero()[:, 0]
                if not amount or not len(rows):
                    continue
                low, high = (-amount, amount) if kind == 3 else (max(0.0, 1 - amount), 1 + amount)
                strength = between(numbers[rows, kind], low, high)
                rows = rows.to(images.device)
                images[rows] = change(images[rows], strength)
        return images, *rest


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """Blank a square of ``size`` pixels around a random centre (DeVries and Taylor 2017)."""

    size: int = 8
    fill: float = 0
    draws = 2

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        h, w = images.shape[-2:]
        row, column = (numbers * torch.tensor([h, w])).long().unbind(1)
        return erasing.cutout(images, row, column, size=self.size, value=self.fill), *rest


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Cover a rectangle with ``fill``, with probability ``probability`` (Zhong et al. 2017).

    Its share of the picture and its ratio of height to width are drawn from ``area`` and ``ratio``, the
    latter evenly on a logarithmic scale; the first of ten such draws that fits is taken.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    fill: float = 0
    draws = 23

    def __post_init__(self) -> None:
        within("probability", self.probability, 0, 1)
        ends_within("area", self.area, 0, 1)
        ends_within("ratio", self.ratio, 1e-3, 1e3)

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        h, w = images.shape[-2:]
        chosen = (numbers[:, 0] < self.probability).long()
        share = between(numbers[:, 3:13].double(), *self.area)
        ratio = between(numbers[:, 13:23].double(), *(math.log(r) for r in self.ratio)).exp()
        high, wide = erasing.first_that_fits(*erasing.erasing_rectangle(share, ratio, (h, w)), (h, w))
        high, wide = high * chosen, wide * chosen
        top, left = whole(numbers[:, 1], h - high + 1), whole(numbers[:, 2], w - wide + 1)
        return erasing.erase(images, top, left, high, wide, value=self.fill), *rest
