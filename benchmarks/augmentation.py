"""What augmentation costs: pictures a second on one core, by the batch and by torchvision's one by one.

The usual pipeline of CIFAR-10, the same operations with the same ranges on both sides: a window of the
picture padded by 4, a flip, brightness, contrast and saturation by up to 0.4 (and, in a second row, hue by up
to 0.1) in random order, and an erased rectangle for half of the pictures. Pictures are uint8; ours come as
batches of 256 with their random numbers, theirs one by one from a ``v2.Compose`` and are stacked.

Ours is what ``Shuffled`` runs. Reads the real pictures where CIFAR-10 is found, else noise of the same size.
"""

import time
from collections.abc import Callable
from typing import Any

import peers  # noqa: F401 - before torchvision
import torch
from pairs import arguments, keep, paired, shown
from torch import Tensor

from fathom.data.transforms import ColourJitter, Flip, PadCrop, RandomErasing
from fathom.errors import InputError
from fathom.training.randomness import uniform

BATCH, BATCHES = 256, 8
GOAL = 3.0


def pictures() -> tuple[Tensor, str]:
    from fathom.data.sets import cifar10

    try:
        return torch.from_numpy(cifar10.read().train_images[: BATCH * BATCHES]), "CIFAR-10"
    except InputError:
        return torch.randint(256, (BATCH * BATCHES, 3, 32, 32), dtype=torch.uint8), "noise"


def batches(images: Tensor, hue: float) -> Callable[[], float]:
    pipeline = (PadCrop(padding=4, mode="constant"), Flip(), ColourJitter(hue=hue), RandomErasing())
    draws = sum(a.draws for a in pipeline)

    def run() -> float:
        began = time.perf_counter()
        for first in range(0, len(images), BATCH):
            index = torch.arange(first, first + BATCH)
            batch: tuple[Any, ...] = (images.index_select(0, index),)
            numbers, used = uniform(0, 0, index, draws), 0
            for augment in pipeline:
                batch = augment(batch, numbers[:, used : used + augment.draws])
                used += augment.draws
        return len(images) / (time.perf_counter() - began)

    return run


def one_by_one(images: Tensor, hue: float) -> Callable[[], float]:
    from torchvision.transforms import v2

    pipeline = v2.Compose(
        [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4, 0.4, hue),
         v2.RandomErasing()]
    )  # fmt: skip

    def run() -> float:
        began = time.perf_counter()
        for first in range(0, len(images), BATCH):
            torch.stack([pipeline(images[i]) for i in range(first, first + BATCH)])
        return len(images) / (time.perf_counter() - began)

    return run


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(1)
    images, source = pictures()
    rows: list[dict[str, str]] = []
    details: dict[str, Any] = {"pictures": source, "batch": BATCH, "threads": 1}
    for name, hue in (("crop, flip, colour, erase", 0.0), ("the same with hue", 0.1)):
        ours, other = batches(images, hue), one_by_one(images, hue)
        ours(), other()  # warm both sides
        found = paired(ours, other, args.pairs)
        details[name] = found
        rows.append(
            {
                "what": f"augmentation, {name}: pictures per second",
                "ours": f"{found['ours_median']:.0f}",
                "other": f"torchvision per picture {found['other_median']:.0f}",
                "ratio": shown(found),
                "goal": f"at least {GOAL:g}",
            }
        )
    keep("augmentation", rows, details, args.out)


if __name__ == "__main__":
    main()
