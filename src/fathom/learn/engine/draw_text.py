"""A frame as text: figures for a terminal.

Lines and points are drawn with braille patterns, eight dots to a character, so a panel of sixty by sixteen
characters shows 120 by 64 dots. Areas are shades, bars are blocks, and everything that is a number or a word
is written as one.
"""

from collections.abc import Iterator

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

WIDE, HIGH = 60, 16  # characters inside the axes
SHADES = " ░▒▓█"
SIGNS = "ox+*#@%&"  # of classes and of curves without a line
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille pattern, row by row
MARGIN = 9  # characters to the left of an axis


def lines(frame: Frame) -> Iterator[str]:
    """The panels below each other, and the sentence that says what they show."""
    for panel in frame.panels:
        yield panel.title
        yield from panel_lines(panel)
        yield ""
    yield frame.say


def panel_lines(panel: Panel) -> Iterator[str]:
    mark = panel.marks[0] if panel.marks else None
    if isinstance(mark, Graph):
        yield from graph(mark)
    elif isinstance(mark, Matrix):
        yield from matrix(mark)
    elif isinstance(mark, Images):
        yield from images(mark)
    elif isinstance(mark, Tokens):
        yield from (
            f"  {'█' * round(20 * w):<20} {f'{w:5.2f}' if mark.told else ''}  {t}"
            for t, w in zip(mark.words, mark.weights, strict=True)
        )
    elif isinstance(mark, Bars):
        yield from bars(mark)
    else:
        yield from plot(panel)


class Canvas:
    """Characters inside the axes: what is written stands over dots, dots over shades."""

    def __init__(self, x: Scale, y: Scale) -> None:
        self.x, self.y = x, y
        self.shades = [[" "] * WIDE for _ in range(HIGH)]
        self.dots = [[0] * WIDE for _ in range(HIGH)]
        self.signs: dict[tuple[int, int], str] = {}

    def place(self, x: float, y: float) -> tuple[float, float]:
        """In dots, from the top left."""
        return self.x.place(x) * (2 * WIDE - 1), (1 - self.y.place(y)) * (4 * HIGH - 1)

    def dot(self, across: float, down: float) -> None:
        column, row = round(across), round(down)
        if 0 <= column < 2 * WIDE and 0 <= row < 4 * HIGH:
            self.dots[row // 4][column // 2] |= DOTS[row % 4][column % 2]

    def sign(self, x: float, y: float, sign: str) -> None:
        across, down = self.place(x, y)
        column, row = round(across) // 2, round(down) // 4
        if 0 <= column < WIDE and 0 <= row < HIGH:
            self.signs[row, column] = sign

    def stroke(self, start: tuple[float, float], end: tuple[float, float], dashed: bool) -> None:
        (x1, y1), (x2, y2) = self.place(*start), self.place(*end)
        count = min(2000, int(max(abs(x2 - x1), abs(y2 - y1))) + 1)
        for step in range(count + 1):
            if not dashed or step % 6 < 3:
                self.dot(x1 + (x2 - x1) * step / count, y1 + (y2 - y1) * step / count)

    def shade(self, mark: Heat) -> None:
        flat = [value for row in mark.values for value in row]
        low, reach = min(flat), (max(flat) - min(flat)) or 1.0
        for row in range(HIGH):
            for column in range(WIDE):
                x = self.x.low + (self.x.high - self.x.low) * (column + 0.5) / WIDE
                y = self.y.high - (self.y.high - self.y.low) * (row + 0.5) / HIGH
                r = int((y - mark.y[0]) / (mark.y[1] - mark.y[0]) * len(mark.values))
                c = int((x - mark.x[0]) / (mark.x[1] - mark.x[0]) * len(mark.values[0]))
                if 0 <= r < len(mark.values) and 0 <= c < len(mark.values[0]):
                    share = (mark.values[r][c] - low) / reach
                    self.shades[row][column] = SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)]

    def row(self, row: int) -> str:
        found = []
        for column in range(WIDE):
            dots = self.dots[row][column]
            written = self.signs.get((row, column))
            found.append(written or (chr(0x2800 + dots) if dots else self.shades[row][column]))
        return "".join(found)


def plot(panel: Panel) -> Iterator[str]:
    """Curves, points and areas over two axes."""
    canvas = Canvas(*scales(panel))
    for mark in sorted(panel.marks, key=lambda mark: not isinstance(mark, Heat)):
        draw(canvas, mark)
    told = letters(panel)
    for letter, (x, y) in told.values():
        canvas.sign(x, y, letter)
    beside: dict[int, str] = {}
    for value in canvas.y.ticks(4):
        beside[round(canvas.place(canvas.x.low, value)[1]) // 4] = short(value)
    if panel.y:
        yield f"{'':>{MARGIN}} {panel.y}"
    for row in range(HIGH):
        yield f"{beside.get(row, ''):>{MARGIN}} │{canvas.row(row)}".rstrip()
    yield f"{'':>{MARGIN}} └{'─' * WIDE}"
    below = [" "] * (WIDE + 8)
    for value in canvas.x.ticks(5):
        word = short(value)
        at = min(max(round(canvas.x.place(value) * (WIDE - 1)) - len(word) // 2, 0), WIDE - 1)
        below[at : at + len(word)] = word
    yield f"{'':>{MARGIN}}  {''.join(below).rstrip()}"
    if panel.x:
        yield f"{'':>{MARGIN}}  {panel.x:^{WIDE}}".rstrip()
    marks = enumerate(panel.marks)
    named = [
        f"{told[place][0] if place in told else sign_of(mark)} {mark.name}"
        for place, mark in marks
        if mark.name
    ]
    if named:
        yield f"{'':>{MARGIN}}  {'   '.join(named)}"


def letters(panel: Panel) -> dict[int, tuple[str, tuple[float, float]]]:
    """A letter for each line with a name, and a point of the line where it stands, by the line's place.

    There are none unless lines look alike: a terminal may lack colours, and a text that is copied does.
    """
    found = [
        (place, mark)
        for place, mark in enumerate(panel.marks)
        if isinstance(mark, Curve) and mark.name and len(mark.points) > 1 and not mark.dots
    ]
    if len(found) <= len({mark.dashed for _, mark in found}):
        return {}
    return {
        place: (chr(ord("A") + order), mark.points[len(mark.points) * (order + 1) // (len(found) + 1)])
        for order, (place, mark) in enumerate(found)
    }


def draw(canvas: Canvas, mark: Mark) -> None:
    if isinstance(mark, Heat):
        canvas.shade(mark)
    elif isinstance(mark, Curve):
        for start, end in zip(mark.points, mark.points[1:], strict=False):
            canvas.stroke(start, end, mark.dashed)
        for point in (
            mark.points if mark.dots else mark.points[-1:] if mark.arrow or len(mark.points) == 1 else ()
        ):
            canvas.sign(*point, SIGNS[mark.tone % len(SIGNS)])
    elif isinstance(mark, Scatter):
        for place, point in enumerate(mark.points):
            kind = mark.tone + (mark.classes[place] if mark.classes else 0)
            canvas.sign(*point, SIGNS[kind % len(SIGNS)])


def sign_of(mark: Mark) -> str:
    """How a mark looks, in the legend."""
    if isinstance(mark, Heat):
        return SHADES[-2]
    dotted = isinstance(mark, Scatter) or (isinstance(mark, Curve) and mark.dots)
    return (
        SIGNS[mark.tone % len(SIGNS)] if dotted else ("╌" if isinstance(mark, Curve) and mark.dashed else "─")
    )


def bars(mark: Bars) -> Iterator[str]:
    reach = max(map(abs, mark.values)) or 1.0
    wide = max(map(len, mark.names))
    for name, value in zip(mark.names, mark.values, strict=True):
        yield f"  {name:<{wide}}  {'█' * round(40 * abs(value) / reach)} {short(value)}"


def matrix(mark: Matrix) -> Iterator[str]:
    cells = [[short(round(value, 3)) for value in row] for row in mark.values]
    wide = max(len(cell) for row in (*cells, mark.column_names) for cell in row)
    side = max(map(len, mark.row_names), default=0)
    if mark.column_names:
        yield f"  {'':<{side}}  {'  '.join(f'{name:>{wide}}' for name in mark.column_names)}"
    for place, row in enumerate(cells):
        name = mark.row_names[place] if mark.row_names else ""
        yield f"  {name:<{side}}  {'  '.join(f'{cell:>{wide}}' for cell in row)}"


def graph(mark: Graph) -> Iterator[str]:
    """Nodes with what is written below them, and edges one by one."""
    for node in mark.nodes:
        yield f"  {'*' if node.lit else ' '} ({node.name}) {node.text.replace(chr(10), ', ')}".rstrip()
    for edge in mark.edges:
        yield f"  {'*' if edge.lit else ' '} {edge.start} -> {edge.end}  {edge.text}".rstrip()


def images(mark: Images) -> Iterator[str]:
    for picture, caption in zip(mark.pictures, mark.captions, strict=True):
        for row in picture:
            yield "  " + "".join(shade(row))
        yield f"  {caption}"


def shade(row: Row) -> Iterator[str]:
    for value in row:
        yield SHADES[min(int(min(max(value, 0.0), 1.0) * len(SHADES)), len(SHADES) - 1)] * 2
