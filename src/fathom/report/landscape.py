"""A function of two numbers as a map: lines of equal height, shades, and marked places."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fathom.report.axes import SIDE, Axis, outline, percent, plot
from fathom.report.contours import FARTHEST, contour_lines
from fathom.report.markup import Number, escape, figure, number, tag
from fathom.report.style import LEVELS

STRIPS = 150  # columns and rows of shades
Mark = tuple[Number, Number, str]  # x, y and what is there


@dataclass(frozen=True)
class Landscape:
    """Heights (n, m) over ``across`` (n,) and ``up`` (m,), with a line at each of ``levels``.

    ``marks`` are places with a name. With ``shaded`` the cells between two lines have one shade, darker the
    higher they lie. ``quantity`` says what the heights are. Raises InputError where shapes do not fit.
    """

    across: np.ndarray
    up: np.ndarray
    heights: np.ndarray
    levels: Sequence[Number]
    caption: str = ""
    x_title: str = ""
    y_title: str = ""
    quantity: str = "height"
    marks: Sequence[Mark] = ()
    shaded: bool = True
    height: int = 440
    half: ClassVar[bool] = False

    @property
    def axes(self) -> tuple[Axis, Axis]:
        sides = ((self.across, self.x_title), (self.up, self.y_title))
        across, up = (Axis(float(s.min()), float(s.max()), title) for s, title in sides)
        return across, up

    def html(self) -> str:
        drawn = (self.shades() if self.shaded else "") + self.lines()
        label = f"Map: {self.caption}. {self.note()}"
        drawing = plot(*self.axes, drawn, label, over=self.written(), height=self.height)
        return figure("chart map", self.caption, drawing, tag("p", escape(self.note()), class_="note"))

    def note(self) -> str:
        """At which heights the lines run, and where the marks are, in words."""
        shown = ", ".join(number(float(level)) for level in self.levels)
        places = [f"{name} at ({number(x)}, {number(y)})" for x, y, name in self.marks]
        marked = f" Marked: {'; '.join(places)}." if places else ""
        return f"Lines where the {self.quantity} is {shown}.{marked}"

    def lines(self) -> str:
        """The contour lines, a path for each level."""
        across, up = self.axes
        parts = []
        for level in self.levels:
            found = contour_lines(self.across, self.up, self.heights, level)
            data = "".join(outline(across.place(line[:, 0]), up.place(line[:, 1])) for line in found)
            parts.append(tag("path", class_="contour", d=data) if data else "")
        return "".join(parts)

    def shades(self) -> str:
        """What lies between two lines, in strips: equal neighbours in a column are one."""
        edges = np.rint(np.linspace(0, SIDE, STRIPS + 1)).astype(int)
        between = np.searchsorted(np.asarray(self.levels, dtype=np.float64), self.between())
        shade = np.rint(between * (LEVELS - 1) / max(len(self.levels), 1)).astype(int)
        paths: dict[int, list[str]] = {}
        for column, cells in enumerate(shade):
            left, wide = edges[column], edges[column + 1] - edges[column]
            starts = [0, *(np.flatnonzero(np.diff(cells)) + 1).tolist(), STRIPS]
            for low, end in itertools.pairwise(starts):
                box = f"M{left},{SIDE - edges[low]}h{wide}V{SIDE - edges[end]}h{-wide}z"
                paths.setdefault(int(cells[low]), []).append(box)
        parts = [tag("path", class_=f"h{k}", d="".join(paths[k])) for k in sorted(paths)]
        return tag("g", *parts, shape_rendering="crispEdges")

    def between(self) -> np.ndarray:
        """Heights (strips, strips) in the middle of each cell of the picture, linear between those given."""
        high = np.nan_to_num(self.heights, nan=FARTHEST, posinf=FARTHEST, neginf=-FARTHEST)
        middle = (np.arange(STRIPS) + 0.5) / STRIPS
        axes = self.axes
        for side, places in enumerate((self.across, self.up)):
            known = axes[side].place(places)
            rows = np.moveaxis(high, side, -1)
            made = [np.interp(middle, known, row) for row in rows.reshape(-1, len(known))]
            high = np.moveaxis(np.reshape(made, (*rows.shape[:-1], STRIPS)), -1, side)
        return high

    def written(self) -> str:
        """The marks: a cross and a name, on a rim of the page's colour."""
        across, up = self.axes
        parts = []
        for x, y, name in self.marks:
            at, high = across.at(float(x)), 1 - up.at(float(y))
            left, top = percent(at), percent(high)
            parts.append(tag("circle", class_="place", cx=left, cy=top, r="4"))
            side, shift = ("end", -9) if at > 0.75 else ("start", 9)
            parts.append(tag("text", escape(name), class_="place-name", x=left, dx=shift, y=top, dy=".32em",
                             text_anchor=side))  # fmt: skip
        return "".join(parts)
