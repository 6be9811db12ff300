"""A frame as SVG: what a page shows before its script runs, or without one, and what is printed.

Colours are attributes, so the picture stands by itself; classes (``t0`` for tone 0) let a page put its own
in their place. No style attribute and no script: the strictest content policy lets it pass. Numbers are
written as text beside what they belong to, and the sentence of the frame is the picture's title.
"""

from collections.abc import Iterator
from html import escape
from textwrap import wrap

from fathom.learn.engine import draw_free
from fathom.learn.engine.draw_parts import (
    HEIGHT,
    RULE,
    SOFT,
    WIDTH,
    Number,
    arrow,
    diverging,
    line,
    runs,
    text,
    tone,
    width_of,
)
from fathom.learn.engine.marks import Bars, Curve, Frame, Heat, Mark, Panel, Scatter
from fathom.learn.engine.scale import scales, short
from fathom.learn.engine.strokes import dashes

LEFT, RIGHT, TOP, BOTTOM = 56, 12, 32, 44  # room for titles and ticks
KEY = 15  # height of a row of names above the axes
SAID = 13  # size of the sentence
GROWN = 1.3  # by how much a picture is larger than its numbers, where there is room


def svg(frame: Frame) -> str:
    """The panels of a frame, two beside each other, and below them the sentence that says what they show."""
    across = min(2, max(1, len(frame.panels)))
    wide, y, parts = WIDTH * across, 0, []
    for start in range(0, len(frame.panels), 2):
        row = frame.panels[start : start + 2]
        left = (wide - WIDTH * len(row)) // 2
        for place, panel in enumerate(row):
            parts.append(f'<g transform="translate({left + place * WIDTH} {y})">{panel_svg(panel)}</g>')
        y += draw_free.height(row)
    for said in wrap(frame.say, int((wide - 24) / width_of("n", SAID))):
        y += 18
        parts.append(text(12, y, said, size=SAID))
    high = y + 12
    size = f'width="{wide * GROWN:.0f}" height="{high * GROWN:.0f}" viewBox="0 0 {wide} {high}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"'
        f' font-family="sans-serif" font-size="12"><title>{escape(frame.say)}</title>{"".join(parts)}</svg>'
    )


def heading(panel: Panel) -> str:
    return text(WIDTH / 2, 18, panel.title, size=13, anchor="middle")


def panel_svg(panel: Panel) -> str:
    alone = draw_free.drawn(panel.marks[0]) if panel.marks else None
    if alone is not None:
        return heading(panel) + "".join(alone)
    area = Area(panel)
    marks = "".join(part for mark in panel.marks for part in area.draw(mark))
    return heading(panel) + area.ticks(panel) + area.clipped(marks) + "".join(area.legend())


def key_width(mark: Mark) -> float:
    return 22 + width_of(mark.name) + 12


def keys(panel: Panel) -> list[list[Mark]]:
    """Marks with names in rows that fit; below them, or below the title, what stands at the axis has room."""
    rows: list[list[Mark]] = []
    room = WIDTH - RIGHT - 4
    for mark in panel.marks:
        if mark.name and (not rows or sum(map(key_width, rows[-1])) + key_width(mark) > room):
            rows.append([])
        if mark.name:
            rows[-1].append(mark)
    over = sum(map(key_width, rows[-1])) if rows else (WIDTH + width_of(panel.title, 13)) / 2
    return [*rows, []] if over + width_of(panel.y) > room else rows


class Area:
    """The part of a panel inside its axes."""

    def __init__(self, panel: Panel) -> None:
        self.x, self.y = x, y = scales(panel)
        self.keys = keys(panel)
        self.dashes = {id(mark): dash for mark, dash in zip(panel.marks, dashes(panel), strict=True)}
        self.top = TOP + KEY * len(self.keys)
        room = WIDTH - LEFT - RIGHT
        self.wide, self.high = room, HEIGHT - self.top - BOTTOM
        if panel.square:
            unit = min(self.wide / (x.high - x.low), self.high / (y.high - y.low))
            self.wide, self.high = round(unit * (x.high - x.low)), round(unit * (y.high - y.low))
        self.left, self.bottom = LEFT + (room - self.wide) // 2, self.top + self.high

    def at(self, x: Number, y: Number) -> tuple[float, float]:
        """Where a point falls; what is far outside is held near the edge."""
        across, up = (min(max(v, -0.5), 1.5) for v in (self.x.place(x), self.y.place(y)))
        return round(self.left + across * self.wide, 1), round(self.bottom - up * self.high, 1)

    def ticks(self, panel: Panel) -> str:
        parts = []
        named = next((mark for mark in panel.marks if isinstance(mark, Bars)), None)
        for place, name in enumerate(named.names if named else ()):
            across, _ = self.at(place, self.y.low)
            parts.append(text(across, self.bottom + 16, name, size=11, anchor="middle", fill=SOFT))
        for value in [] if named else self.x.ticks():
            across, _ = self.at(value, self.y.low)
            parts.append(line(across, self.bottom, across, self.bottom + 4, SOFT))
            parts.append(text(across, self.bottom + 16, short(value), size=11, anchor="middle", fill=SOFT))
        for value in self.y.ticks():
            _, up = self.at(self.x.low, value)
            parts.append(line(self.left, up, self.left + self.wide, up, RULE))
            parts.append(text(self.left - 6, up + 4, short(value), size=11, anchor="end", fill=SOFT))
        parts.append(line(self.left, self.bottom, self.left + self.wide, self.bottom, SOFT))
        parts.append(text(self.left + self.wide / 2, self.bottom + 34, panel.x, anchor="middle"))
        parts.append(text(4, self.top - 8, panel.y, size=11, fill=SOFT))
        return "".join(parts)

    def clipped(self, marks: str) -> str:
        """What lies inside the axes; a picture within a picture shows no more than its box."""
        box = f"{self.left - 5} {self.top - 5} {self.wide + 10} {self.high + 10}"
        x, y, wide, high = box.split()
        return f'<svg x="{x}" y="{y}" width="{wide}" height="{high}" viewBox="{box}">{marks}</svg>'

    def legend(self) -> Iterator[str]:
        """Names beside a piece of their marks, above the axes: there they hide nothing."""
        for row, marks in enumerate(self.keys):
            up, x = TOP - 8 + KEY * (row + 1), WIDTH - RIGHT - sum(map(key_width, marks)) + 12
            for mark in marks:
                yield self.sign(mark, x, up)
                yield text(x + 22, up, mark.name, size=11)
                x += key_width(mark)

    def sign(self, mark: Mark, x: Number, up: Number) -> str:
        if isinstance(mark, Curve):
            ends = f'x1="{x:.1f}" y1="{up - 4}" x2="{x + 17:.1f}" y2="{up - 4}"'
            return f'<line {ends} stroke-width="3"{self.dashed(mark)}{tone(mark.tone, "stroke")}/>'
        if isinstance(mark, Scatter) and not mark.classes:
            return f'<circle cx="{x + 12:.1f}" cy="{up - 4}" r="4"{tone(mark.tone, "fill")}/>'
        return f'<rect x="{x + 8:.1f}" y="{up - 8}" width="9" height="9"{tone(mark.tone, "fill")}/>'

    def dashed(self, mark: Mark) -> str:
        dash = " ".join(map(str, self.dashes[id(mark)]))
        return f' stroke-dasharray="{dash}"' if dash else ""

    def draw(self, mark: object) -> Iterator[str]:
        if isinstance(mark, Curve):
            yield from self.curve(mark)
        elif isinstance(mark, Heat):
            yield from self.heat(mark)
        elif isinstance(mark, Scatter):
            yield from self.scatter(mark)
        elif isinstance(mark, Bars):
            yield from self.bars(mark)

    def curve(self, mark: Curve) -> Iterator[str]:
        placed = [self.at(*point) for point in mark.points]
        if len(placed) > 1:
            path = " ".join(f"{x:g},{y:g}" for x, y in placed)
            yield (
                f'<polyline points="{path}" fill="none" stroke-width="2" stroke-linejoin="round"'
                f"{self.dashed(mark)}{tone(mark.tone, 'stroke')}/>"
            )
        if mark.arrow and len(placed) > 1:
            yield arrow(placed[-2], placed[-1], mark.tone)
        for x, y in placed if mark.dots else ():
            yield f'<circle cx="{x:g}" cy="{y:g}" r="3"{tone(mark.tone, "fill")}/>'

    def heat(self, mark: Heat) -> Iterator[str]:
        flat = [value for row in mark.values for value in row]
        low, high = min(flat), max(flat)
        tall, wide = len(mark.values), len(mark.values[0])
        left, bottom = self.at(mark.x[0], mark.y[0])
        right, top = self.at(mark.x[1], mark.y[1])
        for r, row in enumerate(mark.values):
            for start, end, value in runs(row):
                x, w = left + (right - left) * start / wide, (right - left) * (end - start) / wide
                y, h = bottom - (bottom - top) * (r + 1) / tall, (bottom - top) / tall
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{w + 0.6:.1f}" height="{h + 0.6:.1f}"'
                    f' fill="{diverging(value, low, high)}"/>'
                )

    def scatter(self, mark: Scatter) -> Iterator[str]:
        for place, point in enumerate(mark.points):
            kind = mark.classes[place] if mark.classes else 0
            x, y = self.at(*point)
            colour = tone(mark.tone + kind, "fill")
            if kind % 2:  # a sign of its own, for those who do not see the colour
                yield f'<rect x="{x - 3.5:g}" y="{y - 3.5:g}" width="7" height="7" stroke="#fff"{colour}/>'
            else:
                yield f'<circle cx="{x:g}" cy="{y:g}" r="4" stroke="#fff"{colour}/>'

    def bars(self, mark: Bars) -> Iterator[str]:
        _, ground = self.at(0, max(self.y.low, 0.0))
        for place, value in enumerate(mark.values):
            left, up = self.at(place - 0.35, value)
            right, _ = self.at(place + 0.35, value)
            top, tall = min(up, ground), abs(up - ground)
            yield (
                f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{tall:g}"'
                f"{tone(mark.tone, 'fill')}/>"
            )
            yield text((left + right) / 2, top - 4, short(value), size=11, anchor="middle")
