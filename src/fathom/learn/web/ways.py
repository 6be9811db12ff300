"""The ways of the lines on the map: each goes around the boxes that lie between its two ends.

Where a line passes a row of boxes it takes a lane: one between two columns, or one where the row has no box.
Of all ways it takes the one that goes least to the sides, and a little further where a lane is crowded (the
dummy nodes of Sugiyama et al. 1981, placed one line after the other). Lines from one topic share their lanes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fathom.learn.web.layout import BOX, COLUMNS, GAP, Drawing, Place

STEP = BOX[0] + GAP[0]
APART = 4.0  # between two lines in a lane
CROWD = 9.0  # what one more line in a lane weighs, as a way to the side
Bend = tuple[float, float, float]  # from which to which height a line goes straight down, and where
Line = tuple[str, str]


@dataclass(frozen=True)
class Lane:
    """A place where lines may pass a row."""

    x: float
    room: float


def ways(drawing: Drawing) -> dict[Line, list[Bend]]:
    """For every line its passages through rows, from top to bottom."""
    rows = rows_of(drawing.places.values())
    heights = sorted(rows)
    lanes = {y: lanes_of(rows[y]) for y in heights}
    users: dict[tuple[float, Lane], list[str]] = defaultdict(list)
    taken: dict[Line, list[tuple[float, Lane]]] = {}
    for start, end in sorted(drawing.lines, key=lambda line: span(drawing, line)):
        first, last = drawing.places[start], drawing.places[end]
        between = [(y, lanes[y]) for y in heights if first.y < y < last.y]
        way = best(first, last, between, start, users)
        for passage in way:
            if start not in users[passage]:
                users[passage].append(start)
        taken[start, end] = way
    return {line: [bend(line[0], place, users) for place in way] for line, way in taken.items()}


def rows_of(places: Iterable[Place]) -> dict[float, set[int]]:
    """Which columns hold a box, by the height of the row."""
    found: dict[float, set[int]] = defaultdict(set)
    for place in places:
        found[place.y].add(round(place.x / STEP))
    return found


def lanes_of(columns: set[int]) -> list[Lane]:
    between = [Lane(column * STEP - GAP[0] / 2, GAP[0] - 8) for column in range(1, COLUMNS)]
    free = [
        Lane(column * STEP + BOX[0] / 2, BOX[0] - 16) for column in range(COLUMNS) if column not in columns
    ]
    return between + free


def span(drawing: Drawing, line: Line) -> float:
    return drawing.places[line[1]].y - drawing.places[line[0]].y


def best(
    first: Place,
    last: Place,
    between: Sequence[tuple[float, Sequence[Lane]]],
    start: str,
    users: Mapping[tuple[float, Lane], Sequence[str]],
) -> list[tuple[float, Lane]]:
    """The way of least cost, row by row; the cost of a lane is what leads to it and how crowded it is."""
    ways: list[tuple[float, float, list[tuple[float, Lane]]]] = [(0.0, middle(first), [])]  # cost, where, way
    for y, lanes in between:
        onward = []
        for lane in lanes:
            others = [user for user in users.get((y, lane), ()) if user != start]
            cost, way = min(((c + abs(x - lane.x), w) for c, x, w in ways), key=lambda found: found[0])
            narrow = lane.room < GAP[0]
            crowd = 1 + CROWD * len(others) if narrow else 0.2 * CROWD * len(others)
            onward.append((cost + crowd, lane.x, [*way, (y, lane)]))
        ways = onward
    return min(ways, key=lambda found: found[0] + abs(found[1] - middle(last)))[2]


def middle(place: Place) -> float:
    return place.x + BOX[0] / 2


def bend(start: str, passage: tuple[float, Lane], users: Mapping[tuple[float, Lane], Sequence[str]]) -> Bend:
    """Beside the other lines of the lane, as far apart as it has room."""
    (y, lane), all_here = passage, users[passage]
    apart = min(APART, lane.room / max(1, len(all_here) - 1))
    shift = (all_here.index(start) - (len(all_here) - 1) / 2) * apart
    return y, y + BOX[1], round(lane.x + shift, 1)


def path(first: Place, last: Place, bends: Sequence[Bend]) -> str:
    """A line as SVG: between rows it may swing to the side, along a row it goes straight down."""
    x, y = middle(first), first.y + BOX[1]
    parts = [f"M{x:g} {y:g}"]
    for top, bottom, across in [*bends, (last.y, last.y, middle(last))]:
        half = (y + top) / 2
        parts.append(f"C{x:g} {half:g} {across:g} {half:g} {across:g} {top:g}")
        if bottom > top:
            parts.append(f"V{bottom:g}")
        x, y = across, bottom
    return "".join(parts)
