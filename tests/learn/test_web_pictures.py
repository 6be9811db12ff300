"""What a frame looks like: in the middle of its panel, and nothing over anything else."""

import re
from dataclasses import replace

import pytest

from fathom.learn.engine import draw_text
from fathom.learn.engine.draw_parts import WIDTH, width_of
from fathom.learn.engine.draw_svg import Area, panel_svg, svg
from fathom.learn.engine.marks import Curve, Images, Matrix, Panel, Tokens, frame
from fathom.learn.web.picture import picture

WRITTEN = re.compile(r'<text x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)</text>')


def numbers_of(html: str, tag: str, *names: str) -> list[tuple[float, ...]]:
    """Some attributes of every element of a kind."""
    found = re.findall(rf"<{tag} [^>]*>", html)
    return [tuple(float(re.findall(rf' {name}="([-\d.]+)"', one)[0]) for name in names) for one in found]


NAMED = (("one", "two"), ("a long name", "b"))


@pytest.mark.parametrize("names", [(), NAMED], ids=["plain", "named"])
@pytest.mark.parametrize("values", [((1.0,), (2.0,)), ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))])
def test_a_matrix_stands_in_the_middle_of_its_panel(
    values: tuple[tuple[float, ...], ...], names: tuple[tuple[str, ...], ...]
) -> None:
    """Under its title, with the names of its rows; few rows of large cells need no whole sheet."""
    rows, columns = (names[0], ("a", "b", "c")[: len(values[0])]) if names else ((), ())
    mark = Matrix(values=values, row_names=rows, column_names=columns)
    html = picture(frame(Panel(title="t", marks=(mark,)), say="s"), {})
    cells = numbers_of(html, "rect", "x", "width")
    left, right = min(x for x, _ in cells), max(x + wide for x, wide in cells)
    beside = max(map(width_of, rows)) + 8 if rows else 0
    assert (left - beside + right) / 2 == pytest.approx(WIDTH / 2, abs=0.2)
    assert cells[0][1] == 88 and f'viewBox="0 0 {WIDTH} 1' in html


@pytest.mark.parametrize("count", [1, 3, 6])
def test_small_images_stand_in_the_middle(count: int) -> None:
    mark = Images(pictures=(((0.0, 1.0), (1.0, 0.0)),) * count, captions=("c",) * count)
    panel = Panel(title="t", marks=(mark,))
    for html, tag in ((picture(frame(panel, say="s"), {}), "image"), (svg(frame(panel, say="s")), "rect")):
        places = numbers_of(html, tag, "x", "width")
        middle = (min(x for x, _ in places) + max(x + wide for x, wide in places)) / 2
        assert middle == pytest.approx(WIDTH / 2, abs=0.5)


def test_a_weight_that_is_only_a_colour_is_not_written() -> None:
    words = Tokens(words=("7", "8"), weights=(0.4, 1.0))
    frames = [frame(Panel(title="t", marks=(m,)), say="s") for m in (words, replace(words, told=False))]
    told, quiet = (picture(one, {}) for one in frames)
    assert ">0.4</text>" in told and ">0.4</text>" not in quiet and ">7</text>" in quiet
    text = ["\n".join(draw_text.lines(one)) for one in frames]
    assert "0.40" in text[0] and "0.40" not in text[1] and "7" in text[1]


def test_lines_that_look_alike_have_letters_in_a_terminal() -> None:
    points = tuple((float(x), x / 9) for x in range(10))
    one, two = (Curve(points=tuple((x, c * y) for x, y in points), name=f"line {c}", tone=c) for c in (1, 2))
    text = {
        alike: "\n".join(draw_text.lines(frame(Panel(title="t", marks=(one, second)), say="s")))
        for alike, second in ((True, two), (False, replace(two, dashed=True)))
    }
    assert "A line 1   B line 2" in text[True] and text[True].count("A") == text[True].count("B") == 2
    assert "─ line 1   ╌ line 2" in text[False] and "A" not in text[False]


@pytest.mark.parametrize("label", ["loss", "a rather long name of what is measured"])
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_the_names_of_curves_hide_nothing(count: int, label: str) -> None:
    """They stand above the axes and below the title, inside the panel, and none over another."""
    curves = [
        Curve(points=((0.0, 0.0), (1.0, 1.0)), name=f"method {n}", tone=n) for n in range(max(count, 1))
    ]
    marks = tuple(curves) if count else (replace(curves[0], name=""),)
    panel = Panel(title="What the panel shows", marks=marks, y=label)
    html = panel_svg(panel)
    top = Area(panel).top
    written = [(float(x), float(y), words) for x, y, words in WRITTEN.findall(html)]
    keys = [each for each in written if each[2].startswith("method") or each[2] == label]
    assert len(keys) == count + 1
    for x, y, words in keys:
        assert y < top - 4 and 0 < x and x + width_of(words) <= WIDTH
        assert y > 28 or x + width_of(words) < (WIDTH - width_of(panel.title, 13)) / 2
        for other, up, _ in keys:
            assert up != y or other <= x or other >= x + width_of(words)


def test_a_picture_of_three_panels_can_be_read() -> None:
    """Two stand beside each other; what a frame says stands below, whole."""
    panels = [Panel(title=f"p{n}", marks=(Curve(points=((0.0, 0.0), (1.0, 1.0))),)) for n in range(3)]
    say = "It says a good deal more than what fits into one line of a picture. " * 3
    drawn = svg(frame(*panels, say=say.strip()))
    assert f'viewBox="0 0 {2 * WIDTH} ' in drawn
    said = [words for _, y, words in WRITTEN.findall(drawn) if float(y) > 600]
    assert len(said) > 1 and " ".join(said) == say.strip()
