"""The lines of the map: each goes around the boxes between its two ends."""

import re

import pytest

from fathom.learn.engine import roadmaps
from fathom.learn.web.layout import BOX, layout
from fathom.learn.web.map_page import sections_of
from fathom.learn.web.ways import path, ways

VIEWS = [{}, {"to": "attention"}, *({"roadmap": code} for code in roadmaps.ROADMAPS)]
VIEWS += [{"track": level} for level in ("beginner", "intermediate", "advanced")]


def along(way: str) -> list[tuple[float, float]]:
    """Points of a line of the map, close to each other."""
    x = y = 0.0
    found = []
    for kind, given in re.findall(r"([MCV])([^MCV]*)", way):
        numbers = [float(part) for part in given.split()]
        if kind == "C":
            corners = [(x, y), *zip(numbers[::2], numbers[1::2], strict=True)]
            for step in range(51):
                t = step / 50
                shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                found.append(
                    tuple(sum(s * c[i] for s, c in zip(shares, corners, strict=True)) for i in (0, 1))
                )
        elif kind == "V":
            found += [(x, y + (numbers[0] - y) * step / 50) for step in range(51)]
        x, y = (x, numbers[0]) if kind == "V" else (numbers[-2], numbers[-1])
    return found


@pytest.mark.parametrize("query", VIEWS, ids=str)
def test_no_line_runs_behind_the_box_of_another_topic(query: dict[str, str]) -> None:
    """In every view: a line touches the boxes of its two ends, and no other."""
    drawing = layout(sections_of(query)[1])
    found = ways(drawing)
    assert set(found) == set(drawing.lines) and len(found) == len(drawing.lines) > 3
    for (start, end), bends in found.items():
        first, last = drawing.places[start], drawing.places[end]
        points = along(path(first, last, bends))
        assert points[0] == (first.x + BOX[0] / 2, first.y + BOX[1]) and points[-1][1] == last.y
        others = [place for slug, place in drawing.places.items() if slug not in (start, end)]
        for place in others:
            assert not any(
                place.x - 2 < x < place.x + BOX[0] + 2 and place.y - 2 < y < place.y + BOX[1] + 2
                for x, y in points
            ), f"{start} -> {end} runs behind {place.head.slug}"
        assert all(-4 < x < drawing.width + 4 for x, _ in points)
