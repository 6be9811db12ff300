"""A person's pictures with several labels each, as tensors: the label sets of a table, looked up."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fathom.data.formats.image_folder import ImageFolder
from fathom.data.formats.labelled_pictures import LabelledPictures
from fathom.data.pictures import decoded, load_folder, readable
from fathom.data.split import Data, Split, class_numbers, held_out
from fathom.errors import unknown
from fathom.task import Options

if TYPE_CHECKING:
    from fathom.tasks.multi_label import MultiLabel

SHARE, FEWEST = 0.2, 5  # what is held out, and of how many pictures there is one to hold out


@dataclass(frozen=True)
class LookedUp:
    """Rows of ``split``, whose target, the number of a set, becomes the zeros and ones of that set."""

    split: Split
    sets: Tensor  # float32 (sets, labels)

    def __len__(self) -> int:
        return len(self.split)

    @property
    def targets(self) -> Tensor:
        kinds = class_numbers(self.split)
        assert kinds is not None, "the classes of pictures are numbers"
        return self.sets[kinds]

    def rows(self, index: Tensor) -> tuple[Tensor, ...]:
        *inputs, kind = self.split.rows(index)
        return (*inputs, self.sets[kind])


def load(found: LabelledPictures, options: Options, kind: "type[MultiLabel]") -> "tuple[MultiLabel, Data]":
    """The task that fits the pictures, and their splits; a fifth is held out where there is no valid one."""
    task: Any
    task, data = load_folder(divided(found.folder, options.seed), options, kind)
    sets = table(found, found.labels)
    parts: dict[str, Any] = {name: getattr(data, name) for name in ("train", "valid", "test")}
    looked_up: dict[str, Any] = {n: None if p is None else LookedUp(p, sets) for n, p in parts.items()}
    facts = {
        **data.facts, "classes": found.counts(), "skipped": [*found.folder.bad, *data.facts["skipped"]],
    }  # fmt: skip
    return replace(task, labels=found.labels), Data(**looked_up, facts=facts)


def divided(folder: ImageFolder, seed: int) -> ImageFolder:
    """A fifth of each set of labels held out, and a fifth of all pictures whose set is rare, together.

    Of many labels nearly every picture may have a set of its own: by sets alone nothing would be held out.
    """
    own = [i for i, split in enumerate(folder.splits) if split in ("all", "train")]
    if "valid" in folder.splits or len(own) < FEWEST:
        return folder
    common = Counter(folder.labels[i] for i in own)
    strata = [folder.labels[i] if common[folder.labels[i]] >= FEWEST else None for i in own]
    splits = list(folder.splits)
    for name, part in zip(("train", "valid"), held_out(len(own), SHARE, seed, strata), strict=True):
        for k in part.tolist():
            splits[own[k]] = name
    return replace(folder, splits=tuple(splits))


def load_labelled(found: LabelledPictures, options: Options, task: "MultiLabel") -> Data:
    """New pictures for a trained model, whose labels must be among its own."""
    for label in found.labels:
        if label not in task.labels:
            raise unknown("label", label, task.labels)
    good, bad = readable(found.folder, options.skip_bad)
    kept = [i for i, path in enumerate(found.folder.paths) if path in good]
    kinds = torch.tensor([found.folder.labels[i] for i in kept])
    whole = LookedUp(
        decoded(tuple(found.folder.paths[i] for i in kept), kinds, task), table(found, task.labels)
    )
    facts = {"source": str(found.folder.root), "skipped": [*found.folder.bad, *bad], "test": len(whole)}
    return Data(train=whole, test=whole, facts=facts)


def table(found: LabelledPictures, labels: tuple[str, ...]) -> Tensor:
    """Which of ``labels`` each set holds: float32 (sets, labels)."""
    sets = torch.zeros(len(found.sets), len(labels))
    for row, kind in enumerate(found.sets):
        sets[row, [labels.index(found.labels[k]) for k in kind]] = 1.0
    return sets
