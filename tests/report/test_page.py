"""The page: whole, self-contained, the same bytes each time, and written at once."""

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from fathom.report import page as page_file
from fathom.report.blocks import BarChart, Code, Gallery, Heatmap, LineChart, Picture, Prose
from fathom.report.intervals import Interval
from fathom.report.page import Section, page, write
from fathom.report.style import HEAT, LEVELS, SERIES, SHEET, THEMES, contrast, heat


def example() -> str:
    charts = [LineChart({"a": [(0, 1), (1, 2)]}, caption=f"c{i}") for i in range(3)]
    blocks = [Prose("text"), *charts, Code("fathom train x"), BarChart(["a"], [1]),
              Heatmap(["a"], ["b"], [[1]]), Gallery([Picture(np.zeros((2, 2), np.uint8))])]  # fmt: skip
    sections = [Section("Results", blocks, "intro"), Section("Results", []), Section("\u00c9t\u00e9 2!", [])]
    return page("Title", "Sub", sections, headline=[("accuracy", Interval(0.9, 0.85, 0.94), "test")],
                command="fathom report runs/1")  # fmt: skip


def test_the_page_is_well_formed_and_complete(read):
    reading = read(example())
    assert reading.tags[:2] == ["html", "head"]
    assert reading.values("html", "lang") == ["en"]
    for text in (
        "Title",
        "Sub",
        "accuracy",
        "0.9",
        "95%: 0.85 to 0.94",
        "test",
        "intro",
        "fathom report runs/1",
    ):
        assert text in reading.text
    assert f"Made with Fathom {page_file.version()}." in reading.text


def test_contents_point_to_sections(read):
    reading = read(example())
    anchors = reading.values("section", "id")
    assert anchors == ["results", "results-2", "t-2"]
    assert [link for link in reading.values("a", "href") if link != "#content"] == [f"#{a}" for a in anchors]
    ids = [value for _, name, value in reading.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(reading.values("section", "aria-labelledby")) <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(read):
    html = example()
    reading = read(html)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(reading.tags)
    assert all(value.startswith("data:image/png;base64,") for value in reading.values("img", "src"))
    assert all(value.startswith("#") for value in reading.values("a", "href"))
    assert not re.search(r"url\(|@import|@font-face|expression\(", SHEET)
    assert not [name for _, name, _ in reading.attributes if name == "style"]


def test_the_policy_allows_this_sheet_and_no_other(read):
    html = example()
    policy = read(html).values("meta", "content")[0]
    sheet = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_charts_stand_in_pairs_and_an_odd_one_leads(read):
    kinds = ("pair", "block", "block full")
    classes = [kind for kind in read(example()).values("div", "class") if kind in kinds]
    start = classes.index("pair")
    assert classes[start - 1 : start + 5] == ["block", "pair", "block full", "block", "block", "block"]


def test_the_same_data_gives_the_same_bytes():
    assert example() == example()


def test_the_version_is_the_package_version(monkeypatch):
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert page_file.version() in (tomllib.loads(text)["project"]["version"], "unknown")

    def absent(name):
        raise page_file.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(page_file.metadata, "version", absent)
    assert page_file.version() == "unknown"


def test_writing_is_atomic(tmp_path, monkeypatch):
    target = tmp_path / "deep" / "report.html"
    assert write(target, "old") == target

    def full(self, other):
        raise OSError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="disk is full"):
            write(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    write(target, "new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_contrast_is_aa(theme):
    colours = THEMES[theme]
    for ground in ("page", "surface"):
        assert all(contrast(colours[ink], colours[ground]) >= 4.5 for ink in ("ink", "soft", "accent"))
    assert contrast(colours["ink"], colours["rule"]) >= 4.5  # code inside prose
    assert contrast(colours["good"], colours["good-tint"]) >= 4.5
    assert contrast(colours["bad"], colours["bad-tint"]) >= 4.5
    assert contrast(colours["accent"], colours["note-tint"]) >= 4.5
    assert all(contrast(colours["ink"], colours[f"{kind}-tint"]) >= 4.5 for kind in ("good", "bad", "note"))
    scale = heat(theme)
    assert len(scale) == LEVELS
    assert all(contrast(fill, ink) >= 4.5 for fill, ink in scale)
    assert (scale[0][0], scale[-1][0]) == HEAT[theme]


# Machado, Oliveira, Fernandes 2009, table of simulation matrices, severity 1.0; linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(linear: np.ndarray) -> np.ndarray:
    """OKLab of linear RGB (n, 3), clipped to the gamut (Ottosson 2020)."""
    cones = np.clip(linear, 0, 1) @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    return np.cbrt(cones) @ np.array(
        [[0.2104542553, 1.9779984951, 0.0259040371], [0.7936177850, -2.4285922050, 0.7827717662],
         [-0.0040720468, 0.4505937099, -0.8086757660]]
    )  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_series_are_told_apart_by_everyone(theme, vision):
    rgb = np.array([[int(c[at : at + 2], 16) / 255 for at in (1, 3, 5)] for c in SERIES[theme]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = oklab(linear @ np.array(VISION[vision]).T)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(8)
    assert apart.min() > 0.1
    assert all(contrast(colour, THEMES[theme]["surface"]) >= 3 for colour in SERIES[theme])
