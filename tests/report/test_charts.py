"""Charts: the numbers are in them, extremes survive thinning, and odd data neither breaks nor vanishes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.errors import InputError
from fathom.report.axes import axis, log_ticks, nice_step, strokes, thin, tick_label
from fathom.report.blocks import BarChart, Calibration, Heatmap, LineChart, Scatter
from fathom.report.charts import noisy, running_mean

FLOATS = st.one_of(st.floats(), st.floats(-1e3, 1e3), st.sampled_from([0.0, 5e-324, 1e308, -1e308]))


def coordinates(path: str) -> np.ndarray:
    """Points of a path of the form M x,y L x,y ..."""
    return np.array([[float(v) for v in pair.split(",")] for pair in re.split("[ML]", path) if pair])


def lines(html: str, kind: str = "line") -> list[np.ndarray]:
    found = re.findall(rf'<path class="{kind}[^"]*" d="(M[^"h]*)"/>', html)
    return [coordinates(path) for path in found if "," in path and len(coordinates(path)) > 1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(4, 400))
@settings(max_examples=60, deadline=None)
def test_thinning_keeps_ends_extremes_and_the_limit(values, limit):
    points = np.stack([np.arange(len(values)), np.array(values)], axis=1)
    kept = thin(points, limit)
    assert len(kept) <= limit or len(points) <= limit
    assert kept[:, 1].min() == points[:, 1].min()
    assert kept[:, 1].max() == points[:, 1].max()
    assert np.array_equal(kept[[0, -1]], points[[0, -1]])
    assert (np.diff(kept[:, 0]) > 0).all()


def test_every_spike_survives():
    values = np.zeros(50_000)
    spikes = np.arange(500, 50_000, 997)
    values[spikes] = 1 + np.arange(len(spikes))
    kept = thin(np.stack([np.arange(50_000), values], axis=1))
    assert set(spikes) <= set(kept[:, 0].astype(int))


def test_line_chart_draws_what_it_was_given(read):
    chart = LineChart({"train": [(0, 0), (5, 10), (10, 5)], "valid": [(0, 10), (10, 0)]}, caption="Loss")
    html = chart.html()
    first, second = lines(html)
    assert np.allclose(first, [[0, 1000], [500, 0], [1000, 500]])
    assert np.allclose(second, [[0, 0], [1000, 1000]])
    reading = read(html)
    label = reading.values("svg", "aria-label")[0]
    assert label.startswith("Line chart: Loss.")
    assert "train: 3 points, from 0 to 5, lowest 0, highest 10." in label
    assert "train5" in reading.text  # the legend names the last value
    assert reading.values("svg", "role") == ["img"]


def test_long_curves_are_thinned_to_400_points():
    points = [(step, float(np.sin(step))) for step in range(5000)]
    (curve,) = lines(LineChart({"a": points}).html())
    assert len(curve) <= 400
    assert "5,000" in LineChart({"a": points}).html()


def test_values_that_are_not_finite_leave_a_gap_and_a_note():
    points = [(step, float("nan") if step in (4, 5) else 1.0 + step) for step in range(10)]
    html = LineChart({"loss": points}).html()
    assert [len(part) for part in lines(html)] == [4, 4]
    assert "loss: 2 values are not finite, the first at step 4." in html
    assert "nan" not in html.replace("not a number", "")


def test_a_curve_with_many_gaps_stays_a_curve():
    points = np.array([(step, np.nan if step % 2 else 1.0) for step in range(200)])
    assert [len(part) for part in strokes(points)] == [100]


def test_logarithmic_scale_and_what_it_cannot_show():
    html = LineChart({"loss": [(0, 1.0), (1, 0.01), (2, 0.0)]}, log_y=True).html()
    assert "loss: 1 values are not above zero" in html
    assert len(lines(html)[0]) == 2
    assert "Logarithmic" not in LineChart({"loss": [(0, -1.0), (1, 0.0)]}, log_y=True).html()


def test_bands_and_markers():
    html = LineChart({"a": [(0, 1), (1, 2)]}, bands={"a": ([0, 1], [2, 3])}, markers=[(0.5, "best")]).html()
    (band,) = lines(html.replace("Z", ""), "band")
    assert np.allclose(band[:, 0], [0, 1000, 1000, 0])
    assert ">best</text>" in html
    for bands in ({"b": ([0, 1], [2, 3])}, {"a": ([0], [2])}):
        with pytest.raises(InputError, match="a band belongs to a series of the same name"):
            LineChart({"a": [(0, 1), (1, 2)]}, bands=bands).html()


def test_smoothing_is_for_noise_only():
    draws = np.random.default_rng(0)
    ramp = np.stack([np.arange(500.0), np.linspace(0, 1, 500)], axis=1)
    loud = np.stack([np.arange(500.0), draws.normal(size=500)], axis=1)
    assert noisy(loud)
    assert not noisy(ramp)
    assert np.allclose(running_mean(ramp)[20:-20], ramp[20:-20])
    smooth = running_mean(loud)
    assert smooth[:, 1].std() < 0.5 * loud[:, 1].std()
    loud[100:200, 1] = np.nan
    assert np.isnan(running_mean(loud)[150, 1])  # no value is invented inside a gap
    assert "faint" in LineChart({"a": loud}, smooth=True).html()
    assert "faint" not in LineChart({"a": ramp.tolist()}, smooth=True).html()


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=120), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_values_break_a_line_chart(points, log, smooth):
    html = LineChart({"a": points, "b": points[:2]}, log_y=log, smooth=smooth).html()
    for path in re.findall(r' d="([^"]*)"', html):
        assert re.fullmatch(r"[MLh0-9.,e+\-Z ]*", path), path


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=60), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_values_break_bars_or_scatter(points, diagonal):
    x, y = [p[0] for p in points], [p[1] for p in points]
    html = Scatter(x, y, diagonal=diagonal).html() + BarChart([str(v) for v in x], y).html()
    drawn = re.sub(r">[^<]*<", "><", html)
    assert not re.search(r'"[^"]*(nan|inf)[^"]*"', re.sub(r'aria-label="[^"]*"', "", drawn))


def test_charts_of_nothing_say_so():
    for block in (LineChart({}), LineChart({"a": []}), BarChart([], []), Scatter([], []), Calibration([], []),
                  Heatmap([], [], np.zeros((0, 0))), LineChart({"a": [(0, float("nan"))]})):  # fmt: skip
        assert "No values were recorded." in block.html()


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.0, 0.2, "0"), (0.2, 0.2, "0.2"), (1.0, 0.5, "1.0"), (2000.0, 1000.0, "2,000"), (2e4, 1e4, "20k"),
     (2.5e6, 5e5, "2.5M"), (2e-4, 2e-4, "2e-4"), (-0.05, 0.05, "-0.05"), (5.0, 5.0, "5")],
)  # fmt: skip
def test_tick_labels_have_just_the_digits_they_need(value, step, text):
    assert tick_label(value, step) == text


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
@settings(max_examples=100, deadline=None)
def test_ticks_are_few_and_nice(low, span):
    made = axis(np.array([low, low + span]))
    values = [value for value, _ in made.ticks()]
    assert 2 <= len(values) <= 9
    step = nice_step(made.high - made.low)
    assert f"{step:.0e}"[0] in "125"
    rounding = 1e-6 * span + 1e-12 * abs(low)
    assert made.low <= low + rounding
    assert low + span <= made.high + rounding


def test_log_ticks_are_powers_of_ten():
    assert log_ticks(0.01, 100.0) == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert len(log_ticks(1e-30, 1e30)) <= 8
    assert len(axis(np.array([2.4, 4.0]), log=True).ticks()) > 1  # less than a decade: linear ticks


def test_bars_show_values_and_whiskers(read):
    html = BarChart(["a", "b"], [1.0, -1.0], [(0.5, 1.5), (-1.5, -0.5)], "Effects").html()
    reading = read(html)
    assert re.findall(r'class="bar f0" x="([^"]*)" y="1" width="([^"]*)"', html) == [
        ("50%", "33.33%"),
        ("16.67%", "33.33%"),
    ]
    assert "0.5 to 1.5" in reading.text
    assert reading.tags.count("line") == 6
    with pytest.raises(InputError, match="2 labels, 1 values"):
        BarChart(["a", "b"], [1.0]).html()


def test_small_heatmap_is_a_table_with_every_number(read):
    values = np.array([[50, 0, 1], [2, 40, 0], [0, 0, 7]])
    html = Heatmap(
        ("a", "b", "c"), ("a", "b", "c"), values, "Confusion", "true", "predicted", by_row=True
    ).html()
    reading = read(html)
    cells = re.findall(r'<td class="h(\d+)">(\d+)</td>', html)
    assert [int(text) for _, text in cells] == values.ravel().tolist()
    shades = np.array([int(level) for level, _ in cells]).reshape(3, 3)
    assert shades[2, 2] == 15  # by row: the rare class is as dark as the frequent one
    assert shades[0, 2] == 1  # few errors are still seen
    assert shades[0, 1] == 0
    assert reading.values("th", "scope") == ["col"] * 3 + ["row"] * 3
    with pytest.raises(InputError, match=r"shape \(3, 3\) for 2 rows"):
        Heatmap(("a", "b"), ("a", "b", "c"), values).html()


def test_large_heatmaps_are_drawn_and_list_the_largest_confusions(read):
    names = [f"n{i}" for i in range(300)]
    values = 10 * np.eye(300, dtype=int)
    values[7, 250] = 9
    html = Heatmap(names, names, values, "Many", "true", "predicted").html()
    reading = read(html)
    assert "n7n2509" in reading.text
    assert "Each cell shows the largest of 2 by 2." in reading.text
    assert 'viewBox="0 0 150 150"' in html
    assert html.count("h1v1h-1z") == 151  # the merged diagonal and the one confusion


def test_calibration_error_by_hand(read):
    confidence = [0.95] * 10 + [0.65] * 10 + [1.0]
    correct = [1] * 9 + [0] + [1] * 5 + [0] * 5 + [1]
    block = Calibration(confidence, correct, "Honest?")
    mean = (10 * 0.95 + 1) / 11
    expected = (11 * abs(10 / 11 - mean) + 10 * abs(0.5 - 0.65)) / 21
    assert block.error() == pytest.approx(expected)
    assert [row[2] for row in block.table()] == [10, 11]
    assert "over 21 cases" in read(block.html()).text
    for bad in (([1.2], [1]), ([0.5], [2]), ([float("nan")], [1])):
        with pytest.raises(InputError, match="pass probabilities, not logits"):
            Calibration(*bad).html()
    with pytest.raises(InputError, match="one confidence and one 0 or 1 per prediction"):
        Calibration([0.5, 0.6], [1]).html()


def test_scatter_thins_but_keeps_the_extremes(read):
    x = np.random.default_rng(0).normal(size=9000)
    y = x + 1
    html = Scatter(x, y, "Truth", diagonal=True).html()
    dots = re.findall(r"M([\d.e+-]+),([\d.e+-]+)h0", html)
    assert len(dots) <= 2000
    made = axis(np.concatenate([x, y]))
    across = np.array([float(a) for a, _ in dots])
    assert across.min() == pytest.approx(1000 * made.at(float(x.min())), abs=1)
    assert across.max() == pytest.approx(1000 * made.at(float(x.max())), abs=1)
    assert "9,000 points" in read(html).text
    assert "Correlation 1." in read(html).text
    with pytest.raises(InputError, match="give one y per x"):
        Scatter([1, 2], [1]).html()
