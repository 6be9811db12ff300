"""Random changes of images, on the whole batch at once.

Each takes the first input of a batch, images (b, c, h, w) of any number type, and one row of uniform
numbers for each image. Sizes are in pixels, angles in degrees. What is done to a picture is in
``fundamentals/augmentation``; here is what is drawn. `Mixup` and `CutMix` need other rows as well.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.augmentation import colour, erasing, geometry, mixing, policies

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
        top, left = _whole(numbers, 2 * self.pixels + 1).unbind(1)
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
        top, left = _whole(numbers, 2 * self.padding + 1).unbind(1)
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
        _ends("scale", self.scale, 1e-3, 1e3)
        if self.interpolation not in geometry.INTERPOLATIONS:
            raise ValueError(f"interpolation is {self.interpolation!r}; it must be 'nearest' or 'bilinear'")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        turn, across, down, size, slant_x, slant_y = numbers.double().unbind(1)
        moved = geometry.affine(
            images,
            angle=_between(turn, -self.degrees, self.degrees),
            translate=(_between(across, -self.shift, self.shift), _between(down, -self.shift, self.shift)),
            scale=_between(size, *self.scale),
            shear=(_between(slant_x, -self.shear, self.shear), _between(slant_y, -self.shear, self.shear)),
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
            _range(name, getattr(self, name), 0, 0.5 if name == "hue" else math.inf)

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        numbers = numbers.double()
        amounts = (self.brightness, self.contrast, self.saturation, self.hue)
        changes = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
        order = torch.tensor(ORDERS)[_whole(numbers[:, 4], len(ORDERS))]
        images = images.clone()
        for turn in range(4):
            for kind, (amount, change) in enumerate(zip(amounts, changes, strict=True)):
                rows = (order[:, turn] == kind).nonzero()[:, 0]
                if not amount or not len(rows):
                    continue
                low, high = (-amount, amount) if kind == 3 else (max(0.0, 1 - amount), 1 + amount)
                strength = _between(numbers[rows, kind], low, high)
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
        _range("probability", self.probability, 0, 1)
        _ends("area", self.area, 0, 1)
        _ends("ratio", self.ratio, 1e-3, 1e3)

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        h, w = images.shape[-2:]
        chosen = (numbers[:, 0] < self.probability).long()
        share = _between(numbers[:, 3:13].double(), *self.area)
        ratio = _between(numbers[:, 13:23].double(), *(math.log(r) for r in self.ratio)).exp()
        high, wide = erasing.first_that_fits(*erasing.erasing_rectangle(share, ratio, (h, w)), (h, w))
        high, wide = high * chosen, wide * chosen
        top, left = _whole(numbers[:, 1], h - high + 1), _whole(numbers[:, 2], w - wide + 1)
        return erasing.erase(images, top, left, high, wide, value=self.fill), *rest


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """``operations`` random changes at strength ``magnitude`` of ``steps`` (Cubuk et al. 2019)."""

    operations: int = 2
    magnitude: int = 9
    steps: int = 31
    interpolation: str = "nearest"
    fill: float = 0

    def __post_init__(self) -> None:
        if self.operations < 0:
            raise ValueError(f"operations is {self.operations}; it must be 0 or more")
        if self.steps < 2 or not 0 <= self.magnitude < self.steps:
            raise ValueError(f"magnitude is {self.magnitude} of {self.steps} steps; it must be in [0, steps)")

    @property
    def draws(self) -> int:
        return 2 * self.operations

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        choice = _whole(numbers[:, : self.operations], len(policies.RANDAUGMENT))
        changed = policies.random_operations(
            images, "RandAugment", choice, torch.full_like(choice, self.magnitude),
            numbers[:, self.operations :] < 0.5, steps=self.steps, interpolation=self.interpolation,
            fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class TrivialAugment:
    """One random change at a random strength, nothing to tune (Mueller and Hutter 2021, its wide ranges)."""

    steps: int = 31
    interpolation: str = "nearest"
    fill: float = 0
    draws = 3

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps is {self.steps}; it must be 2 or more")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        choice = _whole(numbers[:, :1], len(policies.TRIVIALAUGMENT))
        changed = policies.random_operations(
            images, "TrivialAugment", choice, _whole(numbers[:, 1:2], self.steps), numbers[:, 2:] < 0.5,
            steps=self.steps, interpolation=self.interpolation, fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class AutoAugment:
    """One of 25 pairs of changes found by search for "imagenet", "cifar10" or "svhn" (Cubuk et al. 2018)."""

    policy: str = "cifar10"
    interpolation: str = "nearest"
    fill: float = 0
    draws = 5

    def __post_init__(self) -> None:
        if self.policy not in policies.SEARCHED:
            raise ValueError(f"policy is {self.policy!r}; it must be one of {', '.join(policies.SEARCHED)}")

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        pair = _whole(numbers[:, 0], len(policies.SEARCHED[self.policy]))
        changed = policies.autoaugment(
            images, self.policy, pair, numbers[:, 1:3], numbers[:, 3:] < 0.5,
            interpolation=self.interpolation, fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class AugMix:
    """A blend of the picture and ``chains`` chains of one to three changes (Hendrycks et al. 2019)."""

    severity: int = 3
    chains: int = 3
    interpolation: str = "bilinear"
    fill: float = 0

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= policies.STEPS:
            raise ValueError(f"severity is {self.severity}; it must be in [1, {policies.STEPS}]")
        if self.chains < 1:
            raise ValueError(f"chains is {self.chains}; it must be 1 or more")

    @property
    def draws(self) -> int:
        return (
            1 + 11 * self.chains
        )  # of a chain: its weight and depth; of 3 changes which, how strong, which way

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        drawn = numbers[:, 1:].reshape(len(numbers), self.chains, 11)
        # Exponential numbers, divided by their sum, are Dirichlet with all parameters 1.
        weight = -torch.log1p(-drawn[:, :, 0].double().clamp(min=2.0**-25))
        changed = policies.augmix(
            images, _whole(drawn[:, :, 2:5], len(policies.AUGMIX)), _whole(drawn[:, :, 5:8], self.severity),
            drawn[:, :, 8:] < 0.5, 1 + _whole(drawn[:, :, 1], 3), weight / weight.sum(1, keepdim=True),
            numbers[:, 0].double(), interpolation=self.interpolation, fill=self.fill,
        )  # fmt: skip
        return changed, *rest


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """Blend each row with another, and their labels in the same shares (Zhang et al. 2018).

    ``partners`` says which other row of the whole split belongs to each, whatever batch it stands in;
    who calls reads those rows and gives them as ``others``. Labels (b,) become probabilities (b, classes).
    """

    classes: int
    alpha: float = 0.2  # weights are drawn from Beta(alpha, alpha)
    draws = 2

    def __post_init__(self) -> None:
        _mixing(self.classes, self.alpha)

    def partners(self, numbers: Tensor, count: int) -> Tensor:
        """Row numbers (b,) of a split of ``count`` rows."""
        return _whole(numbers[:, 0], count)

    def __call__(
        self, batch: tuple[Any, ...], numbers: Tensor, others: tuple[Any, ...] | None = None
    ) -> tuple[Any, ...]:
        images, *rest, labels = batch
        partner, partner_labels = _others(self, others)
        weight = mixing.beta_quantile(numbers[:, 1], self.alpha)
        own, other = (mixing.soft_targets(t, self.classes) for t in (labels, partner_labels))
        return mixing.mix(images, partner, weight), *rest, mixing.mix(own, other, weight)


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """Paste a rectangle of another row into each, and mix their labels by area (Yun et al. 2019).

    Called as `Mixup` is.
    """

    classes: int
    alpha: float = 1.0
    draws = 4

    def __post_init__(self) -> None:
        _mixing(self.classes, self.alpha)

    def partners(self, numbers: Tensor, count: int) -> Tensor:
        """Row numbers (b,) of a split of ``count`` rows."""
        return _whole(numbers[:, 0], count)

    def __call__(
        self, batch: tuple[Any, ...], numbers: Tensor, others: tuple[Any, ...] | None = None
    ) -> tuple[Any, ...]:
        images, *rest, labels = batch
        partner, partner_labels = _others(self, others)
        h, w = images.shape[-2:]
        weight = mixing.beta_quantile(numbers[:, 1], self.alpha)
        row, column = _whole(numbers[:, 2], h), _whole(numbers[:, 3], w)
        mixed, share = mixing.cutmix(images, partner, mixing.cutmix_box(weight, row, column, (h, w)))
        own, other = (mixing.soft_targets(t, self.classes) for t in (labels, partner_labels))
        return mixed, *rest, mixing.mix(own, other, share)


def _others(mixer: Mixup | CutMix, others: tuple[Any, ...] | None) -> tuple[Tensor, Tensor]:
    if others is None:
        raise ValueError(
            f"others is None; {type(mixer).__name__} mixes each row with another: "
            "give the rows that `partners` names"
        )
    return others[0], others[-1]


def _mixing(classes: int, alpha: float | int) -> None:
    if classes < 2:
        raise ValueError(f"classes is {classes}; it must be 2 or more")
    if not 0 < alpha <= 10:
        raise ValueError(f"alpha is {alpha}; it must be in (0, 10]")


def _whole(numbers: Tensor, count: int | Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as whole ones in [0, count)."""
    return (numbers * count).long()


def _between(numbers: Tensor, low: float | int, high: float | int) -> Tensor:
    """Uniform numbers in [0, 1) as such in [low, high)."""
    return low + (high - low) * numbers


def _range(name: str, value: float | int, low: float | int, high: float | int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be in [{low:g}, {high:g}]")


def _ends(name: str, ends: tuple[float | int, float | int], low: float | int, high: float | int) -> None:
    if not low <= ends[0] <= ends[1] <= high:
        raise ValueError(f"{name} is {ends}; it must be (smallest, largest) within [{low:g}, {high:g}]")
