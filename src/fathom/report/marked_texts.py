"""Texts whose parts are tinted by what they add to something: in one colour what adds, in another what takes.

Each text has its own scale, up to the largest value in it. What takes away is underlined too, so that no one
needs the colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fathom.report.markup import escape, figure, numbers_behind, tag
from fathom.report.style import TINTS


@dataclass(frozen=True)
class Mark:
    """A part of a text, what it adds, and what is to be said of that; ``gap`` stands before it."""

    text: str
    adds: float
    note: str = ""
    gap: str = " "


@dataclass(frozen=True)
class MarkedText:
    """One text in parts, and what it is an example of."""

    marks: Sequence[Mark]
    title: str


@dataclass(frozen=True)
class MarkedTexts:
    """Texts under one caption; ``adds`` and ``takes`` name the two sides, ``columns`` what the numbers are.

    The deepest tint stands for the largest value of a text, or for ``least`` where that is larger. Values
    that are not finite have none.
    """

    texts: Sequence[MarkedText]
    caption: str = ""
    adds: str = "adds"
    takes: str = "takes away"
    columns: tuple[str, str, str] = ("text", "adds", "")
    least: float = 0.0

    def html(self) -> str:
        if not any(text.marks for text in self.texts):
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        items = [tag("li", *self._item(text)) for text in self.texts]
        sides = (tinted(self.adds, f"for{TINTS}"), ", ", tinted(self.takes, f"against{TINTS}"))
        return figure("chart marked", self.caption, tag("p", *sides, class_="note"), tag("ul", *items))

    def _item(self, text: MarkedText) -> list[str]:
        sizes = [abs(mark.adds) for mark in text.marks if math.isfinite(mark.adds)]
        largest = max(self.least, *sizes, 0.0)
        written = []
        for place, mark in enumerate(text.marks):
            gap = escape(mark.gap) if place else ""
            note = f"{self.columns[2]} {mark.note}".strip()
            written.append(gap + tinted(mark.text, tint(mark.adds, largest), note))
        rows = [(mark.text, mark.adds, mark.note) for mark in text.marks]
        title = tag("p", escape(text.title), class_="group")
        return [title, tag("p", *written, class_="text"), numbers_behind(self.columns, rows, text.title)]


def tint(value: float, largest: float) -> str | None:
    """The class of a shade; None for what is next to nothing."""
    level = round(abs(value) / largest * TINTS) if largest > 0 and math.isfinite(value) else 0
    return f"{'for' if value > 0 else 'against'}{level}" if level else None


def tinted(text: str, shade: str | None, note: str = "") -> str:
    return tag("span", escape(text), class_=shade, title=note or None)
