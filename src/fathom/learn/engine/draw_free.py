"""Marks without axes: a graph, numbers in a grid, small images and words, each in the middle of its panel."""

from collections.abc import Iterator, Sequence

from fathom.learn.engine.draw_parts import (
    HEIGHT,
    INK,
    SOFT,
    TONES,
    WIDTH,
    Number,
    arrow,
    diverging,
    line,
    runs,
    text,
    width_of,
)
from fathom.learn.engine.marks import Graph, Images, Mark, Matrix, Panel, Tokens
from fathom.learn.engine.scale import short

CELL = (88.0, 44.0)  # of a grid, at most
TOP = 34  # below the title
SPACE = 8  # between small images
LOWEST = 150.0  # height of a panel


def drawn(mark: Mark) -> Iterator[str] | None:
    """The parts of a mark that stands without axes; None for any other."""
    if isinstance(mark, Graph):
        return graph(mark)
    if isinstance(mark, Matrix):
        return matrix(mark)
    if isinstance(mark, Images):
        return images(mark)
    return tokens(mark) if isinstance(mark, Tokens) else None


def height(panels: Sequence[Panel]) -> int:
    """What panels that stand side by side need below each other: few rows of numbers need no whole sheet."""
    return max((int(tall(panel.marks[0] if panel.marks else None)) for panel in panels), default=HEIGHT)


def tall(mark: Mark | None) -> float:
    if isinstance(mark, Matrix):
        grid = Grid(mark)
        return max(LOWEST, grid.top + grid.high * len(mark.values) + 10)
    if isinstance(mark, Tokens):
        return max(LOWEST, TOP + 46 * len(broken(mark)) + 10)
    return float(HEIGHT)


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


class Grid:
    """Where the cells of a matrix stand: it is in the middle together with the names of its rows."""

    def __init__(self, mark: Matrix) -> None:
        rows, columns = len(mark.values), max(map(len, mark.values))
        names = max(map(width_of, mark.row_names), default=0.0)
        beside = names + 8 if names else 0.0
        self.top = TOP + 18 if mark.column_names else TOP
        self.wide = min(CELL[0], (WIDTH - beside - 20) / columns)
        self.high = min(CELL[1], self.wide, (HEIGHT - self.top - 10) / rows)
        self.left = (WIDTH - beside - columns * self.wide) / 2 + beside

    def at(self, row: Number, column: Number) -> tuple[float, float]:
        return self.left + column * self.wide, self.top + row * self.high


def matrix(mark: Matrix) -> Iterator[str]:
    grid = Grid(mark)
    reach = max(abs(value) for row in mark.values for value in row) or 1.0
    for c, name in enumerate(mark.column_names):
        yield text(grid.at(0, c + 0.5)[0], grid.top - 6, name, size=11, anchor="middle", fill=SOFT)
    for r, row in enumerate(mark.values):
        if mark.row_names:
            x, y = grid.at(r + 0.5, 0)
            yield text(x - 6, y + 4, mark.row_names[r], size=11, anchor="end", fill=SOFT)
        for c, value in enumerate(row):
            x, y = grid.at(r, c)
            fill = diverging(value, -reach, reach)
            size = f'width="{grid.wide:.1f}" height="{grid.high:.1f}"'
            yield f'<rect x="{x:.1f}" y="{y:.1f}" {size} stroke="#fff" fill="{fill}"/>'
            ink = "#ffffff" if abs(value) > 0.7 * reach else INK
            x, y = grid.at(r + 0.5, c + 0.5)
            yield text(x, y + 4, short(round(value, 3)), size=11, anchor="middle", fill=ink)


def spots(count: int) -> tuple[float, list[tuple[float, float]]]:
    """The side of small images, and the upper left corner of each."""
    across = min(count, 4)
    down = -(-count // across)
    side = min((WIDTH - 20) / across - SPACE, (HEIGHT - 40) / down - 22)
    left = (WIDTH - across * (side + SPACE) + SPACE) / 2
    return side, [
        (left + place % across * (side + SPACE), 30 + place // across * (side + 22)) for place in range(count)
    ]


def images(mark: Images) -> Iterator[str]:
    side, corners = spots(len(mark.pictures))
    for (left, top), picture, caption in zip(corners, mark.pictures, mark.captions, strict=True):
        cell = side / len(picture)
        for r, row in enumerate(picture):
            for start, end, value in runs(row):
                grey = round(255 * min(max(value, 0.0), 1.0))
                yield (
                    f'<rect x="{left + start * cell:.1f}" y="{top + r * cell:.1f}" height="{cell + 0.3:.1f}"'
                    f' width="{(end - start) * cell + 0.3:.1f}" fill="#{grey:02x}{grey:02x}{grey:02x}"/>'
                )
        yield text(left + side / 2, top + side + 14, caption, size=11, anchor="middle")


def box(word: str) -> float:
    """The width of a word with its ground."""
    return 7.2 * len(word) + 14


def broken(mark: Tokens) -> list[list[tuple[str, float]]]:
    """The words in rows that fit, each with its weight."""
    rows: list[list[tuple[str, float]]] = [[]]
    x = 12.0
    for word, weight in zip(mark.words, mark.weights, strict=True):
        if rows[-1] and x + box(word) > WIDTH - 12:
            rows.append([])
            x = 12.0
        rows[-1].append((word, weight))
        x += box(word) + 6
    return rows


def tokens(mark: Tokens) -> Iterator[str]:
    for number, row in enumerate(broken(mark)):
        x = (WIDTH - sum(box(word) + 6 for word, _ in row) + 6) / 2
        y = TOP + 20.0 + 46 * number
        for word, weight in row:
            wide = box(word)
            yield (
                f'<rect x="{x:.1f}" y="{y - 16:.1f}" width="{wide:.1f}" height="24" rx="4"'
                f' fill="{diverging(weight, -1.0, 1.0)}"/>'
            )
            yield text(x + wide / 2, y, word, anchor="middle", fill="#ffffff" if weight > 0.7 else INK)
            if mark.told:
                share = short(round(weight, 2))
                yield text(x + wide / 2, y + 21, share, size=10, anchor="middle", fill=SOFT)
            x += wide + 6
