"""What pictures are drawn with: the size of a panel, its colours, lines, arrows and words as SVG."""

from collections.abc import Iterator
from html import escape

from fathom.learn.engine.marks import Row
from fathom.report.style import SERIES

WIDTH, HEIGHT = 440, 320  # of a panel
LETTER, WIDE, NARROW = 0.64, 1.0, 0.42  # how wide letters are, as a share of their size; in a wide face
INK, SOFT, RULE = "#17212b", "#54606d", "#d5dbe1"
COLD, MIDDLE, WARM = (0x1F, 0x5F, 0xB4), (0xF7, 0xF7, 0xF7), (0xC4, 0x45, 0x1C)
TONES = SERIES["light"]
Number = float | int


def runs(row: Row) -> Iterator[tuple[int, int, float]]:
    """Neighbours of one value as one: a heat map is mostly areas."""
    start = 0
    for place in range(1, len(row) + 1):
        if place == len(row) or row[place] != row[start]:
            yield start, place, row[start]
            start = place


def diverging(value: float, low: float, high: float) -> str:
    """Blue below zero, orange above, white between; where nothing is below it, from white to orange."""
    reach = max(abs(low), abs(high)) or 1.0
    if low >= 0:
        share, end = (value - low) / ((high - low) or 1.0), WARM
    else:
        share, end = min(abs(value) / reach, 1.0), WARM if value >= 0 else COLD
    mixed = (round(m + (e - m) * share) for m, e in zip(MIDDLE, end, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def tone(index: int, attribute: str) -> str:
    index %= len(TONES)
    return f' class="t{index}" {attribute}="{TONES[index]}"'


def line(x1: Number, y1: Number, x2: Number, y2: Number, colour: str, width: Number = 1.0) -> str:
    ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:.1f}"/>'


def arrow(start: tuple[float, float], end: tuple[float, float], index: int | None) -> str:
    """The head of an arrow from ``start`` to ``end``."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    size = (dx * dx + dy * dy) ** 0.5
    if size < 1e-6:
        return ""
    dx, dy = dx / size, dy / size
    base = end[0] - 9 * dx, end[1] - 9 * dy
    corners = (end, (base[0] - 4 * dy, base[1] + 4 * dx), (base[0] + 4 * dy, base[1] - 4 * dx))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    fill = f' fill="{SOFT}"' if index is None else tone(index, "fill")
    return f'<polygon points="{path}"{fill}/>'


def text(x: Number, y: Number, words: str, *, size: int = 12, anchor: str = "start", fill: str = INK) -> str:
    if not words:
        return ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(words)}</text>"
    )


def width_of(words: str, size: int = 11) -> float:
    """How much room some words take; rather too much than too little."""
    shares = (
        WIDE if letter in "mwMW" else NARROW if letter in "fijlrtI.,:; " else LETTER for letter in words
    )
    return size * sum(shares, 0.0)
