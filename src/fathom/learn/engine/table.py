"""A control that takes a table of the learner's own: two columns of numbers and a column with two classes.

The text is a CSV, pasted or read from a file. How long it is and how many lines it has is looked at before
anything in it is; then each fault is told with its line. Nothing of it is stored, and no address holds it.
"""

import csv
import math
import re
from dataclasses import dataclass
from typing import Any

from fathom.errors import InputError
from fathom.learn.engine.typed import NOTHING, Chooses, shown

LONGEST = 64 * 1024  # bytes
MOST, FEWEST = 500, 4  # rows
LARGEST = 1e12  # of a number: its square must not run away
NAMES = 40  # characters of a class or of the name of a column
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Labelled:
    """What a table holds: names of the two columns, points, and the class of each, 0 or 1."""

    columns: tuple[str, str]
    points: tuple[tuple[float, float], ...]
    classes: tuple[int, ...]
    names: tuple[str, str]  # of class 0 and class 1


@dataclass(frozen=True)
class Table:
    """A table as text; ``start`` is an example of one."""

    start: str
    label: str
    chooses: Chooses = NOTHING

    def read(self, value: Any) -> str:
        """The text, its lines ended as here, if a table can be read from it."""
        if not isinstance(value, str):
            raise InputError(f"{self.label} takes the text of a CSV; {shown(value)} was given")
        if len(value) > LONGEST or len(value.encode("utf-8", "replace")) > LONGEST:
            raise InputError(f"{self.label} takes at most {LONGEST // 1024} KiB of text")
        try:
            labelled(value)
        except InputError as error:
            raise InputError(f"{self.label}: {error}") from None
        return "\n".join(value.splitlines()) + "\n"

    def extremes(self) -> list[Any]:
        """As few rows as there may be, and as many, with one far out."""
        few = "1,1,a\n2,1,b\n1,2,a\n2,2.5,b"
        many = "\n".join(
            f"{k / 7:.6f},{math.sin(k) * 1e6:.3f},{'ab'[k % 2] * NAMES}" for k in range(MOST - 1)
        )
        return [few, f"{many}\n1e12,-1e12,{'a' * NAMES}"]

    @property
    def example(self) -> str:
        return self.read(self.start)


def table(start: str, label: str, chooses: Chooses = NOTHING) -> Table:
    return Table(start, label, chooses)


def labelled(text: str) -> Labelled:
    """Read a table, whose first line may name the columns. ``InputError`` says what is wrong, and where."""
    for sign in text:
        if not (sign.isprintable() or sign in "\r\n\t\ufeff\u00a0"):
            raise InputError(f"there is a sign {sign!r} in it; save the table as a CSV of plain text")
    lines = [(n, line) for n, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1) if line.strip()]
    if len(lines) > MOST + 1:
        raise InputError(f"at most {MOST} rows, not {len(lines)}")
    separator = max(SEPARATORS, key=lines[0][1].count) if lines else ","
    rows = [(number, cells(line, number, separator)) for number, line in lines]
    named = bool(rows) and not any(NUMBER.fullmatch(cell) for cell in rows[0][1][:2])
    columns = (rows[0][1][0], rows[0][1][1]) if named else ("first column", "second column")
    rows = rows[named:]
    if not FEWEST <= len(rows) <= MOST:
        raise InputError(f"from {FEWEST} to {MOST} rows, not {len(rows)}")
    points = tuple((value(row[0], number), value(row[1], number)) for number, row in rows)
    names = sorted({row[2] for _, row in rows})
    if len(names) != 2:
        some = ", ".join(repr(name) for name in names[:3])
        raise InputError(f"the third column must hold two classes; there are {len(names)}: {some}")
    for name, column in zip(columns, zip(*points, strict=True), strict=True):
        if max(column) - min(column) <= 1e-9 * max(abs(max(column)), abs(min(column))):
            raise InputError(
                f"all numbers of {name!r} are equal, or nearly: nothing can be learned from them"
            )
    return Labelled(columns, points, tuple(names.index(row[2]) for _, row in rows), (names[0], names[1]))


def cells(line: str, number: int, separator: str) -> list[str]:
    """The three cells of a line."""
    try:
        (found,) = csv.reader([line], delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise InputError(f"line {number} cannot be read: {error}") from None
    found = [cell.strip() for cell in found]
    if len(found) != 3:
        raise InputError(f"line {number} has {len(found)} cells; each has two numbers and a class")
    if not found[2]:
        raise InputError(f"line {number} has no class")
    if any(len(cell) > NAMES for cell in found):
        raise InputError(f"line {number} has a cell of more than {NAMES} characters")
    return found


def value(cell: str, number: int) -> float:
    if not NUMBER.fullmatch(cell):
        raise InputError(f"line {number}: {cell!r} is no number; write it as 1.5 or -3e2")
    found = float(cell)
    if not abs(found) <= LARGEST:
        raise InputError(f"line {number}: {cell!r} is too large; at most {LARGEST:g}")
    return found
