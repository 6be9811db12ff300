"""Points in the plane, coloured by their label: an embedding, a projection, a map of features."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fathom.errors import InputError
from fathom.report.axes import Axis, axis, drawable, percent, plot, points_path
from fathom.report.charts import COLOURS
from fathom.report.markup import Number, escape, figure, number, numbers_behind, tag

CAPS = ("round", "square")  # after eight colours, squares tell labels apart
KINDS = len(CAPS) * COLOURS


@dataclass(frozen=True)
class LabelledScatter:
    """Points (x, y), each with a label; every label has its colour and is written at its median point.

    Beyond sixteen labels the fifteen most frequent keep their colours and the rest become one grey group.
    More than 4,000 points are thinned evenly, and the note says so; points that are not finite are left out
    and counted. Raises InputError when x, y and labels differ in number.
    """

    x: Sequence[Number] | np.ndarray
    y: Sequence[Number] | np.ndarray
    labels: Sequence[object]
    caption: str = ""
    x_title: str = ""
    y_title: str = ""
    limit: int = 4000
    half: ClassVar[bool] = False

    def html(self) -> str:
        x, y = drawable(self.x), drawable(self.y)
        names = [str(label) for label in self.labels]
        if x.ndim != 1 or x.shape != y.shape or len(names) != len(x):
            raise InputError(
                f"a scatter plot was given shapes {x.shape} and {y.shape} and {len(names)} labels; give one "
                "y and one label per x"
            )
        good = np.isfinite(x) & np.isfinite(y)
        if not good.any():
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        points = np.stack([x[good], y[good]], axis=1)
        names = [name for name, kept in zip(names, good, strict=True) if kept]
        across, up = _around(points[:, 0], self.x_title), _around(points[:, 1], self.y_title)
        groups = self._groups(names)
        drawn, over, keys, rows = [], [], [], []
        step, crowded = -(-len(points) // self.limit), len(set(names)) > KINDS
        for place, (name, held) in enumerate(groups.items()):
            shown = points[held][::step]
            path = points_path(across.place(shown[:, 0]), up.place(shown[:, 1]))
            kind = None if crowded and place == KINDS - 1 else place
            drawn.insert(0 if kind is None else place, tag("path", d=path, **_look(kind, 5)))
            keys.append(self._key(kind, name, int(held.sum())))
            middle = np.median(points[held], axis=0)
            rows.append((name, int(held.sum()), *(float(v) for v in middle)))
            if kind is not None:
                over.append(_written(name, across.at(middle[0]), up.at(middle[1])))
        label = f"Scatter plot: {self.caption}. {len(points)} points with {len(groups)} labels."
        columns = ("label", "points", f"median {self.x_title or 'x'}", f"median {self.y_title or 'y'}")
        return figure(
            "chart",
            self.caption,
            tag("ul", *keys, class_="legend"),
            plot(across, up, "".join(drawn), label, over="".join(over), height=440),
            tag("p", escape(self._note(len(points), len(points[::step]), len(x))), class_="note"),
            numbers_behind(columns, rows, self.caption),
        )

    def _groups(self, names: list[str]) -> dict[str, np.ndarray]:
        """Label -> which points are its own, in the order of the alphabet; the rest last."""
        counts = Counter(names)
        kept = sorted(counts)
        if len(counts) > KINDS:
            kept = sorted(sorted(counts, key=lambda name: (-counts[name], name))[: KINDS - 1])
        code = {name: place for place, name in enumerate(kept)}
        codes = np.array([code.get(name, len(kept)) for name in names])
        groups = {name: codes == place for name, place in code.items()}
        rest = {f"{len(counts) - len(kept)} other labels": codes == len(kept)}
        return groups | rest if len(counts) > len(kept) else groups

    def _key(self, kind: int | None, name: str, count: int) -> str:
        dot = tag("svg", tag("path", d="M10 5h0", **_look(kind, 9)), class_="key", aria_hidden="true")
        return tag("li", dot, escape(name), tag("b", escape(number(count))))

    def _note(self, kept: int, drawn: int, given: int) -> str:
        notes = [f"{number(kept)} points" + (f", about {number(drawn)} drawn" if drawn < kept else "")]
        notes += [f"{number(given - kept)} not finite"] if given > kept else []
        return ". ".join(notes) + "."


def _around(values: np.ndarray, title: str) -> Axis:
    """An axis with a little room at both ends, wherever the ticks fall."""
    room = 0.04 * float(np.ptp(values))
    return axis(np.array([values.min() - room, values.max() + room]), title, snug=True)


def _look(kind: int | None, width: int) -> dict[str, str]:
    """Attributes of the dots of one label; None is grey, behind all colours."""
    colour = {"stroke": "currentColor"} if kind is None else {"class_": f"c{kind % COLOURS}"}
    cap = CAPS[0 if kind is None else kind // COLOURS]
    opacity = ".25" if kind is None else ".7"
    return colour | {
        "fill": "none", "stroke_width": str(width), "stroke_linecap": cap, "stroke_opacity": opacity,
        "vector_effect": "non-scaling-stroke",
    }  # fmt: skip


def _written(name: str, across: float, up: float) -> str:
    """A label at its place, on a rim of the page's colour so that dots do not hide it."""
    rim = {"stroke": "var(--surface)", "stroke_width": "4", "paint_order": "stroke", "font_weight": "700"}
    short = name if len(name) <= 18 else f"{name[:17]}…"
    return tag("text", escape(short), x=percent(across), y=percent(1 - up), dy=".32em", text_anchor="middle",
               **rim)  # fmt: skip
