"""Text, tables and pictures: what is given is shown, and what cannot be shown is refused in words."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from fathom.errors import InputError
from fathom.report.blocks import Block, Facts, Gallery, Picture, Prose, Table, Verdict
from fathom.report.markup import column, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.97211, "0.9721"), (1234567, "1,234,567"), (1234.5, "1,234.5"), (98765.4, "98,765"), (3e-5, "3e-5"),
     (-2.5e13, "-2.5e13"), (0.0, "0"), (True, "yes"), (None, "\u2013"), (float("nan"), "not a number"),
     (float("-inf"), "-infinite"), ((0.9, 0.95), "0.9, 0.95"), ({"a": 1}, "a: 1"), ("x", "x"), ((), "\u2013"),
     (np.float32(0.5), "0.5"), (np.int64(12000), "12,000"), (np.bool_(False), "no")],
)  # fmt: skip
def test_numbers_read_well(value, text):
    assert number(value) == text


def test_a_column_shares_its_decimals():
    assert column([0.9, 0.8512, 1]) == ["0.9000", "0.8512", "1"]
    assert column([0.5, 1e-6]) == ["0.5", "1e-6"]
    assert column(["a", None, float("nan"), 0.25]) == ["a", "\u2013", "not a number", "0.25"]


def test_table_has_headers_and_sides(read):
    html = Table(
        ("name", "score", "text"), [("a", 0.5, "x"), ("b", None, "y")], "Scores", emphasis={1}
    ).html()
    reading = read(html)
    assert reading.values("th", "scope") == ["col", "col", "col", "row", "row"]
    assert html.count('class="r"') == 3  # the numeric column: its head and two cells
    assert '<tr class="strong">' in html
    assert "figcaption" in reading.tags
    assert reading.values("div", "aria-label") == ["Scores"]
    assert reading.values("div", "tabindex") == ["0"]


def test_formatted_numbers_stand_right_too():
    assert Table(("a", "b"), [("x", "0.950"), ("y", "-")]).html().count('class="r"') == 3
    assert Table(("a", "b"), [("x", "0.950"), ("y", "none")]).html().count('class="r"') == 0
    assert Table(("a", "b"), [("x", "y")], align=("left", "right")).html().count('class="r"') == 2


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="row 1 of table 'T' has 1 cells; the table has 2 columns: a, b"):
        Table(("a", "b"), [(1, 2), (1,)], "T").html()
    with pytest.raises(InputError, match="give 'left' or 'right' for each of its 2"):
        Table(("a", "b"), [(1, 2)], "T", align=("left", "middle")).html()


def test_an_empty_table_is_a_table(read):
    assert "th" in read(Table(("a", "b"), []).html()).tags


def test_prose_knows_paragraphs_lists_and_code(read):
    html = Prose("One\ntwo.\n\n- first `a<b`\n- second").html()
    reading = read(html)
    assert reading.tags == ["div", "p", "ul", "li", "code", "li"]
    assert "<p>One two.</p>" in html
    assert "<code>a&lt;b</code>" in html


def test_facts_nest_and_verdicts_are_words(read):
    html = Facts({"model": {"width": 64, "inner": {"deep": 0.5}}, "empty": {}, "steps": 3000}).html()
    reading = read(html)
    assert reading.tags.count("dl") == 3
    assert all(word in reading.text for word in ("width64", "deep0.5", "steps3,000"))
    words = [read(Verdict("x", good).html()).text for good in (True, False, None)]
    assert words == ["Passx", "Failx", "Notex"]  # not by colour alone


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_pictures_come_back_bit_for_bit(shape, read):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    reading = read(Gallery([Picture(pixels, "cat", "0.9")], "Cats").html())
    data = base64.b64decode(reading.values("img", "src")[0].partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert reading.values("img", "alt") == ["cat, 0.9"]
    assert reading.values("img", "class") == ["pixel"]  # small: enlarged without blur
    assert (reading.values("img", "width"), reading.values("img", "height")) == (["6"], ["8"])


def test_large_pictures_are_reduced_and_boxes_keep_their_place(read):
    pixels = np.zeros((500, 2000, 3), np.uint8)
    boxes = [(200, 50, 1200, 300, "ship", 0.876), (0, 0, 500, 500, "sea", None)]
    reading = read(Gallery([Picture(pixels, "harbour", "", boxes)]).html())
    data = base64.b64decode(reading.values("img", "src")[0].partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (512, 128)
    assert reading.values("rect", "x")[:2] == ["10%", "10%"]  # a dark edge and a bright line
    assert reading.values("rect", "width")[0] == "50%"
    assert reading.values("rect", "height")[0] == "50%"
    assert "ship 0.88" in reading.text
    assert "2 boxes: ship, sea" in reading.values("img", "alt")[0]
    assert reading.values("img", "class") == []


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_other_pixels_are_refused(pixels):
    with pytest.raises(InputError, match=r"give uint8 of shape \(h, w\) or \(h, w, 3\)"):
        Picture(pixels).html()


def test_empty_gallery_says_so_and_all_are_blocks():
    assert "There are no pictures." in Gallery([], "None").html()
    assert all(isinstance(block, Block) for block in (Prose(""), Gallery([]), Facts({}), Verdict("")))
