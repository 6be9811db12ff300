"""What a panel of lines carries for a chart: its numbers, no more than a frame holds, where it may."""

import html
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from fathom.learn.engine.draw_svg import panel_svg
from fathom.learn.engine.figure import LARGEST
from fathom.learn.engine.marks import Curve, Panel, Scatter, frame
from fathom.learn.engine.scale import scales
from fathom.learn.engine.strokes import dashes
from fathom.learn.web.curves import MOST, numbers
from fathom.learn.web.picture import picture

FALLING = Curve(name="training", points=tuple((float(k), 1 / (k + 1)) for k in range(5)))
RISING = Curve(name="validation", points=((0.0, 0.5), (4.0, 2.0)), tone=1, dots=True)
LOSSES = Panel(title="The loss's way", marks=(FALLING, RISING), x="step", y="loss <mean>")


def carried(panel: Panel) -> dict[str, Any] | None:
    """The numbers beside the picture, as a browser reads them."""
    found = re.search(r"data-numbers='([^']*)'", picture(frame(panel, say="s"), {}))
    return json.loads(html.unescape(found[1])) if found else None


def test_every_point_of_a_curve_is_carried_as_it_is_drawn() -> None:
    found = carried(LOSSES)
    assert found and found == json.loads(json.dumps(numbers(LOSSES)))
    assert found["tables"] == [
        [[0, 1, 2, 3, 4], [1, 0.5, pytest.approx(1 / 3), 0.25, 0.2]],
        [[0, 4], [0.5, 2]],
    ]
    x, y = scales(LOSSES)
    assert found["ends"] == pytest.approx([x.low, x.high, y.low, y.high])
    assert found["ticks"] == [pytest.approx(axis.ticks()) for axis in (x, y)]
    assert found["look"] | {"curves": ()} == {
        "title": "The loss's way", "x": "step", "y": "loss <mean>", "log": False, "curves": (),
    }  # fmt: skip
    assert [(c["name"], c["tone"]) for c in found["look"]["curves"]] == [("training", 0), ("validation", 1)]
    assert found["dots"] == [False, True]


def test_the_picture_is_there_as_before() -> None:
    """Whoever runs no script, or prints, sees it; the chart lies over it."""
    shown = picture(frame(LOSSES, say="s"), {})
    assert shown.startswith('<learn-curves class="panel" ') and shown.count("<svg") == 2
    assert shown.count('class="panel') == 1, "one panel, whether a chart lies over it or not"
    assert 'role="img" aria-label="The loss&#x27;s way"' in shown and "<polyline" in shown


def test_curves_over_the_same_places_carry_them_once() -> None:
    other = replace(FALLING, name="other", tone=3)
    found = carried(replace(LOSSES, marks=(FALLING, other)))
    assert found and len(found["tables"]) == 1 and len(found["tables"][0]) == 3


def test_what_is_no_number_is_a_gap() -> None:
    """No mark lets one in; where one comes from elsewhere it must not spoil the whole of a frame."""
    holed = replace(FALLING, points=((0.0, 1.0), (1.0, float("nan")), (2.0, float("inf")), (3.0, 0.0)))
    panel = replace(LOSSES, marks=(holed,), x_range=(0.0, 3.0), y_range=(0.0, 1.0))
    assert numbers(panel)["tables"] == [[[0, 1, 2, 3], [1, None, None, 0]]]


def test_a_logarithmic_axis_says_so_with_its_powers() -> None:
    found = carried(replace(LOSSES, log_y=True, y_range=(1e-3, 10.0)))
    assert found and found["look"]["log"] and found["ticks"][1] == [0.001, 0.01, 0.1, 1, 10]


STAY = {
    "other marks": replace(LOSSES, marks=(FALLING, Scatter(points=((1.0, 1.0),)))),
    "handles": replace(LOSSES, handles=("start",)),
    "an arrow": replace(LOSSES, marks=(replace(RISING, arrow=True),)),
    "a walk": replace(LOSSES, marks=(replace(RISING, points=((0.0, 0.0), (1.0, 1.0), (0.5, 2.0))),)),
    "a wall": replace(LOSSES, marks=(replace(RISING, points=((1.0, 0.0), (1.0, 1.0))),)),
    "a plane": replace(LOSSES, square=True),
    "no point yet": replace(LOSSES, marks=(replace(RISING, points=()),)),
    "nothing": replace(LOSSES, marks=()),
}


@pytest.mark.parametrize("why", STAY)
def test_other_panels_stay_pictures(why: str) -> None:
    assert carried(STAY[why]) is None


def test_a_frame_stays_as_small_as_frames_are() -> None:
    """With the numbers of the longest lines that are carried; longer ones travel as a picture alone."""
    long = tuple((float(k), round(k * 0.00123, 5)) for k in range(1500))
    shown = picture(frame(replace(LOSSES, marks=(replace(FALLING, points=long),)), say="s"), {})
    assert "data-numbers" in shown and len(shown.encode()) < LARGEST
    longer = tuple((float(k), k / 7) for k in range(MOST // 6))
    assert carried(replace(LOSSES, marks=(replace(FALLING, points=longer),))) is None


def test_lines_differ_in_more_than_their_colour() -> None:
    """Each of as many as there are colours is dashed in its own way, the same in picture and chart."""
    marks = tuple(replace(FALLING, name=f"n{k}", tone=k, dashed=k > 4) for k in range(8))
    panel = replace(LOSSES, marks=marks)
    ways = dashes(panel)
    assert ways[0] == () and ways[5] == (6, 4) and len(set(ways)) == 8
    assert [tuple(curve["dash"]) for curve in numbers(panel)["look"]["curves"]] == ways
    drawn = panel_svg(panel)
    for way in ways[1:]:
        assert drawn.count(f'stroke-dasharray="{" ".join(map(str, way))}"') == 2, "the line and its sign"
    beside = replace(panel, marks=(*marks, Scatter(points=((1.0, 1.0),))))
    assert dashes(beside) == [()] * 5 + [(6, 4)] * 3 + [()], "elsewhere only what a figure calls dashed is"


def test_a_line_without_a_name_has_one_beside_its_value() -> None:
    bare = replace(FALLING, name="")
    names = [curve["name"] for curve in numbers(replace(LOSSES, marks=(bare, bare)))["look"]["curves"]]
    assert names == ["line 1", "line 2"]
    alone = numbers(replace(LOSSES, marks=(bare,)))["look"]["curves"]
    assert alone[0]["name"] == LOSSES.y
