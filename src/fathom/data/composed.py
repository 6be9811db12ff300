"""Pictures that show several things at once, made of pictures that show one: what they show is their target.

Targets are float32 (n, labels) of zeros and ones. All is a function of the seed and the split's name.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fathom.data.split import Data, InMemory, Tensors
from fathom.training.randomness import generator

SIDE = 28  # pixels of a digit
CELLS = 2  # places for digits, across and down
JITTER = 3  # pixels by which a digit may stand off its place: less than its own blank margin


@dataclass(frozen=True, kw_only=True)
class ComposedDigits:
    """Two or three digits of MNIST on one canvas of 56x56 pixels, uint8; the target is which are there.

    Digits for training and validation are those of MNIST's training images, the last 5000 for validation;
    those of the test pictures come from its test images alone. A digit may be there twice.
    """

    train: int = 20_000  # pictures
    valid: int = 2_000
    test: int = 5_000
    fewest: int = 2  # digits on a canvas
    most: int = 3
    seed: int = 0  # of what is on which canvas, and where

    def __post_init__(self) -> None:
        for name in ("train", "valid", "test"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more pictures")
        if not 1 <= self.fewest <= self.most <= CELLS**2:
            raise ValueError(
                f"fewest is {self.fewest} and most {self.most}; it must be 1 <= fewest <= most <= {CELLS**2}"
            )

    def load(self) -> Data:
        from fathom.data.sets import mnist

        images, cut = mnist.read(), 55_000
        train, test = (images.train_images, images.train_labels), (images.test_images, images.test_labels)
        sources = {
            "train": (self.train, *(torch.from_numpy(a[:cut]) for a in train)),
            "valid": (self.valid, *(torch.from_numpy(a[cut:]) for a in train)),
            "test": (self.test, *(torch.from_numpy(a) for a in test)),
        }
        made = {
            name: self.composed(count, digits, labels, generator(self.seed, "composed", name))
            for name, (count, digits, labels) in sources.items()
        }
        return Data(
            **made,
            facts={"source": "mnist, two or three on a canvas", **{n: len(s) for n, s in made.items()}},
        )

    def composed(self, count: int, digits: Tensor, labels: Tensor, dice: torch.Generator) -> Tensors:
        """``count`` canvases of ``digits`` uint8 (n, 28, 28) with ``labels`` (n,)."""
        filled = torch.randint(self.fewest, self.most + 1, (count,), generator=dice)
        cells = torch.rand(count, CELLS**2, generator=dice).argsort(dim=1)
        drawn = torch.randint(len(digits), (count, self.most), generator=dice)
        off = torch.randint(-JITTER, JITTER + 1, (count, self.most, 2), generator=dice)
        canvas = torch.zeros(count, SIDE * CELLS, SIDE * CELLS, dtype=torch.uint8)
        target = torch.zeros(count, 10)
        for turn in range(self.most):
            rows = (filled > turn).nonzero()[:, 0]
            chosen, cell = drawn[rows, turn], cells[rows, turn]
            corner = torch.stack([cell // CELLS, cell % CELLS], dim=1) * SIDE + off[rows, turn]
            put(canvas, rows, digits[chosen], corner.clamp(0, SIDE * (CELLS - 1)))
            target[rows, labels[chosen].long()] = 1.0
        return Tensors((canvas[:, None], target))


def put(canvas: Tensor, rows: Tensor, pictures: Tensor, corner: Tensor) -> None:
    """Lay ``pictures`` (m, s, s) onto ``rows`` of ``canvas``, top left at ``corner``; the lighter stays."""
    side = torch.arange(pictures.shape[-1])
    down = (corner[:, 0, None] + side)[:, :, None]
    across = (corner[:, 1, None] + side)[:, None, :]
    place = rows[:, None, None], down, across
    canvas[place] = torch.maximum(canvas[place], pictures)


def drawn_marks(*, train: int, valid: int, size: int = 16, seed: int = 0) -> InMemory:
    """uint8 pictures that may show a lying bar, an upright post and a dot, each or not, somewhere."""
    marks = torch.zeros(3, 5, 5, dtype=torch.uint8)
    marks[0, 2], marks[1, :, 2], marks[2, 1:4, 1:4] = 255, 255, 255
    splits = []
    for name, count in (("train", train), ("valid", valid)):
        dice = generator(seed, "marks", name)
        target = (torch.rand(count, 3, generator=dice) < 0.5).float()
        canvas = torch.randint(0, 50, (count, size, size), dtype=torch.uint8, generator=dice)
        corner = torch.randint(size - 5, (count, 3, 2), generator=dice)
        for kind in range(3):
            rows = target[:, kind].nonzero()[:, 0]
            put(canvas, rows, marks[kind].expand(len(rows), -1, -1), corner[rows, kind])
        splits.append(Tensors((canvas[:, None], target)))
    return InMemory(Data(train=splits[0], valid=splits[1], test=splits[1], facts={"source": "drawn marks"}))
