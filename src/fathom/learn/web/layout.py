"""Where each topic stands on the map: bands below each other, in each what needs stands below what is needed.

A band is a section of the view: a level, or a stage of a roadmap. Inside it a topic lies as many layers down
as its longest chain of needs there, and a layer that is too wide is broken into rows. A topic moves to the
column where its needs stand on average, as far as its row leaves that free, so that lines stay short
(Sugiyama et al. 1981, the barycentre rule, once from top to bottom).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fathom.learn.engine.topic import Head

COLUMNS = 6
BOX = (174.0, 60.0)  # width and height of a topic
GAP = (26.0, 34.0)  # lines pass between boxes
TITLE = 46.0  # height of the title of a band
Section = tuple[str, Sequence[Head]]


@dataclass(frozen=True)
class Place:
    """The box of a topic; the corner is its upper left."""

    head: Head
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A map: boxes row by row, lines from what is needed, titles with their heights."""

    places: Mapping[str, Place]
    lines: Sequence[tuple[str, str]]
    titles: Sequence[tuple[str, float]]
    width: float
    height: float


def layout(sections: Sequence[Section]) -> Drawing:
    """A drawing of all topics of some sections."""
    places: dict[str, Place] = {}
    titles: list[tuple[str, float]] = []
    y = 0.0
    for title, heads in sections:
        titles.append((title, y))
        y += TITLE
        for row in rows(heads):
            for head, column in columns(row, places):
                places[head.slug] = Place(head, column * (BOX[0] + GAP[0]), y)
            y += BOX[1] + GAP[1]
    lines = [(need, slug) for slug, place in places.items() for need in place.head.needs if need in places]
    return Drawing(places, lines, titles, COLUMNS * (BOX[0] + GAP[0]) - GAP[0], y)


def rows(heads: Sequence[Head]) -> list[list[Head]]:
    """The topics of a band by layers, each broken into rows of about the same length."""
    inside = {head.slug: head for head in heads}
    layer: dict[str, int] = {}
    for slug, head in inside.items():  # they come in the order of learning: needs first
        layer[slug] = 1 + max((layer[need] for need in head.needs if need in layer), default=-1)
    found: list[list[Head]] = []
    for number in range(max(layer.values(), default=-1) + 1):
        level = [inside[slug] for slug, own in layer.items() if own == number]
        count = math.ceil(len(level) / COLUMNS)
        size = math.ceil(len(level) / count)
        found += [level[start : start + size] for start in range(0, len(level), size)]
    return found


def columns(row: Sequence[Head], places: Mapping[str, Place]) -> list[tuple[Head, int]]:
    """A column for each topic of a row, near its needs; those without any keep their order."""

    def wanted(place: int, head: Head) -> float:
        above = [places[need].x / (BOX[0] + GAP[0]) for need in head.needs if need in places]
        even = (place + 0.5) * COLUMNS / len(row) - 0.5
        return sum(above) / len(above) if above else even

    ordered = sorted(
        ((wanted(place, head), head) for place, head in enumerate(row)), key=lambda pair: pair[0]
    )
    found: list[tuple[Head, int]] = []
    taken = -1
    for place, (wish, head) in enumerate(ordered):
        last = COLUMNS - (len(row) - place)  # the others must still fit
        taken = min(max(round(wish), taken + 1), last)
        found.append((head, taken))
    return found
