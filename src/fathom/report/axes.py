"""Axes and the frame of a chart: nice ticks, thinning of long curves, and a plot that keeps its text size.

A plot is one SVG whose marks stand at percentages of its width, so that lines stretch with the screen
while text and stroke widths stay as they are: 12 px labels on a phone and on a wall. Curves are drawn in
an inner ``viewBox`` of 1000 by 1000 that is stretched, with strokes that do not scale.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from fathom.report.markup import escape, tag

SIDE = 1000  # units of the inner view box
LARGEST = 1e100  # beyond it, and below its inverse, the arithmetic of ticks would overflow
SMALLEST = 1 / LARGEST


@dataclass(frozen=True)
class Axis:
    """One axis: its range, its scale and its title."""

    low: float
    high: float
    title: str = ""
    log: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        """Positions of ``values`` (n,) along the axis, 0 at ``low`` and 1 at ``high``."""
        data, low, high = values, self.low, self.high
        if self.log:
            data, low, high = np.log10(data), math.log10(low), math.log10(high)
        return (data - low) / (high - low)

    def at(self, value: float) -> float:
        """The position of one value along the axis."""
        return float(self.place(np.array([value]))[0])

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Ticks inside the range with their labels: about ``count``, at 1, 2 or 5 times a power of ten."""
        if self.log:
            decades = [(value, tick_label(value, value)) for value in log_ticks(self.low, self.high)]
            if len(decades) > 1:
                return decades
        step = nice_step(self.high - self.low, count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(index * step, tick_label(index * step, step)) for index in range(first, last + 1)]


def nice_step(span: float, count: int = 5) -> float:
    """The step of 1, 2 or 5 times a power of ten that divides ``span`` into about ``count`` parts."""
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in the range, thinned to at most seven; also 2 and 5 times them when few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    stride = max(1, math.ceil((last - first + 1) / 7))
    values = [f * 10.0**power for power in range(first, last + 1, stride) for f in factors]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


def tick_label(value: float, step: float) -> str:
    """A tick as text, with just the digits that ``step`` needs; large numbers as 20k or 3M."""
    if value == 0 or abs(value) < step * 1e-6:
        return "0"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):
            return f"{value / size:.4g}{unit}"
    if step < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def drawable(values: object) -> np.ndarray:
    """The values as float64, with whatever no axis can hold (infinite, beyond 1e100) as not a number."""
    data = np.asarray(values, dtype=np.float64)
    return np.where(np.abs(data) <= LARGEST, data, np.nan)


def axis(
    values: np.ndarray, title: str = "", *, log: bool = False, snug: bool = False, count: int = 5
) -> Axis:
    """An axis that holds all finite ``values``; its ends fall on ticks unless ``snug``.

    A logarithmic axis is used only when some value is above zero. An empty or constant input gets a
    range around it, so that there is always something to draw on.
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    data = data[np.isfinite(data)]
    log = log and bool((data > SMALLEST).any())
    if log:
        data = data[data > SMALLEST]
    if not data.size:
        return Axis(0.0, 1.0, title)
    low, high = float(data.min()), float(data.max())
    if log:
        if high / low < 1.01:
            low, high = low / 2, high * 2
        return Axis(low, high, title, log=True) if snug else Axis(low * 0.9, high * 1.1, title, log=True)
    if high - low <= max(1e-12 * max(abs(low), abs(high)), SMALLEST):
        pad = abs(low) * 0.1 if abs(low) > SMALLEST else 1.0
        low, high = low - pad, high + pad
    if snug:
        return Axis(low, high, title)
    step = nice_step(high - low, count)
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, title)


def thin(points: np.ndarray, limit: int = 400) -> np.ndarray:
    """At most ``limit`` of the points (n, 2), keeping the ends and each stretch's lowest and highest.

    Averaging would hide a spike of the loss; keeping the two extremes of every bucket cannot.
    """
    if len(points) <= limit:
        return points
    kept = {0, len(points) - 1}
    edges = np.linspace(1, len(points) - 1, (limit - 2) // 2 + 1, dtype=int)
    for start, stop in itertools.pairwise(edges.tolist()):
        bucket = points[start:stop, 1]
        kept |= {start + int(bucket.argmin()), start + int(bucket.argmax())}
    return points[sorted(kept)]


def strokes(points: np.ndarray, limit: int = 400, gaps: int = 20) -> list[np.ndarray]:
    """The unbroken stretches of a curve (n, 2), thinned; a value that is not finite leaves a gap.

    A curve with more than ``gaps`` gaps is drawn as one stretch, or it would dissolve into dots.
    """
    good = np.asarray(np.isfinite(points).all(axis=1))
    pieces = np.split(np.arange(len(points)), np.flatnonzero(np.diff(good.astype(int))) + 1)
    parts = [points[piece] for piece in pieces if len(piece) and good[piece[0]]]
    if len(parts) > gaps:
        parts = [points[good]]
    return [thin(part, max(4, limit // len(parts))) for part in parts]


def outline(across: np.ndarray, up: np.ndarray) -> str:
    """Path data through positions in [0, 1] (n,), in the units of the inner view box."""
    pairs = [f"{SIDE * x:.4g},{SIDE * (1 - y):.4g}" for x, y in zip(across, up, strict=True)]
    return "M" + "L".join(pairs)


def points_path(across: np.ndarray, up: np.ndarray) -> str:
    """Path data of round dots: strokes of no length, which round caps turn into discs of fixed size."""
    return "".join(f"M{SIDE * x:.4g},{SIDE * (1 - y):.4g}h0" for x, y in zip(across, up, strict=True))


def percent(share: float) -> str:
    """A share of the plot as SVG writes it."""
    return f"{100 * float(share):.2f}".rstrip("0").rstrip(".") + "%"


def plot(
    across: Axis, up: Axis, curves: str, label: str, *, over: str = "", height: int = 240, rows: int = 5
) -> str:
    """A framed plot: grid, tick labels and titles around ``curves`` (inner units) and ``over`` (percent).

    ``label`` is what a screen reader says in place of the picture.
    """
    parts = []
    for value, text in up.ticks(rows):
        y = percent(1 - up.at(value))
        parts.append(tag("line", class_="gridline", x1="0", x2="100%", y1=y, y2=y))
        parts.append(tag("text", escape(text), x="0", dx="-8", y=y, dy=".32em", text_anchor="end"))
    for value, text in across.ticks():
        x = percent(across.at(value))
        parts.append(tag("text", escape(text), x=x, y="100%", dy="18", text_anchor="middle"))
    parts.append(tag("line", class_="baseline", x1="0", x2="100%", y1="100%", y2="100%"))
    if up.title:
        parts.append(tag("text", escape(up.title), x="0", dx="-44", y="0", dy="-14"))
    if across.title:
        parts.append(tag("text", escape(across.title), x="100%", y="100%", dy="36", text_anchor="end"))
    box = {"viewBox": f"0 0 {SIDE} {SIDE}", "preserveAspectRatio": "none", "overflow": "visible"}
    parts.append(tag("svg", curves, width="100%", height="100%", **box))
    return tag(
        "svg",
        *parts,
        over,
        class_="plot titled" if up.title else "plot",
        width="100%",
        height=height,
        role="img",
        aria_label=label,
    )
