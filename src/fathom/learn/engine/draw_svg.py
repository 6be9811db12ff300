"""A frame as SVG: what a page shows before its script runs, or without one, and what is printed.

Colours are attributes, so the picture stands by itself; classes (``t0`` for tone 0) let a page put its own
in their place. No style attribute and no script: the strictest content policy lets it pass. Numbers are
written as text beside what they belong to, and the sentence of the frame is the picture's title.
"""

from collections.abc import Iterator
from html import escape

from fathom.learn.engine.marks import (
    Bars,
    Curve,
    Frame,
    Graph,
    Heat,
    Images,
    Mark,
    Matrix,
    Panel,
    Row,
    Scatter,
    Tokens,
)
from fathom.learn.engine.scale import Scale, scales, short
from fathom.report.style import SERIES

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 44  # room for titles and ticks
INK, SOFT, RULE = "#17212b", "#54606d", "#d5dbe1"
COLD, MIDDLE, WARM = (0x1F, 0x5F, 0xB4), (0xF7, 0xF7, 0xF7), (0xC4, 0x45, 0x1C)
TONES = SERIES["light"]
Number = float | int


def svg(frame: Frame) -> str:
    """The panels of a frame side by side."""
    inner = "".join(
        f'<g transform="translate({place * WIDTH} 0)">{panel_svg(panel)}</g>'
        for place, panel in enumerate(frame.panels)
    )
    wide = WIDTH * max(1, len(frame.panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{escape(frame.say)}</title>{inner}</svg>'
    )


def panel_svg(panel: Panel) -> str:
    heading = text(WIDTH / 2, 18, panel.title, size=13, anchor="middle")
    mark = panel.marks[0] if panel.marks else None
    if isinstance(mark, Graph):
        return heading + "".join(graph(mark))
    if isinstance(mark, Matrix):
        return heading + "".join(matrix(mark))
    if isinstance(mark, Images):
        return heading + "".join(images(mark))
    if isinstance(mark, Tokens):
        return heading + "".join(tokens(mark))
    x, y = scales(panel)
    frame = Area(x, y, panel.square)
    marks = "".join(part for mark in panel.marks for part in frame.draw(mark))
    named = [mark for mark in panel.marks if mark.name]
    return heading + frame.ticks(panel) + frame.clipped(marks) + "".join(frame.legend(named))


class Area:
    """The part of a panel inside its axes."""

    def __init__(self, x: Scale, y: Scale, square: bool) -> None:
        self.x, self.y = x, y
        self.wide, self.high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        if square:
            unit = min(self.wide / (x.high - x.low), self.high / (y.high - y.low))
            self.wide, self.high = round(unit * (x.high - x.low)), round(unit * (y.high - y.low))
        self.left, self.bottom = LEFT, TOP + self.high

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
        parts.append(text(4, TOP - 6, panel.y, size=11, fill=SOFT))
        return "".join(parts)

    def clipped(self, marks: str) -> str:
        """What lies inside the axes; a picture within a picture shows no more than its box."""
        box = f"{self.left - 5} {TOP - 5} {self.wide + 10} {self.high + 10}"
        x, y, wide, high = box.split()
        return f'<svg x="{x}" y="{y}" width="{wide}" height="{high}" viewBox="{box}">{marks}</svg>'

    def legend(self, named: list[Mark]) -> Iterator[str]:
        """Names beside the colour of their marks, on a ground of their own."""
        if named:
            wide = 24 + 6.6 * max(len(mark.name) for mark in named)
            place = (
                f'x="{WIDTH - RIGHT - wide:.0f}" y="{TOP}" width="{wide:.0f}" height="{15 * len(named) + 4}"'
            )
            yield f'<rect {place} fill="#ffffff" fill-opacity="0.8"/>'
        for row, mark in enumerate(named):
            up = TOP + 12 + 15 * row
            left = WIDTH - RIGHT - 13
            yield f'<rect x="{left}" y="{up - 8}" width="9" height="9"{tone(mark.tone, "fill")}/>'
            yield text(left - 5, up, mark.name, size=11, anchor="end")

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
            dashes = ' stroke-dasharray="6 4"' if mark.dashed else ""
            yield (
                f'<polyline points="{path}" fill="none" stroke-width="2" stroke-linejoin="round"'
                f"{dashes}{tone(mark.tone, 'stroke')}/>"
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


def graph(mark: Graph) -> Iterator[str]:
    places = {node.name: at_graph(node.x, node.y) for node in mark.nodes}
    for edge in mark.edges:
        start, end = places[edge.start], places[edge.end]
        weight = 1 + 3 * edge.weight if not edge.lit else 3
        yield line(*start, *shortened(start, end), TONES[1] if edge.lit else SOFT, weight)
        yield arrow(start, shortened(start, end), 1 if edge.lit else None)
        x, y = (
            start[0] * 0.6 + end[0] * 0.4,
            start[1] * 0.6 + end[1] * 0.4,
        )  # off the middle: edges cross there
        if edge.text:
            yield text(x, y - 4, edge.text, size=11, anchor="middle", fill=TONES[1] if edge.lit else INK)
    for node in mark.nodes:
        x, y = places[node.name]
        ring = f'stroke="{TONES[1] if node.lit else SOFT}" stroke-width="{3 if node.lit else 1.5}"'
        yield f'<circle cx="{x:g}" cy="{y:g}" r="19" fill="#fff" {ring}/>'
        yield text(x, y + 4, node.name, size=12, anchor="middle", fill=TONES[node.tone % len(TONES)])
        if node.text:
            for row, part in enumerate(node.text.split("\n")):
                yield text(x, y + 32 + 13 * row, part, size=11, anchor="middle")


def at_graph(x: float, y: float) -> tuple[float, float]:
    return round(34 + x * (WIDTH - 68), 1), round(HEIGHT - 62 - y * (HEIGHT - 124), 1)


def shortened(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """The end of an edge at the rim of its node."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = max(0.0, 1 - 21 / ((dx * dx + dy * dy) ** 0.5 or 1.0))
    return round(start[0] + dx * share, 1), round(start[1] + dy * share, 1)


def matrix(mark: Matrix) -> Iterator[str]:
    tall, wide = len(mark.values), max(map(len, mark.values))
    left, top = (70 if mark.row_names else 16), (52 if mark.column_names else 34)
    w, h = min(64.0, (WIDTH - left - 10) / wide), min(32.0, (HEIGHT - top - 10) / tall)
    flat = [value for row in mark.values for value in row]
    reach = max(map(abs, flat)) or 1.0
    for c, name in enumerate(mark.column_names):
        yield text(left + (c + 0.5) * w, top - 6, name, size=11, anchor="middle", fill=SOFT)
    for r, row in enumerate(mark.values):
        if mark.row_names:
            yield text(left - 6, top + (r + 0.5) * h + 4, mark.row_names[r], size=11, anchor="end", fill=SOFT)
        for c, value in enumerate(row):
            x, y = left + c * w, top + r * h
            fill = diverging(value, -reach, reach)
            size = f'width="{w:.1f}" height="{h:.1f}"'
            yield f'<rect x="{x:.1f}" y="{y:.1f}" {size} stroke="#fff" fill="{fill}"/>'
            ink = "#ffffff" if abs(value) > 0.7 * reach else INK
            yield text(x + w / 2, y + h / 2 + 4, short(round(value, 3)), size=11, anchor="middle", fill=ink)


def images(mark: Images) -> Iterator[str]:
    count = len(mark.pictures)
    across = min(count, 4)
    side = min((WIDTH - 20) / across - 8, (HEIGHT - 40) / -(-count // across) - 22)
    for place, (picture, caption) in enumerate(zip(mark.pictures, mark.captions, strict=True)):
        left, top = 10 + place % across * (side + 8), 30 + place // across * (side + 22)
        cell = side / len(picture)
        for r, row in enumerate(picture):
            for start, end, value in runs(row):
                grey = round(255 * min(max(value, 0.0), 1.0))
                yield (
                    f'<rect x="{left + start * cell:.1f}" y="{top + r * cell:.1f}" height="{cell + 0.3:.1f}"'
                    f' width="{(end - start) * cell + 0.3:.1f}" fill="#{grey:02x}{grey:02x}{grey:02x}"/>'
                )
        yield text(left + side / 2, top + side + 14, caption, size=11, anchor="middle")


def tokens(mark: Tokens) -> Iterator[str]:
    x, y = 12.0, 54.0
    for word, weight in zip(mark.words, mark.weights, strict=True):
        wide = 7.2 * len(word) + 14
        if x + wide > WIDTH - 12:
            x, y = 12.0, y + 46
        yield (
            f'<rect x="{x:.1f}" y="{y - 16:.1f}" width="{wide:.1f}" height="24" rx="4"'
            f' fill="{diverging(weight, -1.0, 1.0)}"/>'
        )
        yield text(x + wide / 2, y, word, anchor="middle", fill="#ffffff" if weight > 0.7 else INK)
        yield text(x + wide / 2, y + 21, short(round(weight, 2)), size=10, anchor="middle", fill=SOFT)
        x += wide + 6


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
