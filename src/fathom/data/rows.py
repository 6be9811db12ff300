"""A person's table as rows to learn from: which column is predicted, which are read, what is held out.

Everything that can be wrong with it is said here, before step 0: a target that is not there, labels that
are missing, constant or all different, too few rows, columns that are not those of the trained model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.data import columns as encoding
from fathom.data.sheets import Sheet, open_sheet, sample_sheet
from fathom.data.split import Data, Tensors, held_out
from fathom.errors import InputError, unknown
from fathom.task import Options

USUAL = ("target", "label", "class", "y", "price")  # what the column to predict is often called
FEWEST = 10  # rows
HELD_OUT = 0.2  # share of rows that settings are chosen on, where the data has no splits of its own
ENOUGH = 1000  # rows that show which columns matter
QUANTITY = 20  # a numeric target with more values than this is a quantity, otherwise its values are labels


@dataclass(frozen=True)
class Goal:
    """What is predicted from what."""

    sheet: Sheet
    target: str
    features: dict[str, str]  # columns that are read: "numeric" or "category"
    saw: tuple[str, ...]

    @property
    def wanted(self) -> list[Any]:
        return self.sheet.cells[self.target]

    def take(self, index: Tensor) -> dict[str, list[Any]]:
        """The cells that are read, of the rows ``index``."""
        places = index.tolist()
        return {name: [self.sheet.cells[name][i] for i in places] for name in self.features}


def glance(path: Path, options: Options) -> Goal | None:
    """What the first rows of ``path`` look like as a table; None when it is none, or is asked to be text."""
    sheet = sample_sheet(path, options)
    if sheet is None or options.text is not None or len(sheet.cells) < 2:
        return None
    if options.target is not None and options.target not in sheet.cells:
        return Goal(sheet, options.target, {}, (*sheet.saw, f"there is no column {options.target!r}"))
    return aim(sheet, options)


def read(path: Path, options: Options) -> Goal:
    """All rows of ``path`` with the column to predict. ``InputError`` says what is wrong."""
    goal = aim(complete(open_sheet(path, options), options), options)
    if not goal.features:
        raise InputError(
            f"{path}: beside {goal.target!r} there is no column of numbers or categories to learn from"
        )
    return goal


def complete(sheet: Sheet, options: Options) -> Sheet:
    """``sheet`` without rows whose target is missing: refused, or left out and counted with skip_bad."""
    target, _ = find_target(sheet, options)
    if target not in sheet.cells:
        raise unknown("column", target, sheet.cells)
    gone = [i for i, cell in enumerate(sheet.cells[target]) if encoding.missing(cell)]
    if len(gone) == sheet.count:
        raise InputError(
            f"{sheet.path}: every label in column {target!r} is missing; there is nothing to learn from"
        )
    if gone and not options.skip_bad:
        raise InputError(
            f"{sheet.path}: column {target!r}, which is to be predicted, is empty in {len(gone)} of "
            f"{sheet.count} rows (first: {sheet.place(gone[0])}); fill it in, or leave such rows out with "
            "--skip-bad"
        )
    kept = sheet.without(gone, "the label is missing")
    if kept.count < FEWEST:
        raise InputError(f"{sheet.path} has {kept.count} rows with a label; give at least {FEWEST}")
    return kept


def aim(sheet: Sheet, options: Options) -> Goal:
    """Choose the column to predict and the columns to read, and say why."""
    target, why = find_target(sheet, options)
    features = {n: k for n, k in sheet.kinds.items() if k in ("numeric", "category") and n != target}
    left = [f"{n!r} ({k})" for n, k in sheet.kinds.items() if n not in features and n != target]
    said = [why]
    if left:
        said.append(f"not read: {', '.join(left)}")
    return Goal(sheet, target, features, (*sheet.saw, *said))


def find_target(sheet: Sheet, options: Options) -> tuple[str, str]:
    """The column to predict and the reason."""
    if options.target is not None:
        return options.target, f"{options.target!r} is to be predicted, as asked"
    for usual in USUAL:
        for name in sheet.cells:
            if name.lower() == usual:
                return (
                    name,
                    f"{name!r} is taken as the column to predict by its name (change it with --target)",
                )
    name = list(sheet.cells)[-1]
    return name, f"{name!r}, the last column, is taken as the one to predict (change it with --target)"


def is_quantity(goal: Goal) -> bool:
    """Is the target a number of many values?"""
    known = [c for c in goal.sheet.cells.get(goal.target, ()) if not encoding.missing(c)]
    if not known or not all(encoding.is_number(c) for c in known):
        return False
    distinct = {float(c) for c in known}
    fractions = any(not value.is_integer() for value in distinct)
    return len(distinct) > (QUANTITY if not fractions else QUANTITY // 4) or len(distinct) == goal.sheet.count


def quantities(goal: Goal) -> np.ndarray:
    """The target as numbers, float64 (n,)."""
    if goal.sheet.kinds.get(goal.target) == "identifier":
        raise InputError(
            f"column {goal.target!r} is different in every row: it names rows and cannot be learned; choose "
            "another with --target"
        )
    values = np.empty(goal.sheet.count)
    for i, cell in enumerate(goal.wanted):
        if not encoding.is_number(cell):
            raise InputError(
                f"{goal.sheet.place(i)}: column {goal.target!r} is to be predicted as a number, not {cell!r}"
            )
        values[i] = float(cell)
    if len(values) > 1 and not np.ptp(values):
        raise InputError(
            f"column {goal.target!r} is {values[0]:g} in every row: a constant cannot be learned"
        )
    return values


def labels(
    cells: Sequence[Any], name: str, known: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Tensor]:
    """Class names in order, and the class (n,) int64 of each row of the column ``name``.

    With ``known`` classes others are refused. Otherwise there are at least two, and fewer than half as
    many as rows, so that something can be learned of each.
    """
    texts = [label(cell) for cell in cells]
    counts = Counter(texts)
    if known is not None:
        strange = [t for t in counts if t not in known]
        if strange:
            raise InputError(
                f"column {name!r} holds {strange[0]!r}, which is no class of this model; it knows: "
                f"{', '.join(known)}"
            )
        order = {text: i for i, text in enumerate(known)}
        return tuple(known), torch.tensor([order[t] for t in texts])
    if len(counts) == 1:
        raise InputError(f"column {name!r} is {texts[0]!r} in every row: a constant cannot be learned")
    if len(counts) == len(texts):
        raise InputError(
            f"column {name!r} is different in every row: it names rows and cannot be learned as a label; "
            "choose another with --target"
        )
    if 2 * len(counts) > len(texts):
        raise InputError(
            f"column {name!r} has {len(counts)} different labels in {len(texts)} rows: too few rows of "
            "each to learn from; choose another with --target"
        )
    names = tuple(sorted(counts, key=lambda t: (0, float(t), t) if encoding.is_number(t) else (1, 0.0, t)))
    order = {text: i for i, text in enumerate(names)}
    return names, torch.tensor([order[t] for t in texts])


def label(cell: Any) -> str:
    """The name of a class: 1, 1.0 and "1" are the same."""
    text = str(cell).strip()
    if encoding.is_number(text) and float(text).is_integer() and not isinstance(cell, bool):
        return str(int(float(text)))
    return text


def parts(sheet: Sheet, seed: int, groups: Sequence[Any] | None = None) -> dict[str, Tensor]:
    """Row numbers of "train", "valid" and, where the data says so, "test".

    Splits of the data's own are kept; where they lack validation rows, a fifth of the training rows
    (of every label alike) is held out.
    """
    everything = torch.arange(sheet.count)
    found = {"train": everything}
    if sheet.splits is not None:
        found = {
            name: torch.tensor([i for i, s in enumerate(sheet.splits) if s == name], dtype=torch.int64)
            for name in ("train", "valid", "test")
            if name in sheet.splits
        }
        if "train" not in found:
            raise InputError(
                f"{sheet.path}: no row belongs to the training split; it has: {', '.join(found)}"
            )
    if "valid" not in found:
        own = found["train"]
        alike = None if groups is None else [groups[i] for i in own.tolist()]
        train, valid = held_out(len(own), HELD_OUT, seed, alike)
        found |= {"train": own[train], "valid": own[valid]}
    return found


def data(
    goal: Goal, fitted: Sequence[Mapping[str, Any]], wanted: Tensor, split: Mapping[str, Tensor]
) -> Data:
    """Encoded splits with the target ``wanted`` (n,)."""
    made = {
        name: Tensors((torch.from_numpy(encoding.encode_rows(fitted, goal.take(index))), wanted[index]))
        for name, index in split.items()
    }
    facts = {**goal.sheet.facts, "target": goal.target, **{name: len(s) for name, s in made.items()}}
    return Data(train=made["train"], valid=made["valid"], test=made.get("test"), facts=facts)


def read_like(path: Path, options: Options, target: str) -> Goal:
    """New labelled rows for a model that predicts ``target``; every row is for scoring."""
    if options.target not in (None, target):
        raise InputError(f"this model predicts {target!r}, not {options.target!r}; leave --target out")
    asked = Options(target=target, text=options.text, skip_bad=options.skip_bad, seed=options.seed)
    sheet = open_sheet(path, asked)
    if target not in sheet.cells:
        raise InputError(
            f"{path} has no column {target!r}, which this model predicts; it has: "
            f"{', '.join(list(sheet.cells)[:40])}"
        )
    gone = [i for i, cell in enumerate(sheet.cells[target]) if encoding.missing(cell)]
    if gone and not options.skip_bad:
        raise InputError(f"{sheet.place(gone[0])}: the label is missing; leave such rows out with --skip-bad")
    kept = sheet.without(gone, "the label is missing")
    if not kept.count:
        raise InputError(f"{path} has no row with a label in column {target!r}")
    return Goal(kept, target, {n: "given" for n in kept.cells if n != target}, ())


def test_data(goal: Goal, fitted: Sequence[Mapping[str, Any]], wanted: Tensor) -> Data:
    """All rows as the test split, through the trained model's own encoding."""
    split = Tensors((torch.from_numpy(encoding.encode_rows(fitted, goal.sheet.cells)), wanted))
    return Data(train=split, test=split, facts={**goal.sheet.facts, "test": len(split)})


def arrays(split: Any, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The (first ``limit``) rows and targets of a split as arrays."""
    count = len(split) if limit is None else min(len(split), limit)
    row, target = split.rows(torch.arange(count))
    return row.numpy(), target.numpy()


def width(data: Data) -> int:
    """Features of a row."""
    return data.train.rows(torch.zeros(1, dtype=torch.int64))[0].shape[1]
