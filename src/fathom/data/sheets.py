"""A person's table as one sheet: a file, or a folder with one file for each split. None imports torch.

CSV, TSV, Parquet and JSON lines are read. Splits of the data's own are kept: files called ``train``,
``valid`` and ``test`` in a folder, or a column ``split`` that holds these words.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fathom.data.formats import jsonl, table
from fathom.errors import InputError
from fathom.task import Options

READERS = {
    ".csv": table.read,
    ".tsv": table.read,
    ".parquet": table.read,
    ".jsonl": jsonl.read,
    ".ndjson": jsonl.read,
}
SPLITS = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}
SAMPLE = 1000  # rows that are looked at to recognise a task


@dataclass(frozen=True)
class Sheet:
    """Cells by column, None where one is missing; what each column holds; where each row came from."""

    path: Path
    cells: dict[str, list[Any]]
    kinds: dict[str, str]  # numeric, category, text, identifier, date, empty
    places: tuple[tuple[Path, int], ...]  # file and line of each row
    splits: tuple[str, ...] | None = None  # of each row, where the data says so
    bad: tuple[str, ...] = ()  # rows that were left out, with their places and reasons

    @property
    def count(self) -> int:
        return len(self.places)

    @property
    def saw(self) -> tuple[str, ...]:
        """What stands in it, in sentences."""
        kinds = Counter(self.kinds.values())
        held = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        seen = f", by its first {SAMPLE:,} rows" if self.count == SAMPLE else ""
        return (f"{self.path.name}: a table of {len(self.cells)} columns ({held}){seen}",)

    @property
    def facts(self) -> dict[str, Any]:
        return {"source": str(self.path), "rows": self.count, "skipped": list(self.bad)}

    def place(self, row: int) -> str:
        """Path and line of a row, for messages."""
        path, line = self.places[row]
        return f"{path}, line {line}"

    def without(self, gone: Sequence[int], reason: str = "left out") -> "Sheet":
        """The other rows; those in ``gone`` are noted as bad."""
        if not gone:
            return self
        out = set(gone)
        kept = [i for i in range(self.count) if i not in out]
        return replace(
            self,
            cells={name: [cells[i] for i in kept] for name, cells in self.cells.items()},
            places=tuple(self.places[i] for i in kept),
            splits=None if self.splits is None else tuple(self.splits[i] for i in kept),
            bad=(*self.bad, *(f"{self.place(i)}: {reason}" for i in gone)),
        )

    def leaving(self, name: str) -> "Sheet":
        """The sheet without one column."""
        return replace(
            self,
            cells={n: c for n, c in self.cells.items() if n != name},
            kinds={n: k for n, k in self.kinds.items() if n != name},
        )


def files(path: Path) -> dict[str, Path]:
    """The tables at ``path`` by split ("" where it is one file); empty where there are none."""
    if path.is_file():
        return {"": path} if path.suffix.lower() in READERS else {}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()) if path.is_dir() else ():
        split = SPLITS.get(file.stem.lower())
        if split and file.suffix.lower() in READERS:
            if split in found:
                raise InputError(
                    f"{path} has two tables for the split {split!r}: {found[split].name}, {file.name}"
                )
            found[split] = file
    return found if "train" in found else {}


def sample_sheet(path: Path, options: Options) -> Sheet | None:
    """The first rows of the (training) table at ``path``; None where it is no table."""
    found = files(path)
    file = found.get("train", found.get(""))
    if file is None or not file.stat().st_size:
        return None
    return divided(
        joined(path, {"": READERS[file.suffix.lower()](file, skip_bad=True, limit=SAMPLE)}), options
    )


def open_sheet(path: Path, options: Options) -> Sheet:
    """All rows at ``path``. ``InputError`` names a bad row by path and line, unless bad ones are skipped."""
    found = files(path)
    if not found:
        looked = f"looked for {', '.join(READERS)}, or a folder with train.csv (and valid.csv, test.csv)"
        raise InputError(f"{path} holds no table; {looked}")
    read = {
        name: READERS[file.suffix.lower()](file, skip_bad=options.skip_bad) for name, file in found.items()
    }
    return divided(joined(path, read), options)


def joined(path: Path, tables: dict[str, table.Table]) -> Sheet:
    """Tables of the same columns, one after the other; a column that they read differently is a category."""
    first = next(iter(tables.values()))
    for other in tables.values():
        strange = sorted(set(first.columns) ^ set(other.columns))
        if strange:
            raise InputError(
                f"{other.path} and {first.path} differ in column {strange[0]!r}; give both the same"
            )
    cells = {name: [c for t in tables.values() for c in t.columns[name]] for name in first.columns}
    kinds = {name: agreed({t.kinds[name] for t in tables.values()}) for name in first.columns}
    places = tuple((t.path, line) for t in tables.values() for line in t.lines)
    splits = None if "" in tables else tuple(name for name, t in tables.items() for _ in t.lines)
    return Sheet(
        path, cells, kinds, places, splits, tuple(reason for t in tables.values() for reason in t.bad)
    )


def agreed(kinds: set[str]) -> str:
    """One kind for a column that several files hold."""
    held = kinds - {"empty"} or {"empty"}
    return (
        held.pop() if len(held) == 1 else "text" if held <= {"text", "category", "identifier"} else "category"
    )


def divided(sheet: Sheet, options: Options) -> Sheet:
    """``sheet`` with the splits that its column ``split`` names, if it has one."""
    for name, cells in sheet.cells.items():
        if sheet.splits is None and name.lower() == "split" and name != options.target:
            words = [SPLITS.get(str(cell).lower()) for cell in cells]
            if all(words) and "train" in words:
                return replace(sheet.leaving(name), splits=tuple(str(w) for w in words))
    return sheet
