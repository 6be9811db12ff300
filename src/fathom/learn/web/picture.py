"""A frame of a figure for a page: one picture for each panel, so that a narrow page can stack them.

The drawing is that of ``draw_svg``. What is made of thousands of cells, a map of heat or small images, is a
PNG inside: a few kilobytes instead of some hundred, and nothing to lay out. A panel with handles says
where its axes lie, so that a script can tell a place on the screen from a place in the figure; one of nothing
but lines carries its numbers too, for a chart.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image

from fathom.learn.engine import draw_free
from fathom.learn.engine.draw_parts import WIDTH, diverging, text
from fathom.learn.engine.draw_svg import Area, heading, panel_svg
from fathom.learn.engine.marks import Frame, Graph, Heat, Images, Matrix, Panel, Tokens
from fathom.learn.web.curves import carried, chart

ALONE = (Graph, Matrix, Images, Tokens)  # marks without axes


def picture(frame: Frame, settings: Mapping[str, Any]) -> str:
    """The panels of a frame as HTML. ``settings`` say where handles stand."""
    high = draw_free.height(frame.panels)
    return "".join(panel(each, settings, high) for each in frame.panels)


def panel(given: Panel, settings: Mapping[str, Any], high: int) -> str:
    first = given.marks[0] if given.marks else None
    if isinstance(first, Images):
        return svg(given, high, f'<g class="themed">{heading(given)}{"".join(images(first))}</g>')
    if isinstance(first, ALONE):
        return svg(given, high, panel_svg(given), kind=type(first).__name__.lower())
    area = Axes(given)
    around = heading(given) + area.ticks(given) + "".join(area.legend())
    inside = "".join(part for mark in given.marks for part in area.draw(mark))
    heated = any(isinstance(mark, Heat) for mark in given.marks)  # light ground, whatever the theme
    theme = "" if heated else ' class="themed"'
    handles = "".join(area.handle(name, settings[name]) for name in given.handles if name in settings)
    body = f'<g class="themed">{around}</g><g{theme}>{area.clipped(inside)}</g>{handles}'
    if numbers := carried(given):
        return chart(numbers, svg(given, high, body, kind="axes", name=""))
    return svg(given, high, body, area.place() if handles else "", kind="axes")


def svg(
    given: Panel, high: int, body: str, attributes: str = "", kind: str = "", name: str = "panel "
) -> str:
    theme = " themed" if kind == "graph" else ""  # a matrix writes on cells that have their own colours
    return (
        f'<svg class="{name}{kind}{theme}" viewBox="0 0 {WIDTH} {high}" role="img"'
        f' aria-label="{escape(given.title)}" font-size="12"{attributes}>{body}</svg>'
    )


class Axes(Area):
    """The area of a panel; heat is one image."""

    def heat(self, mark: Heat) -> Iterator[str]:
        flat = [value for row in mark.values for value in row]
        low, high = min(flat), max(flat)
        shades = {value: rgb(diverging(value, low, high)) for value in set(flat)}
        left, bottom = self.at(mark.x[0], mark.y[0])
        right, top = self.at(mark.x[1], mark.y[1])
        cells = [[shades[value] for value in row] for row in reversed(mark.values)]
        yield image(cells, left, top, right - left, bottom - top)

    def handle(self, name: str, value: Sequence[float]) -> str:
        """A knob where a control of two numbers stands."""
        x, y = self.at(*value)
        return f'<circle class="handle" data-control="{escape(name)}" cx="{x:g}" cy="{y:g}" r="9"/>'

    def place(self) -> str:
        """Where the axes lie in the picture, and from where to where they go."""
        box = f"{self.left} {self.bottom} {self.wide} {self.high}"
        ends = f"{self.x.low:g} {self.x.high:g} {self.y.low:g} {self.y.high:g}"
        return f' data-box="{box}" data-ends="{ends}"'


def images(mark: Images) -> Iterator[str]:
    """Small pictures with captions, as ``draw_free`` sets them."""
    side, corners = draw_free.spots(len(mark.pictures))
    for (left, top), rows, caption in zip(corners, mark.pictures, mark.captions, strict=True):
        cells = [[(round(255 * min(max(v, 0.0), 1.0)),) * 3 for v in row] for row in rows]
        yield image(cells, left, top, side, side * len(rows) / len(rows[0]))
        yield text(left + side / 2, top + side + 14, caption, size=11, anchor="middle")


def image(cells: Sequence[Sequence[tuple[int, ...]]], x: float, y: float, wide: float, high: float) -> str:
    data = base64.b64encode(png(cells)).decode()
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" preserveAspectRatio="none"'
        f' class="cells" href="data:image/png;base64,{data}"/>'
    )


def png(cells: Sequence[Sequence[tuple[int, ...]]]) -> bytes:
    """Rows of red, green and blue as a PNG."""
    image = Image.frombytes(
        "RGB", (len(cells[0]), len(cells)), bytes(part for row in cells for cell in row for part in cell)
    )
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    return file.getvalue()


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
