"""A person's pictures as tensors: decoded as the server decodes them, held in memory or read when asked."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.formats.image_folder import ImageFolder
from fathom.data.split import Data, Part, Split, Tensors, held_out
from fathom.deployment.pictures import open_image
from fathom.deployment.preprocessing import apply
from fathom.errors import InputError
from fathom.task import Options

if TYPE_CHECKING:
    from fathom.tasks.image_classification import ImageClassification

SIZES = (28, 32, 48, 64)  # sides of the squares that pictures are brought to
MEMORY = 2 * 2**30  # bytes of decoded pictures that are kept; beyond that they are read again each time


@dataclass(frozen=True)
class Files:
    """Rows that are decoded when they are asked for: for more pictures than memory holds."""

    paths: tuple[Path, ...]
    labels: Tensor
    operations: tuple[dict[str, Any], ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def targets(self) -> Tensor:
        return self.labels

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        pixels = [apply(self.operations, self.paths[i])["image"] for i in index.tolist()]
        return torch.from_numpy(np.stack(pixels)), self.labels[index]


def load_folder(found: ImageFolder, options: Options, kind: Any) -> "tuple[ImageClassification, Data]":
    """The task that fits the pictures, and their splits; a fifth is held out without a valid folder.

    Of its settings, sizes, mean and deviation are measured, but for those that are fixed already.
    """
    good, bad = readable(found, options.skip_bad)
    sizes = [(w, h) for w, h, _ in good.values()]
    side = suitable_side(sizes)
    channels = 3 if any(colour for _, _, colour in good.values()) else 1
    kept = [i for i, p in enumerate(found.paths) if p in good]
    labels = torch.tensor([found.labels[i] for i in kept])
    paths = tuple(found.paths[i] for i in kept)
    bare = kind(
        **{"labels": found.classes, "channels": channels, "height": side, "width": side, **options.fixed}
    )
    whole = decoded(paths, labels, bare)
    splits = divide([found.splits[i] for i in kept], labels, options.seed)
    task = bare if "mean" in options.fixed else measured(bare, whole, splits["train"])
    facts = {
        "source": str(found.root), "classes": found.counts(), "skipped": bad, "side": bare.height,
        **{n: len(i) for n, i in splits.items()},
    }  # fmt: skip
    parts = {n: Part(whole, i) for n, i in splits.items() if len(i)}
    return task, Data(parts["train"], parts.get("valid"), parts.get("test"), facts)


def load_labelled(found: ImageFolder, options: Options, task: "ImageClassification") -> Data:
    """New labelled pictures for a trained model; their classes must be its own, by name."""
    strange = sorted(set(found.classes) - set(task.labels))
    if strange:
        raise InputError(f"{found.root} has a class {strange[0]!r}; the model knows {', '.join(task.labels)}")
    good, bad = readable(found, options.skip_bad)
    kept = [i for i, p in enumerate(found.paths) if p in good]
    labels = torch.tensor([task.labels.index(found.classes[found.labels[i]]) for i in kept])
    whole = decoded(tuple(found.paths[i] for i in kept), labels, task)
    return Data(
        train=whole, test=whole, facts={"source": str(found.root), "skipped": bad, "test": len(whole)}
    )


def readable(found: ImageFolder, skip_bad: bool) -> tuple[dict[Path, tuple[int, int, bool]], list[str]]:
    """Width, height and whether it has colour of every picture that can be decoded; the others by name."""

    def look(path: Path) -> tuple[int, int, bool] | str:
        try:
            picture = open_image(path)
        except InputError as error:
            return f"{path}: {error}"
        return (*picture.size, picture.mode not in ("L", "1", "I", "I;16"))

    with ThreadPoolExecutor() as pool:
        looks = list(pool.map(look, found.paths))
    bad = [text for text in looks if isinstance(text, str)]
    if bad and not skip_bad:
        raise InputError(f"{bad[0]} ({len(bad)} of {len(looks)} in all); leave such out with --skip-bad")
    good = {p: seen for p, seen in zip(found.paths, looks, strict=True) if not isinstance(seen, str)}
    label_of = dict(zip(found.paths, found.labels, strict=True))
    if len({label_of[p] for p in good}) < 2:
        raise InputError(f"{found.root}: fewer than two classes have pictures that can be read")
    return good, bad


def suitable_side(sizes: list[tuple[int, int]]) -> int:
    """The largest of our sides that most pictures reach."""
    middle = float(np.median([min(size) for size in sizes]))
    return max([s for s in SIZES if s <= middle], default=SIZES[0])


def decoded(paths: tuple[Path, ...], labels: Tensor, task: Any) -> Split:
    """All pictures in memory where they fit, or read from their files each time."""
    operations = tuple(task.preprocessing())
    files = Files(paths, labels, operations)
    if len(paths) * task.channels * task.height * task.width > MEMORY:
        return files
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(lambda p: apply(operations, p)["image"], paths))
    return Tensors((torch.from_numpy(np.stack(pixels)), labels))


def divide(named: list[str], labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Row numbers of each split; a fifth of the training rows is held out where there is no valid folder."""
    rows = {s: torch.tensor([i for i, n in enumerate(named) if n == s], dtype=torch.long) for s in set(named)}
    train = rows.get("train", rows.get("all", torch.zeros(0, dtype=torch.long)))
    if "valid" in rows:
        return {"train": train, "valid": rows["valid"], "test": rows.get("test", train[:0])}
    if len(train) < 4:
        raise InputError(f"there are {len(train)} pictures to learn from; give at least 4")
    kept, held = held_out(len(train), 0.2, seed, labels[train].tolist())
    return {"train": train[kept], "valid": train[held], "test": rows.get("test", train[:0])}


def measured(bare: Any, whole: Split, train: Tensor) -> Any:
    """The task with mean and deviation of training pixels."""
    pixels = whole.rows(train[:2000])[0].float() / 255
    mean = tuple(round(float(v), 4) for v in pixels.mean(dim=(0, 2, 3)))
    deviation = tuple(max(0.01, round(float(v), 4)) for v in pixels.std(dim=(0, 2, 3)))
    return replace(bare, mean=mean, deviation=deviation)
