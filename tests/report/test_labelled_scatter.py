"""Points by label: every point is drawn, every label is told apart and named, whatever it is called."""

import re

import numpy as np
import pytest

from fathom.errors import InputError
from fathom.report.blocks import Calibration
from fathom.report.embedding_report import embedding_report
from fathom.report.labelled_scatter import LabelledScatter

DICE = np.random.default_rng(0)


def dots(html: str) -> list[int]:
    """How many dots each group of the plot has, in order."""
    plot = html[html.index('class="plot') :]
    return [path.count("h0") for path in re.findall(r'<path d="([^"]+)"', plot)]


def test_every_point_stands_under_its_label(read):
    html = LabelledScatter([0, 1, 2, 3], [0, 1, 0, 1], ["b", "a", "b", "c"], "Features").html()
    reading = read(html)
    assert dots(html) == [1, 2, 1]
    assert re.search(r"a1b2c1", reading.text)  # the legend, with counts
    assert "4 points." in reading.text and "median" in reading.text
    assert html.count("<text") - reading.text.count("median") >= 3


def test_colours_and_shapes_tell_sixteen_labels_apart(read):
    names = [f"n{i:02d}" for i in range(16)] * 3
    x, y = DICE.normal(size=(2, 48))
    html = LabelledScatter(x, y, names).html()
    plot = html[html.index('class="plot') :]
    looks = re.findall(r'class="(c\d)"[^>]*stroke-linecap="(\w+)"', plot)
    assert len(looks) == len(set(looks)) == 16 and dots(html) == [3] * 16
    assert "n15" in read(html).text


def test_more_labels_than_looks_become_one_grey_group(read):
    names = [f"n{i:03d}" for i in range(100)] + [f"n{i:03d}" for i in range(50, 65)] * 4
    x, y = DICE.normal(size=(2, len(names)))
    html = LabelledScatter(x, y, names).html()
    assert dots(html) == [85] + [5] * 15  # grey lies behind
    assert "85 other labels" in read(html).text and 'stroke="currentColor"' in html
    assert "n050" in read(html).text and "n099" not in read(html).text


def test_many_points_are_thinned_and_odd_ones_counted(read):
    x = np.r_[DICE.normal(size=9000), np.nan, np.inf]
    html = LabelledScatter(x, x, ["a"] * 9002).html()
    assert sum(dots(html)) == 3000
    assert "9,000 points, about 3,000 drawn. 2 not finite." in read(html).text


def test_nothing_and_one_point(read):
    assert "No values were recorded." in read(LabelledScatter([], [], []).html()).text
    assert "No values were recorded." in read(LabelledScatter([np.nan], [1], ["a"]).html()).text
    assert dots(LabelledScatter([1e4], [-1e4], ["a"]).html()) == [1]
    for given in (([1], [1, 2], ["a"]), ([1], [1], ["a", "b"]), (np.ones((1, 1)), np.ones((1, 1)), ["a"])):
        with pytest.raises(InputError, match="give one y and one label per x"):
            LabelledScatter(*given).html()


def test_hostile_labels_stay_text(read):
    text = "</text><script>alert(1)</script>\"'\x00"
    html = LabelledScatter([1, 2], [3, 4], [text, "b"], text, text, text).html()
    reading = read(html)
    assert "script" not in reading.tags and "alert(1)" in reading.text
    assert not [name for _, name, _ in reading.attributes if name.startswith("on") or name == "style"]


def test_a_whole_page(read):
    told = {"method": "pca", "layer": "head", "rows": 4, "features": 8, "explained": 0.5,
            "neighbours": {"plane": 0.25, "features": 0.75}}  # fmt: skip
    points = DICE.normal(size=(4, 2))
    html = embedding_report(title="Run", points=points, labels=["a", "b", "a", "b"], told=told)
    text = read(html).text
    assert "Run, by PCA" in text and "variance explained" in text and "among the 8 features: 0.75" in text
    told = {**told, "method": "tsne", "divergence": 1.25}
    del told["explained"]
    text = read(embedding_report(title="Run", points=points, labels=list("abab"), told=told)).text
    assert "by t-SNE" in text and "1.25" in text and "distances are not" in text


def test_the_reliability_diagram_is_that_of_the_primitive():
    """The same bins, edges included, and the same error, in both precisions."""
    import torch

    from fathom.fundamentals.mathematics.calibration import expected_calibration_error, reliability_curve

    for seed in range(20):
        dice = torch.Generator().manual_seed(seed)
        bins = (1, 4, 10, 15)[seed % 4]
        p = (3 * torch.randn(60, 3, dtype=torch.float64, generator=dice)).softmax(-1)
        p[:2] = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0]])
        labels = torch.randint(3, (60,), generator=dice)
        sure, guess = p.max(-1)
        block = Calibration(sure.numpy(), (guess == labels).numpy(), bins=bins)
        assert block.error() == pytest.approx(float(expected_calibration_error(p, labels, bins)), abs=1e-12)
        curve = reliability_curve(p, labels, bins)
        assert [row[2] for row in block.table()] == curve.size.tolist()
        assert [row[0] * bins for row in block.table()] == pytest.approx(curve.place.tolist())
        assert all(low <= mean <= high for low, high, _, mean, _ in block.table())
    fixed = np.array([0.7, 0.9])
    fixed.flags.writeable = False
    assert Calibration(fixed, [1, 1]).error() == pytest.approx(0.2)
