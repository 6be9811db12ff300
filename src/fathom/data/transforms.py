"""Random changes of images, on the whole batch at once.

Each takes the first input of a batch, images (b, c, h, w) of any number type, and one row of uniform
numbers for each image. Sizes are in pixels, angles in degrees.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Mirror left and right with probability ``probability``."""

    probability: float = 0.5
    draws = 1

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        chosen = (numbers[:, 0] < self.probability)[:, None, None, None]
        return torch.where(chosen, images.flip(-1), images), *rest


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
        b, c, h, w = images.shape
        padded = F.pad(images, (self.pixels,) * 4, value=self.fill)
        # One gather: row and column of each output pixel in the padded image, for each sample.
        moves = (numbers * (2 * self.pixels + 1)).long().to(images.device)
        rows = moves[:, 0, None] + torch.arange(h, device=images.device)  # b h
        columns = moves[:, 1, None] + torch.arange(w, device=images.device)  # b w
        place = (rows[:, :, None] * (w + 2 * self.pixels) + columns[:, None, :]).reshape(b, 1, h * w)
        moved = padded.flatten(2).gather(2, place.expand(b, c, h * w))
        return moved.reshape(b, c, h, w), *rest


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
class Cutout:
    """Blank a square of ``size`` pixels around a random centre (DeVries and Taylor 2017)."""

    size: int = 8
    fill: float = 0
    draws = 2

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, *rest = batch
        h, w = images.shape[-2:]
        centre = (numbers * torch.tensor([h, w])).long().to(images.device)
        half = self.size // 2
        rows = (torch.arange(h, device=images.device) - centre[:, :1] + half)[:, :, None]
        columns = (torch.arange(w, device=images.device) - centre[:, 1:] + half)[:, None, :]
        inside = (rows >= 0) & (rows < self.size) & (columns >= 0) & (columns < self.size)
        return images.masked_fill(inside[:, None], self.fill), *rest
