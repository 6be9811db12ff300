"""CIFAR-10 as training, validation and test tensors: colour photographs of ten kinds of things, uint8.

Smaller pictures, fewer of them, two classes out of ten and rare classes are settings, for lessons that must
be over soon or are about imbalance. Whatever is taken from the training pictures, those for validation and
test stay as they are: about as many of each class.
"""

import contextlib
import importlib.metadata
import os
import tempfile
import zipfile
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fathom.data import places
from fathom.data.sets import cifar10
from fathom.data.sets.cifar10 import LABELS
from fathom.data.split import Data, Tensors
from fathom.errors import InputError

# Of the 50,000 training pictures, red, green and blue in [0, 1]; halved ones deviate by 0.01 less.
MEAN = (0.4913, 0.4821, 0.4465)
DEVIATION = (0.2452, 0.2428, 0.2606)


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """The last ``valid`` training images are held out to choose settings on; the test set stays apart.

    ``imbalance`` 100 makes the long tail of Cui et al. (2019, section 5): class k keeps the share
    100 ** (-k / 9) of its training images, the last one a hundredth. ``pair`` (common, rare) keeps two
    classes, labelled 0 and 1, and ``minority`` images of the rare one for each of the common one: 0.02 is one
    to fifty. Validation and test keep all images of both. For the recall of the minority it does not matter
    how often the others come, but its error does depend on how many of the minority are there: held out at
    one to fifty they would be ten, and recall uncertain by thirty points. Figures that do depend on it
    (accuracy, precision) are those of a balanced world.
    """

    valid: int = 5000
    train: int | None = None  # images kept of each class, the first ones; None: all
    size: int = 32  # pixels; 16 and 8 are means over squares of 2 and 4
    imbalance: float = 1.0  # of the ten classes: the largest over the smallest
    pair: tuple[int, int] | None = None  # two classes instead of ten: the common one, the rare one
    minority: float = 1.0  # images of the rare class for each of the common one

    def __post_init__(self) -> None:
        if not 0 <= self.valid < 50_000:
            raise ValueError(
                f"valid is {self.valid}; of 50,000 training images between 0 and 49,999 can be held out"
            )
        if self.train is not None and not 1 <= self.train <= 5000:
            raise ValueError(f"train is {self.train}; it must be in [1, 5000], or None for all of each class")
        if self.size not in (8, 16, 32):
            raise ValueError(f"size is {self.size}; it must be 8, 16 or 32")
        if not 1 <= self.imbalance < float("inf"):
            raise ValueError(f"imbalance is {self.imbalance}; it must be 1 or more, and finite")
        if not 0 < self.minority <= 1:
            raise ValueError(f"minority is {self.minority}; it must be in (0, 1]")
        if self.pair is None:
            if self.minority != 1:
                raise ValueError(f"minority is {self.minority}, but pair is None; name two classes")
            return
        if len(self.pair) != 2 or len(set(self.pair)) != 2 or not set(self.pair) <= set(range(10)):
            raise ValueError(f"pair is {self.pair}; it must be two different classes of 0 to 9")
        if self.imbalance != 1:
            raise ValueError(f"imbalance is {self.imbalance} and pair {self.pair}; of a pair set minority")

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""
        return tuple(LABELS[k] for k in self.pair or range(10))

    def load(self) -> Data:
        images = decoded()
        pictures, labels = torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels)
        cut = len(labels) - self.valid
        unseen = torch.from_numpy(images.test_images), torch.from_numpy(images.test_labels)
        train = self.part(pictures, labels, self.kept(labels[:cut]))
        valid = self.part(pictures, labels, self.of_classes(labels[cut:]) + cut)
        test = self.part(*unseen, self.of_classes(unseen[1]))
        counts = torch.bincount(train.columns[1], minlength=len(self.labels)).tolist()
        return Data(
            train=train,
            valid=valid if self.valid else None,
            test=test,
            facts={
                "source": "cifar10", "size": self.size, "train": len(train), "valid": len(valid),
                "test": len(test), "train_per_class": dict(zip(self.labels, counts, strict=True)),
            },
        )  # fmt: skip

    def kept(self, labels: Tensor) -> Tensor:
        """Which training images stay, of the classes and in the numbers asked for, in their order."""
        rows = [(labels == k).nonzero()[:, 0] for k in self.pair or range(10)]
        counts = [len(own) for own in rows]
        if self.train is not None:
            if min(counts) < self.train:
                raise InputError(
                    f"train is {self.train}; a class has {min(counts)} training images beside the"
                    f" {self.valid} held out: take fewer, or a smaller valid"
                )
            counts = [self.train] * len(rows)
        if self.pair:
            counts[1] = min(counts[1], max(1, round(self.minority * counts[0])))
        else:
            counts = [max(1, int(n * self.imbalance ** (-k / 9))) for k, n in enumerate(counts)]
        return torch.cat([own[:n] for own, n in zip(rows, counts, strict=True)]).sort().values

    def of_classes(self, labels: Tensor) -> Tensor:
        """Which images are of the classes asked for."""
        return torch.isin(labels, torch.tensor(self.pair or range(10))).nonzero()[:, 0]

    def part(self, pictures: Tensor, labels: Tensor, rows: Tensor) -> Tensors:
        own = labels[rows]
        if self.pair:
            own = (own == self.pair[1]).long()
        return Tensors((shrink(pictures[rows], self.size), own))


def shrink(pictures: Tensor, size: int) -> Tensor:
    """uint8 pictures (n, c, side, side) at ``size`` pixels, a divisor of the side: means over squares."""
    factor = pictures.shape[-1] // size
    if factor == 1:
        return pictures
    total = torch.full((*pictures.shape[:2], size, size), factor * factor // 2, dtype=torch.int16)
    for row in range(factor):
        for column in range(factor):
            total += pictures[:, :, row::factor, column::factor]
    return (total // (factor * factor)).to(torch.uint8)


def decoded() -> cifar10.Images:
    """All pictures. Decoded once; later they come from the cache, where that can be written.

    The name in the cache tells what was decoded, and by which Pillow: another one may round otherwise.
    """
    places.find(cifar10.SET)  # what is not there, or was changed, is refused, whatever the cache holds
    by = importlib.metadata.version("pillow")
    file = places.cache_folder() / "decoded" / f"cifar10-{cifar10.SET.digest[:16]}-pillow-{by}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or damaged
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            return cifar10.Images(*(found[name] for name in COLUMNS))
    images = cifar10.read()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            try:
                np.savez(part, **{name: getattr(images, name) for name in COLUMNS})
                part.close()
                os.replace(part.name, file)
            except BaseException:
                os.unlink(part.name)
                raise
    return images


COLUMNS = ("train_images", "train_labels", "test_images", "test_labels")
