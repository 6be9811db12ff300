"""HTML as text: escaping, elements and numbers. Every block of a report is made of these four functions."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

Number = int | float | np.number

# What a chart shows of a chart: elements that have no content are closed in place.
LEAVES = frozenset({"path", "line", "rect", "circle", "image", "animate", "animateTransform"})
VOID = frozenset({"meta", "img", "br", "input"})
DASH = "\u2013"


@runtime_checkable
class Block(Protocol):
    """Anything a section holds: it turns itself into HTML in which everything foreign is escaped."""

    def html(self) -> str: ...


def escape(value: object) -> str:
    """Any value as text that is safe between tags and inside quoted attributes.

    Characters that HTML forbids (controls, lone surrogates) become the replacement character, so a
    label read from a damaged file cannot make a page that no browser or encoder accepts.
    """
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", str(value))
    return html.escape(text, quote=True)


def tag(name: str, /, *children: str, **attributes: object) -> str:
    """One element. ``children`` are markup already; attribute values are escaped here.

    ``class_`` is written ``class``, other underscores become hyphens, and an attribute whose value is
    None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in LEAVES:
        return f"<{name}{written}/>"
    if name in VOID:
        return f"<{name}{written}>"
    return f"<{name}{written}>{''.join(children)}</{name}>"


def number(value: object) -> str:
    """A value as a reader wants it: four significant digits, thousands separated, no trailing zeros.

    Strings pass unchanged; sequences and mappings are joined; the result is *not* escaped.
    """
    if value is None:
        return DASH
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        return _decimal(float(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {number(item)}" for key, item in value.items()) or DASH
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(number(item) for item in value) or DASH
    return str(value)


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("infinite" if value > 0 else "-infinite")
    size = abs(value)
    if size == 0 or 1e-4 <= size < 1000:
        return f"{value:.4g}"
    if size >= 1e12 or size < 1e-4:
        return re.sub(r"e([+-])0*(\d)", lambda found: f"e{found[1].strip('+')}{found[2]}", f"{value:.3g}")
    return f"{value:,.0f}" if size >= 10_000 else f"{value:,.1f}".removesuffix(".0")


def column(values: Sequence[object]) -> list[str]:
    """The values of one column as text: numbers with as many decimals as the one that needs most."""
    texts = [number(value) for value in values]
    floats = [value for value in values if is_number(value) and not isinstance(value, int | np.integer)]
    if not floats or any("e" in text or "," in text for text in texts):
        return texts
    places = max(len(number(value).partition(".")[2]) for value in floats)
    return [
        f"{value:.{places}f}" if isinstance(value, float | np.floating) and math.isfinite(value) else text
        for value, text in zip(values, texts, strict=True)
    ]


def is_number(value: Any) -> bool:
    """True for Python and NumPy numbers, not for truth values."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def figure(kind: str, caption: str, *content: str) -> str:
    """A ``figure`` with its caption first, which is the order in which it is read aloud."""
    heading = tag("figcaption", escape(caption)) if caption else ""
    return tag("figure", heading, *content, class_=kind)


def scroller(content: str, label: str) -> str:
    """A box that scrolls sideways where the screen is narrow; reachable by keyboard, hence named."""
    return tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=label or "Table")


def grid(columns: Sequence[object], rows: Sequence[Sequence[object]], right: Sequence[bool] = ()) -> str:
    """A plain table with header cells in the first row and the first column of each row."""
    sides = list(right) or [index > 0 for index in range(len(columns))]
    classes = ["r" if side else None for side in sides]
    head = "".join(
        tag("th", escape(number(name)), scope="col", class_=side)
        for name, side in zip(columns, classes, strict=True)
    )
    body = []
    for row in rows:
        cells = [tag("th", escape(number(row[0])), scope="row", class_=classes[0])]
        cells += [
            tag("td", escape(number(cell)), class_=side)
            for cell, side in zip(row[1:], classes[1:], strict=True)
        ]
        body.append(tag("tr", *cells))
    return tag("table", tag("thead", tag("tr", head)), tag("tbody", *body))


def numbers_behind(columns: Sequence[object], rows: Sequence[Sequence[object]], label: str) -> str:
    """The figures a chart was drawn from, folded away: for screen readers, and for checking."""
    table = scroller(grid(columns, rows), f"Numbers: {label}")
    return tag("details", tag("summary", "Numbers"), table, class_="numbers")
