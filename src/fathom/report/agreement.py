"""How predictions agree with the truth: heat maps, reliability diagrams and scatter plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fathom.errors import InputError
from fathom.report.axes import SIDE, Axis, axis, drawable, outline, percent, plot, points_path
from fathom.report.charts import legend
from fathom.report.markup import Number, escape, figure, grid, number, numbers_behind, scroller, tag
from fathom.report.style import LEVELS

if TYPE_CHECKING:
    from fathom.fundamentals.mathematics.calibration import Curve

Numbers = Sequence[Number] | np.ndarray
WRITTEN = 20  # up to this many rows and columns a heat map is a table of numbers
DRAWN = 200  # beyond this many, neighbouring cells are merged


@dataclass(frozen=True)
class Heatmap:
    """A matrix of values as shades, for example a confusion matrix.

    ``values`` is (rows, columns). Up to 20 by 20 it is a table with every number written; larger ones are
    drawn, with the largest off-diagonal cells listed when rows and columns have the same names.
    ``by_row`` shades each cell by its share of its row, so that rare classes can be read too.
    Raises InputError when the shape does not fit the names.
    """

    rows: Sequence[object]
    columns: Sequence[object]
    values: Sequence[Sequence[Number]] | np.ndarray
    caption: str = ""
    row_title: str = ""
    column_title: str = ""
    by_row: bool = False

    def html(self) -> str:
        values = np.asarray(self.values)
        if values.shape != (len(self.rows), len(self.columns)):
            raise InputError(
                f"a heat map was given values of shape {values.shape} for {len(self.rows)} rows and "
                f"{len(self.columns)} columns; give one value per row and column"
            )
        if not values.size:
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        levels, low, high = self._levels(values.astype(np.float64))
        if max(values.shape) <= WRITTEN:
            titles = tag("p", escape(self._axes()), class_="note") if self._axes() else ""
            body = self._table(values, levels) + titles
        else:
            body = self._drawing(values, levels)
        return figure("chart", self.caption, body, self._ramp(low, high))

    def _levels(self, values: np.ndarray) -> tuple[np.ndarray, float, float]:
        shade = np.where(np.isfinite(values), values, 0.0)
        if self.by_row:
            shade = shade / np.maximum(np.abs(shade).sum(axis=1, keepdims=True), 1e-300)
        low, high = min(0.0, float(shade.min())), float(shade.max())
        if high <= low:
            high = low + 1.0
        level = np.rint((shade - low) / (high - low) * (LEVELS - 1)).astype(int)
        level[(level == 0) & (shade > 0)] = 1  # one error in ten thousand must not look like none
        return level, low, high

    def _axes(self) -> str:
        titles = [f"Rows: {self.row_title}."] if self.row_title else []
        titles += [f"Columns: {self.column_title}."] if self.column_title else []
        return " ".join(titles)

    def _table(self, values: np.ndarray, levels: np.ndarray) -> str:
        tall = "tall" if max(len(str(name)) for name in self.columns) > 4 else None
        corner = tag("td", tag("span", escape(self._axes()), class_="hidden"))
        head = [tag("th", tag("span", escape(name)), scope="col", class_=tall) for name in self.columns]
        whole = np.issubdtype(values.dtype, np.integer)
        body = []
        for name, row, shades in zip(self.rows, values, levels, strict=True):
            cells = [
                tag("td", escape(number(int(value)) if whole else f"{value:.2f}"), class_=f"h{shade}")
                for value, shade in zip(row, shades, strict=True)
            ]
            body.append(tag("tr", tag("th", escape(name), scope="row"), *cells))
        table = tag("table", tag("thead", tag("tr", corner, *head)), tag("tbody", *body), class_="matrix")
        return scroller(table, self.caption or "Heat map")

    def _drawing(self, values: np.ndarray, levels: np.ndarray) -> str:
        stride = -(-max(levels.shape) // DRAWN)
        tall, wide = (-(-side // stride) for side in levels.shape)
        padded = np.zeros((tall * stride, wide * stride), dtype=int)
        padded[: levels.shape[0], : levels.shape[1]] = levels
        merged = padded.reshape(tall, stride, wide, stride).max(axis=(1, 3))
        paths = []
        for level in range(1, LEVELS):  # one path per shade keeps a thousand classes below a megabyte
            cells = "".join(f"M{x},{y}h1v1h-1z" for y, x in np.argwhere(merged == level))
            paths.append(tag("path", class_=f"h{level}", d=cells) if cells else "")
        label = f"Heat map of {values.shape[0]} by {values.shape[1]} values: {self.caption}. {self._axes()}"
        drawing = tag("svg", *paths, class_="cells", viewBox=f"0 0 {wide} {tall}", role="img",
                      aria_label=label, shape_rendering="crispEdges")  # fmt: skip
        merging = f" Each cell shows the largest of {stride} by {stride}." if stride > 1 else ""
        note = f"{values.shape[0]} by {values.shape[1]} values. {self._axes()}{merging}"
        return drawing + tag("p", escape(note), class_="note") + self._largest(values)

    def _largest(self, values: np.ndarray, count: int = 10) -> str:
        if list(self.rows) != list(self.columns):
            return ""
        off = np.where(np.eye(len(values), dtype=bool), -np.inf, values.astype(np.float64))
        order = np.argsort(-off, axis=None, kind="stable")[:count]
        cells = [np.unravel_index(place, off.shape) for place in order]
        rows = [(str(self.rows[i]), str(self.columns[j]), values[i, j]) for i, j in cells if values[i, j] > 0]
        columns = (self.row_title or "row", self.column_title or "column", "value")
        table = grid(columns, rows, (False, False, True))
        heading = tag("p", "Largest values off the diagonal", class_="note")
        return heading + scroller(table, "Largest values off the diagonal") if rows else ""

    def _ramp(self, low: float, high: float) -> str:
        unit = "share of the row" if self.by_row else ""
        sides = (f"{100 * low:.0f}%", f"{100 * high:.0f}%") if self.by_row else (number(low), number(high))
        return ramp(sides[0], f"{sides[1]} {unit}".strip())


def ramp(low: str, high: str) -> str:
    """The shades of a heat map, between what the palest and the darkest stand for."""
    steps = [tag("path", class_=f"h{i}", d=f"M{i},0h1.02v1h-1.02z") for i in range(LEVELS)]
    drawn = tag("svg", *steps, viewBox=f"0 0 {LEVELS} 1", preserveAspectRatio="none", aria_hidden="true")
    return tag("div", escape(low), drawn, escape(high), class_="ramp")


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram: does a confidence of 0.8 mean right in 80 of 100 cases?

    ``confidence`` (n,) in [0, 1] belongs to the predicted class, ``correct`` (n,) is 0 or 1. The expected
    calibration error (ECE) is the mean over ``bins`` bins (lower, upper] of |accuracy - confidence|,
    weighted by count, as ``fundamentals/mathematics/calibration.py`` finds it. Raises InputError on other
    values or lengths.
    """

    confidence: Numbers
    correct: Numbers
    caption: str = ""
    bins: int = 10
    half: ClassVar[bool] = True

    def table(self) -> list[tuple[float, float, int, float, float]]:
        """The bins that hold anything: (from, to, count, mean confidence, accuracy)."""
        curve = self._curve()
        if curve is None:
            return []
        ends = [(place / self.bins, (place + 1) / self.bins) for place in curve.place.tolist()]
        held = zip(curve.size.tolist(), curve.confidence.tolist(), curve.accuracy.tolist(), strict=True)
        return [(*end, *values) for end, values in zip(ends, held, strict=True)]

    def error(self) -> float:
        """The expected calibration error, in [0, 1]; not a number where nothing is given."""
        from fathom.fundamentals.mathematics.calibration import mean_gap

        curve = self._curve()
        return float(mean_gap(curve)) if curve is not None else float("nan")

    def _curve(self) -> "Curve | None":
        """The reliability curve; imported where it is drawn, since it brings torch."""
        import torch

        from fathom.fundamentals.mathematics.calibration import confidence_curve

        sure, right = self._checked()
        if not len(sure):
            return None
        return confidence_curve(torch.from_numpy(sure), torch.from_numpy(right), self.bins)

    def _checked(self) -> tuple[np.ndarray, np.ndarray]:
        sure = np.array(self.confidence, np.float64)  # copies: torch takes no array that may not be written
        right = np.asarray(self.correct).astype(np.float64)
        if sure.ndim != 1 or sure.shape != right.shape:
            raise InputError(
                f"a reliability diagram was given shapes {sure.shape} and {right.shape}; give one "
                "confidence and one 0 or 1 per prediction"
            )
        if not (((sure >= 0) & (sure <= 1)).all() and np.isin(right, (0, 1)).all()):
            raise InputError(
                "a reliability diagram was given values out of range; confidences lie in [0, 1] and "
                "`correct` is 0 or 1: pass probabilities, not logits"
            )
        return sure, right

    def html(self) -> str:
        rows = self.table()
        if not rows:
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        error, total = number(self.error()), sum(row[2] for row in rows)
        bars, counts, width = [], [], 0.8 / self.bins
        largest = max(row[2] for row in rows)
        for low, _, count, _, accuracy in rows:
            x, share = low + 0.1 / self.bins, max(count / largest, 0.02)
            left, right, top = (f"{SIDE * part:.4g}" for part in (x, x + width, 1 - accuracy))
            bars.append(tag("path", class_="bar f0", d=f"M{left},{SIDE}V{top}H{right}V{SIDE}z"))
            counts.append(tag("rect", class_="bar f7", x=percent(x), y=percent(1 - share),
                              width=percent(width), height=percent(share)))  # fmt: skip
        bars.append(tag("path", class_="ideal", d=f"M0,{SIDE}L{SIDE},0"))
        label = f"Reliability diagram: {self.caption}. Expected calibration error {error} over {total} cases."
        unit = Axis(0.0, 1.0, "confidence")
        strip = tag("svg", *counts, class_="plot short", width="100%", height="44", aria_hidden="true")
        keys = (("c0", "accuracy in each bin", ""), ("c7", "cases in each bin", ""))
        columns = ("confidence", "cases", "mean confidence", "accuracy")
        written = [(f"{row[0]:.2g} to {row[1]:.2g}", *row[2:]) for row in rows]
        return figure(
            "chart",
            self.caption,
            tag("p", f"Expected calibration error {tag('b', escape(error))} over {total:,} cases",
                class_="note"),
            legend(keys),
            plot(unit, Axis(0.0, 1.0, "accuracy"), "".join(bars), label),
            strip,
            numbers_behind(columns, written, self.caption),
        )  # fmt: skip


@dataclass(frozen=True)
class Scatter:
    """Points (x, y), for example predicted against true values; ``diagonal`` adds the line y = x.

    More than 2,000 points are thinned evenly, with the extremes of both axes kept, and the note says so.
    Raises InputError when x and y differ in length.
    """

    x: Numbers
    y: Numbers
    caption: str = ""
    diagonal: bool = False
    x_title: str = "x"
    y_title: str = "y"
    limit: int = 2000
    half: ClassVar[bool] = True

    def html(self) -> str:
        x, y = drawable(self.x), drawable(self.y)
        if x.ndim != 1 or x.shape != y.shape:
            raise InputError(f"a scatter plot was given shapes {x.shape} and {y.shape}; give one y per x")
        good = np.isfinite(x) & np.isfinite(y)
        x, y, total = x[good], y[good], len(x)
        if not len(x):
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        both = np.concatenate([x, y])
        across = axis(both if self.diagonal else x, self.x_title)
        up = axis(both if self.diagonal else y, self.y_title)
        kept = self._kept(x, y)
        dots = points_path(across.place(x[kept]), up.place(y[kept]))
        drawn = tag("path", class_="dots cloud c0", d=dots)
        if self.diagonal:
            ends = np.array([0.0, 1.0])
            drawn += tag("path", class_="ideal", d=outline(ends, ends))
        notes = [f"{number(len(x))} points" + (f", {number(len(kept))} drawn" if len(kept) < len(x) else "")]
        notes += [f"{total - len(x)} not finite"] if total > len(x) else []
        notes += ["Dashed: y = x"] if self.diagonal else []
        notes += [f"Correlation {number(float(np.corrcoef(x, y)[0, 1]))}"] if x.std() and y.std() else []
        label = f"Scatter plot: {self.caption}. {self.y_title} over {self.x_title}; {', '.join(notes)}."
        rows = [
            (title, *(float(v) for v in (data.min(), np.median(data), data.mean(), data.max())))
            for title, data in ((self.x_title, x), (self.y_title, y))
        ]
        return figure(
            "chart",
            self.caption,
            plot(across, up, drawn, label, height=300),
            tag("p", escape(". ".join(notes) + "."), class_="note"),
            numbers_behind(("axis", "lowest", "median", "mean", "highest"), rows, self.caption),
        )

    def _kept(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if len(x) <= self.limit:
            return np.arange(len(x))
        even = np.linspace(0, len(x) - 1, self.limit - 4).astype(int)
        return np.unique(np.concatenate([even, [x.argmin(), x.argmax(), y.argmin(), y.argmax()]]))
