"""The blocks of a report. Each is a frozen value with ``html()``; everything given to it is escaped.

Text and tables are here; charts and pictures come from their own files and are offered here too, so
that whoever writes a report imports from one place.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fathom.errors import InputError
from fathom.report.agreement import Calibration, Heatmap, Scatter
from fathom.report.charts import BarChart, LineChart
from fathom.report.markup import Block, column, escape, figure, is_number, number, scroller, tag
from fathom.report.pictures import Gallery, Picture

__all__ = [
    "BarChart", "Block", "Calibration", "Code", "Facts", "Gallery", "Heatmap", "LineChart", "Picture",
    "Prose", "Scatter", "Table", "Verdict",
]  # fmt: skip

ALIGN = ("left", "right")


@dataclass(frozen=True)
class Prose:
    """Running text: blank lines part paragraphs, lines that begin with "- " are a list, `x` is code."""

    text: str

    def html(self) -> str:
        parts = []
        for paragraph in re.split(r"\n\s*\n", self.text.strip()):
            lines = paragraph.strip().splitlines()
            if lines and all(line.lstrip().startswith("- ") for line in lines):
                parts.append(tag("ul", *(tag("li", _inline(line.lstrip()[2:])) for line in lines)))
            elif lines:
                parts.append(tag("p", _inline(" ".join(line.strip() for line in lines))))
        return tag("div", *parts, class_="prose")


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


@dataclass(frozen=True)
class Table:
    """A table that scrolls sideways on narrow screens.

    The first column holds the name of each row. ``align`` gives "left" or "right" per column; without
    it, columns of numbers stand right. ``emphasis`` holds the indices of rows to set in bold.
    Raises InputError when a row or ``align`` does not fit the columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    align: Sequence[str] | None = None
    emphasis: Collection[int] = ()

    def html(self) -> str:
        classes = ["r" if side == "right" else None for side in self._sides()]
        head = [
            tag("th", escape(name), scope="col", class_=side)
            for name, side in zip(self.columns, classes, strict=True)
        ]
        body = []
        columns = [column(cells) for cells in zip(*self.rows, strict=True)]
        for index, row in enumerate(zip(*columns, strict=True)):
            cells = [
                tag("td" if place else "th", escape(cell), class_=side,
                    scope=None if place else "row")
                for place, (cell, side) in enumerate(zip(row, classes, strict=True))
            ]  # fmt: skip
            body.append(tag("tr", *cells, class_="strong" if index in self.emphasis else None))
        table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))
        return figure("table", self.caption, scroller(table, self.caption))

    def _sides(self) -> list[str]:
        wide = len(self.columns)
        wrong = next((index for index, row in enumerate(self.rows) if len(row) != wide), None)
        if wrong is not None:
            raise InputError(
                f"row {wrong} of table {self.caption!r} has {len(self.rows[wrong])} cells; the table has "
                f"{wide} columns: {', '.join(self.columns)}"
            )
        if self.align is None:
            columns = list(zip(*self.rows, strict=True)) or [()] * wide
            return ["right" if _numeric(cells) else "left" for cells in columns]
        if len(self.align) != wide or any(side not in ALIGN for side in self.align):
            raise InputError(
                f"align of table {self.caption!r} is {list(self.align)}; give 'left' or 'right' for each of "
                f"its {wide} columns"
            )
        return list(self.align)


def _numeric(cells: Sequence[Any]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(is_number(cell) or _reads_as_number(cell) for cell in known)


def _reads_as_number(cell: Any) -> bool:
    """Text that a caller has formatted already: "0.950", "1,797", "41 %", or a dash for nothing."""
    return isinstance(cell, str) and bool(re.fullmatch(r"[-+]?\d[\d,.]*(e[-+]?\d+)? ?%?|[-\u2013]", cell))


@dataclass(frozen=True)
class Code:
    """Text as it is: a command, a file, a listing."""

    text: str
    caption: str = ""

    def html(self) -> str:
        body = tag("pre", tag("code", escape(self.text)))
        return figure("code", self.caption, scroller(body, self.caption or "Code"))


@dataclass(frozen=True)
class Facts:
    """Names and values as a definition list; a mapping as value becomes a group. Web addresses are links."""

    mapping: Mapping[str, Any]

    def html(self) -> str:
        return tag("div", _definitions(self.mapping), class_="facts")


def _definitions(mapping: Mapping[str, Any]) -> str:
    parts = []
    for name, value in mapping.items():
        if isinstance(value, Mapping) and value:
            parts += [tag("dt", escape(name), class_="group"), tag("dd", _definitions(value), class_="inner")]
        else:
            parts += [tag("dt", escape(name)), tag("dd", _linked(number(value)))]
    return tag("dl", *parts)


def _linked(text: str) -> str:
    """Text, or a link when it is nothing but a web address; other schemes are never made clickable."""
    if re.fullmatch(r"https?://[^\s<>\"'`\\]+", text):
        return tag("a", escape(text), href=text, rel="noopener noreferrer")
    return escape(text)


@dataclass(frozen=True)
class Verdict:
    """One sentence with its judgement: True passed, False failed, None for information."""

    text: str
    good: bool | None = None

    def html(self) -> str:
        word, kind = {True: ("Pass", " good"), False: ("Fail", " bad"), None: ("Note", "")}[self.good]
        return tag("div", tag("b", word), tag("span", _inline(self.text)), class_="verdict" + kind)
