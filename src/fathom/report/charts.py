"""Charts over steps and categories: lines and bars, as inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fathom.errors import InputError
from fathom.report.axes import SMALLEST, Axis, axis, drawable, outline, percent, plot, points_path, strokes
from fathom.report.markup import Number, column, escape, figure, number, numbers_behind, tag
from fathom.report.style import SERIES

COLOURS = len(SERIES["light"])
FEW = 40  # a curve of at most this many points shows its points
Curve = Sequence[Sequence[Number]] | np.ndarray  # (x, y) each


def series_class(index: int) -> str:
    """The classes of the ``index``-th series: after eight colours, dashes tell series apart."""
    return f"c{index % COLOURS} d{index // COLOURS % 4}" if index >= COLOURS else f"c{index}"


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """A legend of (classes, name, value); it also tells the values apart from the colours alone."""
    items = [
        tag(
            "li",
            tag("svg", tag("path", class_=f"line {kind}", d="M1 5h18"), class_="key", aria_hidden="true"),
            escape(name),
            tag("b", escape(value)) if value else "",
        )
        for kind, name, value in entries
    ]
    return tag("ul", *items, class_="legend")


@dataclass(frozen=True)
class LineChart:
    """Curves over a common axis.

    ``series`` maps a name to its points (x, y); ``bands`` maps the name of a series to (low, high), one
    value per point of it; ``markers`` are (x, text) drawn as vertical lines. Curves of more than 400
    points are thinned with every extreme kept. Values that are not finite leave a gap and are counted
    in a note. ``smooth`` draws a running mean over noisy curves and keeps the raw one faint behind it.
    Raises InputError when a band does not fit its series.
    """

    series: Mapping[str, Curve]
    x: str = "step"
    y: str = ""
    caption: str = ""
    log_y: bool = False
    bands: Mapping[str, tuple[Sequence[Number] | np.ndarray, Sequence[Number] | np.ndarray]] = field(
        default_factory=dict
    )
    markers: Sequence[tuple[Number, str]] = ()
    smooth: bool = False
    half: ClassVar[bool] = True

    def html(self) -> str:
        curves = {name: drawable(points).reshape(-1, 2) for name, points in self.series.items()}
        bands = {name: self._band(name, curves) for name in self.bands}
        everything = np.concatenate([np.zeros((0, 2)), *curves.values(), *bands.values()])
        usable = np.isfinite(everything).all(axis=1)
        if not usable.any():
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        marks = np.array([float(at) for at, _ in self.markers])
        across = axis(np.concatenate([everything[usable, 0], marks]), self.x, snug=True)
        up = axis(everything[usable, 1], self.y, log=self.log_y)
        drawn = [self._area(index, bands[name], across, up)
                 for index, name in enumerate(curves) if name in bands]  # fmt: skip
        drawn += [self._curve(index, points, across, up) for index, points in enumerate(curves.values())]
        rows = [self._summary(name, points) for name, points in curves.items()]
        label = f"Line chart: {self.caption or self.y}. " + " ".join(
            f"{row[0]}: {row[1]} points, from {number(row[2])} to {number(row[3])}, lowest "
            f"{number(row[4])}, highest {number(row[6])}." for row in rows
        )  # fmt: skip
        keys = [(series_class(index), row[0], number(row[3])) for index, row in enumerate(rows)]
        columns = ("series", "points", "first", "last", "lowest", "at", "highest", "at")
        return figure(
            "chart",
            self.caption,
            legend(keys),
            plot(across, up, "".join(drawn), label, over=self._marked(across)),
            self._notes(curves, up),
            numbers_behind(columns, rows, self.caption or self.y),
        )

    def _band(self, name: str, curves: Mapping[str, np.ndarray]) -> np.ndarray:
        sides = [drawable(side) for side in self.bands[name]]
        if name not in curves or any(side.shape != curves[name][:, 1].shape for side in sides):
            raise InputError(
                f"the band {name!r} has {' and '.join(str(side.size) for side in sides)} values; a band "
                "belongs to a series of the same name and has a low and a high value for each of its points"
            )
        x = curves[name][:, 0]
        return np.concatenate([np.stack([x, sides[0]], 1), np.stack([x, sides[1]], 1)[::-1]])

    def _area(self, index: int, band: np.ndarray, across: Axis, up: Axis) -> str:
        half = len(band) // 2
        floor = up.low if up.log else -np.inf  # a band may reach below what a logarithm can show
        kept = [part for side in (band[:half], band[half:]) for part in strokes(side)]
        if not kept:
            return ""
        ring = np.concatenate(kept)
        path = outline(across.place(ring[:, 0]), up.place(np.maximum(ring[:, 1], floor)))
        return tag("path", class_=f"band f{index % COLOURS}", d=path + "Z")

    def _curve(self, index: int, points: np.ndarray, across: Axis, up: Axis) -> str:
        if up.log:
            points = points[~(points[:, 1] <= SMALLEST)]
        kind, parts = series_class(index), []
        for stretch in strokes(points):
            x, y = across.place(stretch[:, 0]), up.place(stretch[:, 1])
            smooth = self.smooth and noisy(points)
            parts.append(tag("path", class_=f"line {'faint ' if smooth else ''}{kind}", d=outline(x, y)))
            if len(points) <= FEW:
                parts.append(tag("path", class_=f"dots c{index % COLOURS}", d=points_path(x, y)))
        if self.smooth and noisy(points):
            for stretch in strokes(running_mean(points)):
                path = outline(across.place(stretch[:, 0]), up.place(stretch[:, 1]))
                parts.append(tag("path", class_=f"line {kind}", d=path))
        return "".join(parts)

    def _summary(self, name: str, points: np.ndarray) -> tuple:
        good = points[np.isfinite(points).all(axis=1)]
        if not len(good):
            return (name, len(points), None, None, None, None, None, None)
        low, high = good[good[:, 1].argmin()], good[good[:, 1].argmax()]
        values = (good[0, 1], good[-1, 1], low[1], low[0], high[1], high[0])
        return (name, len(points), *(float(value) for value in values))

    def _marked(self, across: Axis) -> str:
        parts = []
        for at, text in self.markers:
            share = across.at(float(at))
            x = percent(share)
            end = "end" if share > 0.6 else "start"
            parts.append(tag("line", class_="mark", x1=x, x2=x, y1="0", y2="100%"))
            shift = -5 if end == "end" else 5
            parts.append(tag("text", escape(text), x=x, dx=shift, y="0", dy="-2", text_anchor=end))
        return "".join(parts)

    def _notes(self, curves: Mapping[str, np.ndarray], up: Axis) -> str:
        notes = []
        for name, points in curves.items():
            broken = points[~np.isfinite(points).all(axis=1)]
            if len(broken):
                first = number(float(broken[0, 0]))
                notes.append(f"{name}: {len(broken)} values are not finite, the first at {self.x} {first}.")
            hidden = int((points[:, 1] <= SMALLEST).sum())
            if up.log and hidden:
                notes.append(f"{name}: {hidden} values are not above zero, which this scale cannot show.")
        if up.log:
            notes.append("Logarithmic scale.")
        if self.smooth and any(map(noisy, curves.values())):
            notes.append("Bold: running mean. Faint: every value.")
        return tag("p", escape(" ".join(notes)), class_="note") if notes else ""


def noisy(points: np.ndarray) -> bool:
    """Whether a curve (n, 2) is long and travels up and down more than ten times its range."""
    values = points[np.isfinite(points).all(axis=1), 1]
    return len(values) > 2 * FEW and bool(np.abs(np.diff(values)).sum() > 10 * np.ptp(values))


def running_mean(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) with y replaced by its mean over a window of n / 25, cut short at the ends.

    Windows hold no value that is not finite; where a window is empty the result is not finite either.
    """
    reach = max(1, len(points) // 50)
    good = np.isfinite(points[:, 1])
    total = np.concatenate([[0.0], np.cumsum(np.where(good, points[:, 1], 0.0))])
    count = np.concatenate([[0], np.cumsum(good)])
    at = np.arange(len(points))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(points))
    held = count[high] - count[low]
    mean = np.where(held > 0, (total[high] - total[low]) / np.maximum(held, 1), np.nan)
    return np.stack([points[:, 0], mean], axis=1)


@dataclass(frozen=True)
class BarChart:
    """Horizontal bars, one per label, with the value written beside it and optional (low, high) whiskers.

    Raises InputError when labels, values and intervals differ in number.
    """

    labels: Sequence[str]
    values: Sequence[Number] | np.ndarray
    intervals: Sequence[tuple[Number, Number]] | None = None
    caption: str = ""
    half: ClassVar[bool] = True

    def html(self) -> str:
        given = [len(self.labels), len(self.values)]
        given += [] if self.intervals is None else [len(self.intervals)]
        if len(set(given)) > 1:
            raise InputError(
                f"a bar chart was given {given[0]} labels, {given[1]} values"
                + (f" and {given[2]} intervals" if len(given) > 2 else "")
                + "; give one of each per bar"
            )
        if not self.labels:
            return figure("chart", self.caption, tag("p", "No values were recorded.", class_="empty"))
        values = drawable(self.values)
        sides = drawable(self.intervals or np.zeros((0, 2)))
        finite = np.concatenate([[0.0], values, sides.ravel()])
        finite = finite[np.isfinite(finite)]
        across = Axis(float(finite.min()), float(finite.max()) if finite.any() else 1.0)
        if across.low == across.high or across.high < 0:
            across = Axis(across.low, 0.0) if across.low < 0 else Axis(0.0, 1.0)
        texts, ends = column(list(self.values)), column(sides.ravel().tolist())
        rows = []
        for index, (name, value) in enumerate(zip(self.labels, values, strict=True)):
            drawn, written = [_bar(value, across)], tag("b", escape(texts[index]))
            if len(sides) and np.isfinite(sides[index]).all():
                drawn.append(_whisker(sides[index], across))
                written += tag("small", escape(f"{ends[2 * index]} to {ends[2 * index + 1]}"))
            line = tag("div", tag("span", escape(name)), tag("span", written, class_="amount"))
            rows.append(tag("li", line, tag("svg", *drawn, aria_hidden="true")))
        return figure("chart", self.caption, tag("ul", *rows, class_="bars"))


def _bar(value: float, across: Axis) -> str:
    track = tag("rect", class_="track", x="0", y="3", width="100%", height="6", rx="3")
    if not np.isfinite(value):
        return track
    zero, end = across.at(0.0), across.at(value)
    x, width = percent(min(zero, end)), percent(abs(end - zero))
    return track + tag("rect", class_="bar f0", x=x, y="1", width=width, height="10", rx="2")


def _whisker(interval: np.ndarray, across: Axis) -> str:
    low, high = (percent(float(side)) for side in across.place(interval))
    ends = [tag("line", class_="whisker", x1=at, x2=at, y1="2", y2="10") for at in (low, high)]
    return tag("line", class_="whisker", x1=low, x2=high, y1="6", y2="6") + "".join(ends)
