"""What figures are made of: eight marks, panels that hold them, and frames that hold panels.

A figure is written in Python and yields frames; a frame is plain data. Whoever shows it, a page, a terminal
or a printed sheet, needs to know these eight and nothing of any figure:

    curve     a line through points          bars      a value for each name
    heat      a value at each place          images    small pictures, grey or in colour
    scatter   points of some classes         matrix    numbers in a grid, to be read
    graph     nodes and edges with texts     tokens    words with weights

Numbers are rounded to what a screen can show, so that frames stay small, and must be finite: what runs away
is for the figure to cut off and to say. Every frame says in a sentence what it shows: for those who hear it,
for pages without a script, and for tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = 5  # significant ones of every number
Point = tuple[float, float]
Row = tuple[float, ...]


def number(value: Any) -> float:
    """A finite number, rounded; ``ValueError`` for any other."""
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"a figure drew {found}; cut off what runs away, and say that it does")
    return float(f"{found:.{DIGITS}g}")


def numbers(values: Any) -> Row:
    """A tensor, an array or a sequence of numbers as plain ones."""
    return tuple(number(value) for value in (values.tolist() if hasattr(values, "tolist") else values))


def rows(values: Any) -> tuple[Row, ...]:
    """A grid of numbers, row by row; ``ValueError`` where rows differ in length."""
    found = tuple(numbers(row) for row in (values.tolist() if hasattr(values, "tolist") else values))
    if len({len(row) for row in found}) > 1:
        raise ValueError(f"rows of {sorted({len(row) for row in found})} numbers; a grid has equal ones")
    return found


def points(xs: Any, ys: Any) -> tuple[Point, ...]:
    """Points from their two coordinates; ``ValueError`` where there are not as many of both."""
    across, up = numbers(xs), numbers(ys)
    if len(across) != len(up):
        raise ValueError(f"{len(across)} x and {len(up)} y; a point has one of each")
    return tuple(zip(across, up, strict=True))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One of the eight. ``tone`` is its colour among those of a figure: the same thing, the same colour."""

    name: str = ""
    tone: int = 0


@dataclass(frozen=True, kw_only=True)
class Curve(Mark):
    """A line through points, in their order."""

    points: tuple[Point, ...]
    dots: bool = False  # each point is marked
    dashed: bool = False
    arrow: bool = False  # it points to its last point


@dataclass(frozen=True, kw_only=True)
class Heat(Mark):
    """Values over an area. Row 0 is at the lowest y, as in mathematics."""

    values: tuple[Row, ...]
    x: Point  # from, to
    y: Point


@dataclass(frozen=True, kw_only=True)
class Scatter(Mark):
    """Points; each may belong to a class, which is then its colour and its sign."""

    points: tuple[Point, ...]
    classes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bars(Mark):
    """A value for each name."""

    names: tuple[str, ...]
    values: Row


@dataclass(frozen=True, kw_only=True)
class Images(Mark):
    """Small pictures of numbers in [0, 1], row 0 on top, each with a caption."""

    pictures: tuple[tuple[Row, ...], ...]
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Matrix(Mark):
    """Numbers in a grid, to be read: row 0 on top."""

    values: tuple[Row, ...]
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of a graph, at a place in [0, 1] x [0, 1], y upwards."""

    name: str
    x: float
    y: float
    text: str = ""  # below the name
    tone: int = 0
    lit: bool = False  # the one that matters now


@dataclass(frozen=True, kw_only=True)
class Edge:
    """From one node to another, by their names."""

    start: str
    end: str
    text: str = ""
    weight: float = 1.0  # the thickness, in [0, 1]
    lit: bool = False


@dataclass(frozen=True, kw_only=True)
class Graph(Mark):
    """Nodes and edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, kw_only=True)
class Tokens(Mark):
    """Words in a row, each with a weight in [0, 1]."""

    words: tuple[str, ...]
    weights: Row
    told: bool = True  # each weight is also written; else it only colours its word


MARKS = {kind.__name__.lower(): kind for kind in (Curve, Heat, Scatter, Bars, Images, Matrix, Graph, Tokens)}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture of its own: marks over common axes. Of marks without axes it holds one."""

    title: str
    marks: tuple[Mark, ...]
    x: str = ""  # what the axis shows
    y: str = ""
    x_range: Point | None = None  # None: as the marks need it
    y_range: Point | None = None
    log_y: bool = False
    square: bool = False  # a unit is as long on both axes
    handles: tuple[str, ...] = ()  # controls of two numbers that can be dragged here


@dataclass(frozen=True)
class Frame:
    """What a figure shows at a moment, and says."""

    panels: tuple[Panel, ...]
    say: str

    def as_message(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        panels = [vars(panel) | {"marks": [fields(mark) for mark in panel.marks]} for panel in self.panels]
        return {"kind": "frame", "panels": panels, "say": self.say}


def fields(mark: Mark) -> dict[str, Any]:
    """What a mark holds. ``asdict`` would copy its numbers one by one: longer than to draw them."""
    held = {"mark": type(mark).__name__.lower()} | vars(mark)
    parts = {name: [vars(part) for part in held[name]] for name in ("nodes", "edges") if name in held}
    return held | parts


def frame(*panels: Panel, say: str) -> Frame:
    """A frame of panels, which are shown side by side."""
    return Frame(panels, say)


def frame_of(message: dict[str, Any]) -> Frame:
    """The frame that a message was made of."""
    panels = []
    for given in message["panels"]:
        marks = tuple(mark_of(mark) for mark in given["marks"])
        held: dict[str, Any] = {name: pairs(value) for name, value in given.items()} | {"marks": marks}
        panels.append(Panel(**held))
    return Frame(tuple(panels), message["say"])


def mark_of(given: dict[str, Any]) -> Mark:
    kind = MARKS[given["mark"]]
    held = {name: pairs(value) for name, value in given.items() if name != "mark"}
    if kind is Graph:
        held["nodes"] = tuple(Node(**node) for node in given["nodes"])
        held["edges"] = tuple(Edge(**edge) for edge in given["edges"])
    return kind(**held)


def pairs(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(pairs(inner) for inner in value) if isinstance(value, list | tuple) else value


def pixels(values: Sequence[Any]) -> tuple[tuple[Row, ...], ...]:
    """Pictures (n, h, w), stretched together to [0, 1]."""
    found = tuple(rows(picture) for picture in values)
    flat = [value for picture in found for row in picture for value in row]
    low, high = min(flat), max(flat)
    reach = (high - low) or 1.0
    return tuple(tuple(tuple(round((v - low) / reach, 3) for v in row) for row in p) for p in found)
