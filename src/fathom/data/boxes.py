"""Pictures with boxes: rows of unequal size, padded to the largest of their batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.split import Data, InMemory
from fathom.errors import InputError
from fathom.training.randomness import generator, uniform

NONE = -1  # the label that fills up the boxes of a picture that has fewer than others


@dataclass(frozen=True)
class Boxed:
    """A split of pictures and their boxes.

    ``images`` are uint8 (3, height, width), each of its own size; ``boxes`` float32 (count, 5): label,
    left, top, right, bottom in pixels. ``rows`` gives (images uint8 (b, 3, height, width), padded with
    zeros at the right and bottom; boxes float32 (b, most, 5), filled up with rows whose label is -1).
    """

    images: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]
    multiple: int = 8  # heights and widths of a batch are multiples of this

    def __post_init__(self) -> None:
        if len(self.images) != len(self.boxes):
            raise InputError(f"there are {len(self.images)} pictures but boxes of {len(self.boxes)}")

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        chosen = index.tolist()
        height, width = (
            max(-(-self.images[i].shape[axis] // self.multiple) * self.multiple for i in chosen)
            for axis in (1, 2)
        )
        most = max(1, *(len(self.boxes[i]) for i in chosen))
        images = torch.zeros(len(chosen), 3, height, width, dtype=torch.uint8)
        boxes = torch.zeros(len(chosen), most, 5)
        boxes[:, :, 0] = NONE
        for row, i in enumerate(chosen):
            image, own = self.images[i], self.boxes[i]
            images[row, :, : image.shape[1], : image.shape[2]] = image
            boxes[row, : len(own)] = own
        return images, boxes


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Mirror pictures and boxes left to right and top to bottom, each with probability a half."""

    draws = 2

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        images, boxes = batch
        size = images.shape[-1], images.shape[-2]
        for axis in (0, 1):
            chosen = numbers[:, axis] < 0.5
            images = torch.where(chosen[:, None, None, None], images.flip(3 - axis), images)
            low, high = 1 + axis, 3 + axis  # columns of the edges
            mirrored = boxes.clone()
            mirrored[..., low], mirrored[..., high] = (
                size[axis] - boxes[..., high],
                size[axis] - boxes[..., low],
            )
            boxes = torch.where(chosen[:, None, None], mirrored, boxes)
        return images, boxes


def crop(image: Tensor, boxes: Tensor, window: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """The part of a picture inside ``window`` (left, top, right, bottom).

    Boxes are cut at its edges; those that keep less than half of their area are left out.
    """
    left, top, right, bottom = window
    moved = boxes.clone()
    moved[:, 1::2] = (boxes[:, 1::2] - left).clamp(0, right - left)
    moved[:, 2::2] = (boxes[:, 2::2] - top).clamp(0, bottom - top)

    def area(box: Tensor) -> Tensor:
        return (box[:, 3] - box[:, 1]) * (box[:, 4] - box[:, 2])

    return image[:, top:bottom, left:right].contiguous(), moved[area(moved) >= 0.5 * area(boxes)]


@dataclass(frozen=True, kw_only=True)
class BloodCells:
    """BCCD: photographs of blood, cells of three kinds, each photograph cut to a size of its own.

    Every picture is cut to between ``smallest`` and all of its width and height, at a place drawn from its
    number, so that pictures differ in size in every split.
    """

    smallest: float = 0.7
    multiple: int = 8  # sides of a batch are padded to multiples of this: the stride of the detector
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.1 <= self.smallest <= 1:
            raise ValueError(f"smallest is {self.smallest}; it is a share of the width from 0.1 to 1")

    def load(self) -> Data:
        from fathom.data.sets import bccd

        found = bccd.read()
        splits = [self.cut(part, place) for place, part in enumerate((found.train, found.valid, found.test))]
        counts = {n: len(s) for n, s in zip(("train", "valid", "test"), splits, strict=True)}
        return Data(*splits, facts={"source": "bccd", **counts})

    def cut(self, part: Sequence[tuple[bytes, np.ndarray, np.ndarray]], place: int) -> Boxed:
        images, boxes = [], []
        shares = uniform(self.seed, place, torch.arange(len(part)), 4)
        for (data, corners, labels), share in zip(part, shares.tolist(), strict=True):
            image = decode(data)
            all_boxes = torch.from_numpy(np.column_stack([labels, corners]).astype(np.float32))
            height, width = image.shape[1:]
            wide, high = (self.smallest + (1 - self.smallest) * s for s in share[:2])
            columns, rows = round(width * wide), round(height * high)
            left, top = int(share[2] * (width - columns + 1)), int(share[3] * (height - rows + 1))
            image, kept = crop(image, all_boxes, (left, top, left + columns, top + rows))
            images.append(image)
            boxes.append(kept)
        return Boxed(tuple(images), tuple(boxes), self.multiple)


def decode(data: bytes | Path) -> Tensor:
    """An encoded picture as uint8 (3, height, width), read as the server reads it."""
    from fathom.deployment.preprocessing import image

    return torch.from_numpy(image(data, {"channels": 3}))


def drawn_shapes(*, train: int, valid: int, seed: int = 0) -> InMemory:
    """Drawn pictures of unequal size with one to three discs (label 0) and squares (1) on dark ground."""
    splits: list[Boxed] = []
    for name, count in (("train", train), ("valid", valid)):
        images, boxes = [], []
        for i in range(count):
            dice = generator(seed, "shapes", name, i)
            height, width = torch.randint(32, 49, (2,), generator=dice).tolist()
            image = torch.rand(3, height, width, generator=dice) * 60
            rows = []
            for _ in range(int(torch.randint(1, 4, (), generator=dice))):
                side = int(torch.randint(9, 17, (), generator=dice))
                left = int(torch.randint(width - side + 1, (), generator=dice))
                top = int(torch.randint(height - side + 1, (), generator=dice))
                label = int(torch.randint(2, (), generator=dice))
                axis = (torch.arange(side) + 0.5) / side * 2 - 1
                shape = axis[:, None] ** 2 + axis**2 <= 1 if label == 0 else torch.ones(side, side) > 0
                image[:, top : top + side, left : left + side].masked_fill_(shape, 230.0)
                rows.append([label, left, top, left + side, top + side])
            images.append(image.to(torch.uint8))
            boxes.append(torch.tensor(rows, dtype=torch.float32))
        splits.append(Boxed(tuple(images), tuple(boxes)))
    return InMemory(Data(splits[0], splits[1], splits[1], facts={"source": "drawn shapes"}))
