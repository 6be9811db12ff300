"""Small heat maps of how the places of a text look at each other: a row for each that looks, side by side.

All share one scale, so they can be compared. A shade is the root of a weight, for most weights are small;
what is above zero at all is seen to be so, and what a mask hides stays empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fathom.errors import InputError
from fathom.report.agreement import ramp
from fathom.report.markup import escape, figure, tag
from fathom.report.style import LEVELS

CELL = 10  # units of a drawing that a place is wide
GLYPH = 5.5  # units that a letter of a name is wide
LARGEST = 1.4  # pixels that a unit is wide at most
NAMED = 24  # beyond this many places, names would be too small to be read
LONGEST = 8  # letters of a name


@dataclass(frozen=True, eq=False)
class SquareMap:
    """One map (n, n) of weights in [0, 1]; what it is of, and what is to be said of it."""

    weights: np.ndarray
    title: str
    detail: str = ""


@dataclass(frozen=True)
class SquareMaps:
    """Maps of the same places, called ``names``, in groups with a title each, under one caption.

    Raises InputError on other shapes.
    """

    names: Sequence[str]
    groups: Mapping[str, Sequence[SquareMap]]
    caption: str = ""

    def html(self) -> str:
        size, maps = len(self.names), [one for group in self.groups.values() for one in group]
        wrong = next((one for one in maps if one.weights.shape != (size, size)), None)
        if wrong is not None:
            raise InputError(
                f"the map {wrong.title!r} has shape {wrong.weights.shape} for {size} names; give one row and"
                " one column for each"
            )
        if not size or not maps:
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        parts = []
        for title, group in self.groups.items():
            items = [tag("li", self._heading(one), self._drawing(one)) for one in group]
            parts += [tag("p", escape(title), class_="group"), tag("ul", *items)]
        note = "Rows look, columns are looked at. From faint to strong: the root of the weight."
        note += "" if self._named() else f" {size} places, in order."
        shades = ramp("0", "1")
        return figure("chart maps", self.caption, *parts, shades, tag("p", note, class_="note"))

    def _named(self) -> bool:
        return len(self.names) <= NAMED

    def _heading(self, one: SquareMap) -> str:
        return tag("p", escape(one.title), tag("small", escape(one.detail)) if one.detail else "")

    def _drawing(self, one: SquareMap) -> str:
        size = len(self.names)
        side = CELL * size
        names = [shortened(name) for name in self.names] if self._named() else []
        longest = max(map(len, names), default=0)
        left = longest * GLYPH + 4 if names else 1
        top = (left if longest > 1 else CELL + 2) if names else 1
        parts = [tag("svg", *cells(one.weights), width=side, height=side, viewBox=f"0 0 {size} {size}",
                     shape_rendering="crispEdges")]  # fmt: skip
        parts.append(tag("rect", class_="gridline", width=side, height=side, fill="none"))
        for index, name in enumerate(names):
            middle = CELL * index + CELL / 2
            parts.append(tag("text", escape(name), x=-3, y=middle, dy=".32em", text_anchor="end"))
            turned = {"transform": f"translate({middle} -3) rotate(-90)", "dy": ".32em"}
            plain = {"x": middle, "y": -3, "text_anchor": "middle"}
            parts.append(tag("text", escape(name), **(turned if longest > 1 else plain)))
        label = f"{one.title}: {one.detail}. Map of {size} by {size} weights."
        wide, tall = left + side + 1, top + side + 1
        most = {"width": f"{LARGEST * wide:.0f}", "height": f"{LARGEST * tall:.0f}"}
        box = f"{-left:g} {-top:g} {wide:g} {tall:g}"
        return tag("svg", *parts, viewBox=box, role="img", aria_label=label, **most)


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\u2026"


def cells(weights: np.ndarray) -> list[str]:
    """A path for each shade above none; neighbours of one shade in a row are one piece of it."""
    level = np.ceil(np.sqrt(np.clip(weights, 0, 1)) * (LEVELS - 1) - 1e-9).astype(int)
    pieces: dict[int, list[str]] = {}
    for y, row in enumerate(level):
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        for x, end in zip(starts, [*starts[1:], len(row)], strict=True):
            if row[x]:
                pieces.setdefault(int(row[x]), []).append(f"M{x},{y}h{end - x}v1h{x - end}z")
    return [tag("path", class_=f"h{shade}", d="".join(pieces[shade])) for shade in sorted(pieces)]
