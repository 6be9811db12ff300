"""Controls that a learner fills by hand: words, small tables of numbers, and drawings.

Whatever arrives is of any type and any size: its size is held to a limit first, then it is looked at, and
what it may not be is refused with a reason. No reason repeats more than a little of what was given.

A figure mostly has a choice between things that are given and one of the learner's own. ``chooses`` names
that choice and its option, so that typing takes it by itself.
"""

import math
import reprlib
from dataclasses import dataclass
from typing import Any

from fathom.errors import InputError

Chooses = tuple[str, str]  # a control, and the option of it that typing takes
NOTHING: Chooses = ("", "")


def shown(value: Any) -> str:
    """A value in a message, shortened."""
    return reprlib.repr(value)


def held(value: Any, low: float, high: float, label: str) -> float:
    """A number, held in a range; ``InputError`` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{label} takes a number; {shown(value)} was given")
    if isinstance(value, float) and not math.isfinite(value):  # a whole number may be too long for this
        raise InputError(f"{label} takes a number; {value!r} was given")
    return float(min(max(value, low), high))


@dataclass(frozen=True)
class Text:
    """A short text on one line: of at most ``longest`` characters, and ``words`` words unless that is 0."""

    start: str
    longest: int
    label: str
    words: int = 0
    chooses: Chooses = NOTHING

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise InputError(f"{self.label} takes a text; {shown(value)} was given")
        if len(value) > self.longest:
            raise InputError(f"{self.label} takes at most {self.longest} characters, not {len(value)}")
        if not value.isprintable():
            strange = next(sign for sign in value if not sign.isprintable())
            raise InputError(f"{self.label} takes letters and signs on one line; {strange!r} is none")
        words = value.split()
        if not words:
            raise InputError(f"{self.label} is empty: type something")
        if self.words and len(words) > self.words:
            raise InputError(f"{self.label} takes at most {self.words} words, not {len(words)}")
        return " ".join(words)

    def extremes(self) -> list[Any]:
        """The shortest, one word as long as it may be, and as many long words as fit."""
        words = self.words or self.longest // 2
        many = " ".join(["W" * ((self.longest + 1) // words - 1)] * words)
        return ["a", "W" * self.longest, many]


@dataclass(frozen=True)
class Numbers:
    """A small table of numbers from ``low`` to ``high``, each a multiple of ``step``."""

    start: tuple[tuple[float, ...], ...]
    low: float
    high: float
    step: float
    label: str
    chooses: Chooses = NOTHING

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.start), len(self.start[0])

    def read(self, value: Any) -> tuple[tuple[float, ...], ...]:
        rows, columns = self.size
        wanted = f"{self.label} takes {rows} rows of {columns} numbers"
        if not isinstance(value, list | tuple) or len(value) != rows:
            raise InputError(f"{wanted}; {shown(value)} was given")
        if not all(isinstance(row, list | tuple) and len(row) == columns for row in value):
            raise InputError(f"{wanted}; {shown(value)} was given")
        return tuple(
            tuple(self.one(part, f"{self.label}, {place(r, c)}") for c, part in enumerate(row))
            for r, row in enumerate(value)
        )

    def one(self, value: Any, label: str) -> float:
        found = held(value, self.low, self.high, label)
        return round(round(found / self.step) * self.step, 9) + 0.0  # no -0.0

    def extremes(self) -> list[Any]:
        """All lowest, all highest, all zero, and the two ends in turn."""
        rows, columns = self.size

        def filled(*values: float) -> tuple[tuple[float, ...], ...]:
            return tuple(tuple(values[(r + c) % len(values)] for c in range(columns)) for r in range(rows))

        return [filled(self.low), filled(self.high), filled(0.0), filled(self.low, self.high)]


@dataclass(frozen=True)
class Drawing:
    """A square of ``side`` by ``side`` cells, each 0 or 1: rows of these signs, the top one first."""

    start: tuple[str, ...]
    label: str
    chooses: Chooses = NOTHING

    @property
    def side(self) -> int:
        return len(self.start)

    def read(self, value: Any) -> tuple[str, ...]:
        wanted = f"{self.label} takes {self.side} rows of {self.side} signs, each 0 or 1"
        if not isinstance(value, list | tuple) or len(value) != self.side:
            raise InputError(f"{wanted}; {shown(value)} was given")
        for row in value:
            if not isinstance(row, str) or len(row) != self.side or not set(row) <= {"0", "1"}:
                raise InputError(f"{wanted}; a row was {shown(row)}")
        return tuple(value)

    def extremes(self) -> list[Any]:
        """Nothing drawn, everything, and every second cell."""
        return [tuple([(sign * self.side)[: self.side]] * self.side) for sign in ("0", "1", "01")]


def place(row: int, column: int) -> str:
    """Where a cell is, as people count."""
    return f"row {row + 1}, column {column + 1}"


def text(start: str, longest: int, label: str, words: int = 0, chooses: Chooses = NOTHING) -> Text:
    return Text(start, longest, label, words, chooses)


def numbers(
    start: tuple[tuple[float, ...], ...],
    low: float,
    high: float,
    step: float,
    label: str,
    chooses: Chooses = NOTHING,
) -> Numbers:
    return Numbers(start, low, high, step, label, chooses)


def drawing(start: tuple[str, ...], label: str, chooses: Chooses = NOTHING) -> Drawing:
    return Drawing(start, label, chooses)
