"""Panels of lines, for a chart that runs in the page: beside its picture each carries its numbers.

The picture comes first, and is what is printed; where a script runs, ``static/curves.js`` lays a chart over
it that follows the frames and tells the values at a place. Ends, ticks, colours and dashes are those of the
picture, so the one takes the place of the other without a jump.
"""

import json
import math
from html import escape
from typing import Any

from fathom.learn.engine.draw_parts import TONES
from fathom.learn.engine.marks import Curve, Panel
from fathom.learn.engine.scale import scales
from fathom.learn.engine.strokes import dashes, only_lines

MOST = 24 * 1024  # characters of numbers in one panel; with more it stays a picture
Column = list[float | int | None]


def carried(panel: Panel) -> str:
    """The numbers of a panel that a script makes a chart of, as text; "" where it stays a picture."""
    if panel.handles or not only_lines(panel):
        return ""
    text = json.dumps(numbers(panel), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text if len(text) <= MOST else ""


def chart(carried: str, drawn: str) -> str:
    """The picture of a panel with its numbers."""
    text = escape(carried, quote=False).replace("'", "&#39;")
    return f"<learn-curves class=\"panel\" data-numbers='{text}'>{drawn}</learn-curves>"


def numbers(panel: Panel) -> dict[str, Any]:
    """What a chart of a panel needs: its look, which stays over a run, and what changes with every frame."""
    x, y = scales(panel)
    curves = [mark for mark in panel.marks if isinstance(mark, Curve)]
    looks = [
        {"name": mark.name or unnamed(panel, place), "tone": mark.tone % len(TONES), "dash": dash}
        for place, (mark, dash) in enumerate(zip(curves, dashes(panel), strict=True))
    ]
    return {
        "look": {"title": panel.title, "x": panel.x, "y": panel.y, "log": y.logarithmic, "curves": looks},
        "dots": [mark.dots for mark in curves],  # a line that grows long may lose them
        "ends": [plain(end) for end in (x.low, x.high, y.low, y.high)],
        "ticks": [[plain(tick) for tick in axis.ticks()] for axis in (x, y)],
        "tables": tables(curves),
    }


def unnamed(panel: Panel, place: int) -> str:
    """What a curve without a name is called beside its values."""
    return f"line {place + 1}" if len(panel.marks) > 1 else panel.y or "value"


def tables(curves: list[Curve]) -> list[list[Column]]:
    """Columns of x and y. Curves over the same x share one table; what is no number is a gap."""
    places = [[plain(x) for x, _ in mark.points] for mark in curves]
    heights = [[plain(y) for _, y in mark.points] for mark in curves]
    if all(each == places[0] for each in places):
        return [[places[0], *heights]]
    return [[x, y] for x, y in zip(places, heights, strict=True)]


def plain(value: float) -> float | int | None:
    """A number in as few characters as it needs."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.9g}")  # what floating point adds to a tick is no part of it
    return int(short) if short == int(short) else short
