"""Contour lines, maps and races: lines lie where they should, and nothing moves for those who want rest."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fathom.errors import InputError
from fathom.report.axes import SIDE
from fathom.report.contours import contour_lines
from fathom.report.landscape import STRIPS, Landscape
from fathom.report.page import Section, page
from fathom.report.race import FRAMES, REST, Race
from fathom.report.style import SHEET

X, Y = np.linspace(-2, 2, 81), np.linspace(-1, 3, 61)
GRID = np.meshgrid(X, Y, indexing="ij")
BOWL = GRID[0] ** 2 + (GRID[1] - 1) ** 2


def length(lines: list[np.ndarray]) -> float:
    return float(sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines))


# -- contour lines --------------------------------------------------------------------------------
def test_a_circle_is_one_closed_line() -> None:
    (line,) = contour_lines(X, Y, BOWL, 0.5)
    assert (line[0] == line[-1]).all() and len(np.unique(line, axis=0)) == len(line) - 1
    radius = np.linalg.norm(line - (0, 1), axis=1)
    np.testing.assert_allclose(radius, np.sqrt(0.5), atol=2e-3)
    assert length([line]) == pytest.approx(2 * np.pi * np.sqrt(0.5), rel=2e-3)


def test_a_slope_is_one_straight_line_from_rim_to_rim() -> None:
    for heights, level in ((GRID[0], 0.33), (-GRID[0], -0.33)):
        (line,) = contour_lines(X, Y, heights, level)
        np.testing.assert_allclose(line[:, 0], 0.33, atol=1e-12)
        assert {line[0, 1], line[-1, 1]} == {-1.0, 3.0}
        assert length([line]) == pytest.approx(4)


def test_saddles_and_wells_are_told_apart() -> None:
    lines = contour_lines(X, Y, GRID[0] * (GRID[1] - 1), 0.2)
    assert len(lines) == 2
    for line in lines:
        np.testing.assert_allclose(line[:, 0] * (line[:, 1] - 1), 0.2, atol=2e-3)
    wells = np.minimum(BOWL, (GRID[0] - 1.5) ** 2 + (GRID[1] - 2.5) ** 2)
    assert [bool((line[0] == line[-1]).all()) for line in contour_lines(X, Y, wells, 0.1)] == [True, True]


def test_length_is_that_of_another_implementation() -> None:
    contourpy = pytest.importorskip("contourpy")
    waves = np.sin(3 * GRID[0]) * np.cos(2 * GRID[1]) + 0.3 * GRID[0]
    for level in (-0.8, -0.1, 0.35, 0.9):
        theirs = contourpy.contour_generator(X, Y, waves.T).lines(level)
        assert length(contour_lines(X, Y, waves, level)) == pytest.approx(length(theirs), rel=5e-3)


def test_what_is_no_number_is_high_and_empty_levels_have_no_line() -> None:
    broken = BOWL.copy()
    broken[:10], broken[-1, -1] = np.nan, np.inf
    assert all(np.isfinite(line).all() for line in contour_lines(X, Y, broken, 1.5))
    assert contour_lines(X, Y, BOWL, -1) == [] and contour_lines(X, Y, BOWL, 1e6) == []
    with pytest.raises(InputError, match=r"heights \(81, 61\) over 61 by 81 places"):
        contour_lines(Y, X, BOWL, 1.0)
    with pytest.raises(InputError, match="two places or more a side"):
        contour_lines(X[:1], Y, BOWL[:1], 1.0)


# -- maps -----------------------------------------------------------------------------------------
def land(**changes: Any) -> Landscape:
    return Landscape(**{
        "across": X, "up": Y, "heights": BOWL, "levels": (0.1, 1.0, 100.0), "caption": "A <bowl>",
        "quantity": "height", "marks": ((0.0, 1.0, "lowest & <b>"),), **changes,
    })  # fmt: skip


def test_a_map_has_lines_shades_and_marks(read: Callable[[str], Any]) -> None:
    html = land().html()
    reading = read(html)
    assert html.count('class="contour"') == 2  # nothing is as high as 100
    assert "Lines where the height is 0.1, 1, 100. Marked: lowest & <b> at (0, 1)." in reading.text
    boxes = re.findall(r"M(\d+),(\d+)h(\d+)V(\d+)h-(\d+)z", html)
    area = sum(int(wide) * (int(low) - int(high)) for _, low, wide, high, _ in boxes)
    assert area == SIDE**2, "shades leave no gap and do not lie upon each other"
    assert "crispEdges" not in land(shaded=False).html()
    assert "style=" not in html and "<script" not in html


def test_shades_rise_with_the_heights() -> None:
    slope = land(heights=GRID[0] + 0 * GRID[1], levels=(-1.0, 0.0, 1.0))
    between = slope.between()
    assert between.shape == (STRIPS, STRIPS)
    places = (np.arange(STRIPS) + 0.5) / STRIPS * 4 - 2
    np.testing.assert_allclose(between, np.repeat(places[:, None], STRIPS, axis=1), atol=1e-12)
    shades = {int(k): d for k, d in re.findall(r'<path class="h(\d+)" d="([^"]*)"', slope.html())}
    lefts = {k: min(int(x) for x in re.findall(r"M(\d+),", d)) for k, d in shades.items()}
    assert lefts == {0: 0, 5: 253, 10: 500, 15: 753}


# -- races ----------------------------------------------------------------------------------------
STEPS = 300
TIME = np.linspace(0, 1, STEPS + 1)[:, None]
QUICK = np.array([[-1.5, 2.5]]) * (1 - TIME) ** 8 + np.array([[0.0, 1.0]]) * (1 - (1 - TIME) ** 8)
LOST = np.array([[-1.5, 2.5]]) + TIME * np.array([[1e200, -1e200]])
LOST[200:] = np.nan
PATHS = {
    "quick": QUICK,
    "<slow>": QUICK[:1] + 0.3 * (QUICK - QUICK[:1]),
    "lost": LOST,
}


def points(data: str) -> np.ndarray:
    return np.array([pair.split(",") for pair in data[1:].split("L")], dtype=float)


def test_the_stretches_of_a_path_follow_each_other(read: Callable[[str], Any]) -> None:
    html = Race(land(), PATHS, {"quick": "12"}, ("name", "steps"), (("quick", 12),)).html()
    reading = read(html)
    assert (
        "quick12" in reading.text and "<slow>" in reading.text and "300 steps in 12 seconds." in reading.text
    )
    legs = [points(d) for d in re.findall(r'<path class="line lane r0 c0" d="([^"]*)"', html)]
    assert 10 < len(legs) <= FRAMES, "stretches that stand still are left out"
    for before, after in itertools.pairwise(legs):
        np.testing.assert_allclose(after[0], before[-1], atol=0.6)
    start = [SIDE * (QUICK[0, 0] + 2) / 4, SIDE * (3 - QUICK[0, 1]) / 4]
    np.testing.assert_allclose(legs[0][0], start, atol=0.5)
    times = [float(t) for t in re.findall(r'keyTimes="0;([\d.]+)"', html)]
    assert times == sorted(times) and 0 < times[0] and times[-1] <= FRAMES / (FRAMES + REST) + 1e-4


def test_dots_run_and_rest_where_they_ended() -> None:
    html = Race(land(), PATHS).html()
    runs = re.findall(r'type="translate" values="([^"]*)"', html)
    ends = re.findall(r'<path class="dots finish lane r(\d) c\d" d="M([^h]*)h0"', html)
    assert len(runs) == len(ends) == len(PATHS)
    for run, (_, end) in zip(runs, ends, strict=True):
        places = run.split(";")
        assert len(places) == FRAMES + 1 + REST and len(set(places[FRAMES:])) == 1
        np.testing.assert_allclose(points(f"M{places[-1]}"), points(f"M{end}"), atol=6)
    assert max(abs(int(n)) for run in runs for n in re.split("[;,]", run)) <= 10 * SIDE


def test_who_wants_rest_gets_the_end() -> None:
    """By the style sheet alone: the page has no script."""
    at = SHEET.index("@media (prefers-reduced-motion:reduce),print")
    quiet = SHEET[at : SHEET.index("\n}", at)]
    assert ".runner,.hold{display:none}" in quiet and ".race .finish{display:inline}" in quiet
    assert ".leg{opacity:1!important}" in quiet
    assert ".race:has(:checked) .runner{display:none}" in SHEET
    html = page("t", "", [Section("s", [Race(land(), PATHS)])])
    assert '<input type="checkbox">' in html and "<script" not in html and " style=" not in html


def test_paths_that_cannot_race_are_refused() -> None:
    for paths in ({}, {"a": QUICK, "b": QUICK[:9]}, {"a": QUICK[:, 0]}, {"a": QUICK[:1]}):
        with pytest.raises(InputError, match=r"give one or more, all of \(steps \+ 1, 2\)"):
            Race(land(), paths).html()
