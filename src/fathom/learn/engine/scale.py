"""Axes: which part of the numbers a panel shows, where they fall, and which ones are written at the edge."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fathom.learn.engine.marks import Bars, Curve, Heat, Panel, Point, Scatter

SMALLEST = 1e-12  # what a logarithm can show
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """One axis: numbers from ``low`` to ``high`` fall on 0 to 1."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float | int) -> float:
        if self.logarithmic:
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(max(value, SMALLEST)) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round numbers inside the range, about as many as wanted; powers of ten on a logarithmic axis."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            powers = range(first - 1, last + 1, max(1, math.ceil((last - first) / wanted)))
            parts = (
                (1.0,) if last - first > 1 else (1.0, 2.0, 5.0)
            )  # over few powers, what is between them too
            found = [part * 10.0**power for power in powers for part in parts]
            return [value for value in found if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]
        rough = (self.high - self.low) / wanted
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * s for s in STEPS if size * s >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scales(panel: Panel) -> tuple[Scale, Scale]:
    """The axes of a panel: as it says, or as its marks need, with some room."""
    across, up = zip(*(corners(panel) or [(0.0, 0.0), (1.0, 1.0)]), strict=True)
    x = Scale(*(panel.x_range or widened(min(across), max(across), 0.0)))
    low, high = min(up), max(up)
    if panel.log_y:
        positive = [value for value in up if value > SMALLEST] or [0.1, 1.0]
        low, high = panel.y_range or (min(positive) / 1.5, max(positive) * 1.5)
        return x, Scale(max(low, SMALLEST), max(high, low * 10, SMALLEST * 10), True)
    return x, Scale(*(panel.y_range or widened(low, high, 0.05)))


def corners(panel: Panel) -> list[Point]:
    """Points that must be inside."""
    return [corner for mark in panel.marks for corner in corners_of(mark)]


def corners_of(mark: object) -> Iterator[Point]:
    if isinstance(mark, Curve | Scatter):
        yield from mark.points
    elif isinstance(mark, Heat):
        yield from zip(mark.x, mark.y, strict=True)
    elif isinstance(mark, Bars):
        yield from ((float(place), value) for place, value in enumerate(mark.values))
        yield from ((-0.5, 0.0), (len(mark.values) - 0.5, 0.0))


def widened(low: float, high: float, share: float) -> Point:
    """The range with some room at both ends; one number gets a range around it."""
    if high - low < 1e-12 * max(1.0, abs(low)):
        reach = abs(low) * 0.1 or 0.5
        return low - reach, high + reach
    room = (high - low) * share
    return low - room, high + room


def short(value: float) -> str:
    """A number at an axis or in a cell."""
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.4g}"
