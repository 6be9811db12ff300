"""Pairs of texts: what is read and what should be written, from a table with a column for either.

CSV, TSV, Parquet and JSON lines are read, with the splits that they have. Where there are none, pairs are
held out such that no text that is asked for was learned from: all pairs of one source are on one side.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.data import rows
from fathom.data.columns import is_number, missing
from fathom.data.sheets import Sheet, open_sheet, sample_sheet
from fathom.data.split import Part, Tensors, held_out
from fathom.errors import InputError, unknown
from fathom.task import Options, Sighting

LONGEST = {"word": 50, "character": 100}  # tokens of a text; pairs with a longer one are left out
COVERED = 0.995  # share of the training pairs that the lengths are chosen for
MOST = 500  # pairs that are held out: each is written out freely, token by token, at each evaluation

Pair = tuple[str, str]


@dataclass(frozen=True)
class Pairs(Tensors):
    """Rows held in memory, and the ``texts`` that they were made of, (source, target) of each."""

    texts: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.texts) != len(self):
            raise InputError(f"there are {len(self)} rows and {len(self.texts)} pairs of texts; give as many")


@dataclass(frozen=True)
class Given:
    """What a table holds: pairs, the names of their columns, and the rows of each split."""

    sheet: Sheet
    source: str
    target: str
    texts: list[Pair]
    split: Mapping[str, Tensor]

    @property
    def names(self) -> dict[str, str]:
        return {"source": self.source, "target": self.target}

    def part(self, name: str) -> list[Pair]:
        """The pairs of a split; none where there is no such split."""
        return [self.texts[i] for i in self.split[name].tolist()] if name in self.split else []


def references(split: Any) -> list[str] | None:
    """The targets of a split as they were given; None where it does not keep them."""
    if isinstance(split, Part):
        whole = references(split.whole)
        return None if whole is None else [whole[i] for i in split.index.tolist()]
    return [target for _, target in split.texts] if isinstance(split, Pairs) else None


def sight(path: Path, options: Options) -> Sighting | None:
    """A table is taken for pairs where both columns are named and the target can be no label.

    That is where more than half of the rows have different ones, which classification refuses, and not all
    of them are numbers.
    """
    sheet = sample_sheet(path, options)
    source, target = options.text, options.target
    if sheet is None or source == target or source not in sheet.cells or target not in sheet.cells:
        return None
    cells = [cell for cell in sheet.cells[target] if not missing(cell)]
    if 2 * len(set(map(str, cells))) <= len(cells) or all(map(is_number, cells)):
        return None
    said = (
        f"column {source!r} is read, and {target!r} written, which is different in most rows: pairs of texts"
    )
    return Sighting(1.0, (*sheet.saw, said))


def read(path: Path, options: Options) -> Given:
    """The pairs of a table to learn from. ``InputError`` says what is wrong with it."""
    sheet = open_sheet(path, options)
    source, target = columns(sheet, options)
    sheet = complete(sheet, (source, target), options.skip_bad, rows.FEWEST)
    texts = paired(sheet, source, target)
    return Given(sheet, source, target, texts, divided(sheet, texts, options.seed))


def read_like(path: Path, options: Options, source: str, target: str) -> Given:
    """All pairs of a table for scoring, in the columns ``source`` and ``target`` or those of ``options``."""
    source, target = options.text or source, options.target or target
    sheet = open_sheet(path, Options(target=target, text=source, skip_bad=options.skip_bad))
    for name in (source, target):
        if name not in sheet.cells:
            raise InputError(
                f"{unknown('column', name, sheet.cells)}; name the one that is read with --text, and the one"
                " that should be written with --target"
            )
    sheet = complete(sheet, (source, target), options.skip_bad, 1)
    return Given(sheet, source, target, paired(sheet, source, target), {"test": torch.arange(sheet.count)})


def columns(sheet: Sheet, options: Options) -> Pair:
    """The column that is read and the one that is written: as asked, or the only two there are."""
    for name in (options.text, options.target):
        if name is not None and name not in sheet.cells:
            raise unknown("column", name, sheet.cells)
    left = [name for name in sheet.cells if name not in (options.text, options.target)]
    open_places = (options.text is None) + (options.target is None)
    if open_places and len(left) != open_places:
        raise InputError(
            f"{sheet.path} has the columns {', '.join(list(sheet.cells)[:40])}; name the one that is read"
            " with --text, and the one that should be written with --target"
        )
    source = options.text if options.text is not None else left.pop(0)
    target = options.target if options.target is not None else left.pop(0)
    if source == target:
        raise InputError(f"column {source!r} cannot be read and written; name two with --text and --target")
    return source, target


def complete(sheet: Sheet, names: Sequence[str], skip_bad: bool, fewest: int) -> Sheet:
    """``sheet`` without rows that lack a text: refused, or left out and counted with skip_bad."""
    for name in names:
        gone = [i for i, cell in enumerate(sheet.cells[name]) if missing(cell)]
        if gone and not skip_bad:
            raise InputError(
                f"{sheet.path}: column {name!r} is empty in {len(gone)} of {sheet.count} rows (first:"
                f" {sheet.place(gone[0])}); fill it in, or leave such rows out with --skip-bad"
            )
        sheet = sheet.without(gone, f"{name} is missing")
    if sheet.count < fewest:
        raise InputError(f"{sheet.path} has {sheet.count} pairs of texts; give at least {fewest}")
    return sheet


def paired(sheet: Sheet, source: str, target: str) -> list[Pair]:
    return [(str(a), str(b)) for a, b in zip(sheet.cells[source], sheet.cells[target], strict=True)]


def divided(sheet: Sheet, texts: Sequence[Pair], seed: int) -> dict[str, Tensor]:
    """Row numbers of each split; where none is for validation, some sources are held out with their pairs."""
    if sheet.splits is not None and "valid" in sheet.splits:
        return rows.parts(sheet, seed)
    found = rows.parts(sheet, seed) if sheet.splits is not None else {}
    own = [i for i in range(sheet.count) if sheet.splits is None or sheet.splits[i] == "train"]
    sources = list(dict.fromkeys(texts[i][0] for i in own))
    if len(sources) < 2:
        raise InputError(f"{sheet.path}: the text to read is {sources[0][:60]!r} in every row; give others")
    _, chosen = held_out(len(sources), min(rows.HELD_OUT, MOST / len(sources)), seed)
    kept = {sources[i] for i in chosen.tolist()}
    for name, wanted in (("train", False), ("valid", True)):
        found[name] = torch.tensor([i for i in own if (texts[i][0] in kept) == wanted], dtype=torch.int64)
    return found


def frequent(
    texts: Iterable[str], cut: Callable[[str], Sequence[str]], minimum: int, most: int | None
) -> list[str]:
    """In the order of the alphabet the ``most`` frequent tokens that stand ``minimum`` times or more."""
    counts = Counter(token for text in texts for token in cut(text))
    kept = sorted((-n, token) for token, n in counts.items() if n >= minimum)[:most]
    return sorted(token for _, token in kept)


def unit_of(texts: Sequence[Pair]) -> str:
    """Characters where most targets are one word (names, numbers, languages without spaces), else words."""
    return "character" if np.median([len(target.split()) for _, target in texts]) <= 1 else "word"


def fitting(
    texts: Iterable[Pair], cut: Callable[[str], Sequence[str]], source: int, target: int, characters: int
) -> list[Pair]:
    """The pairs with fewer tokens than ``source`` and ``target``, and texts of at most ``characters``."""

    def fits(text: str, length: int) -> bool:
        return len(text) <= characters and len(cut(text)) < length

    return [(a, b) for a, b in texts if fits(a, source) and fits(b, target)]


def lengths(texts: Sequence[Pair], cut: Callable[[str], Sequence[str]], unit: str) -> tuple[int, int]:
    """Tokens of a source and of a target, its end included, that nearly all of ``texts`` fit into."""
    made = []
    for side in range(2):
        counts = [len(cut(pair[side])) for pair in texts]
        usual = int(np.quantile(counts, COVERED, method="higher"))
        made.append(max(2, min(LONGEST[unit], usual) + 1))
    return made[0], made[1]
