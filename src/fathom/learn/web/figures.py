"""A figure on a page: its controls as a form, room for its picture, and its own code to look at.

The form works without a script: sent, it loads the page again with the picture of these settings. With one,
each change is drawn at once, and the address follows, so that any state can be kept and shared.
"""

import ast
import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fathom.errors import InputError
from fathom.learn.engine.figure import (
    FILE,
    Choice,
    Control,
    FigureHead,
    Place,
    Slider,
    Switch,
    Table,
    Typed,
    read_figures,
)
from fathom.learn.engine.topic import Head
from fathom.learn.web import prose, typed
from fathom.learn.web.code import fence

SPEEDS = ((20, "full speed"), (6, "slow"), (2, "very slow"))  # frames a second
Query = Mapping[str, str]


def figure(topic: Head, name: str, query: Query) -> str:
    """A figure with the settings that the address of the page asks for."""
    assert topic.folder is not None
    head = read_figures(topic.folder)[name]
    settings = settings_of(head, query)
    controls = "".join(control(head, key, settings[key]) for key in head.controls)
    address = f"/figure/{topic.slug}/{name}"
    shown = f"{address}.svg?{urlencode(dict(asked(head, settings)))}"
    title = head.title.splitlines()[0]
    buttons = live_buttons(name) if head.live else ""
    return (
        f'<learn-figure id="figure-{name}" data-address="{address}"{" data-live" if head.live else ""}>'
        f"<figure><figcaption><b>Figure.</b> {prose.line(title)}</figcaption>"
        f'<form class="controls" method="get" action="/topic/{topic.slug}#figure-{name}">{controls}'
        f'<noscript><button>Draw</button></noscript></form>{buttons}<div class="stage">'
        f'<noscript><img loading="lazy" alt="{escape(title)}" src="{escape(shown)}">'
        f'<a href="{escape(shown)}">The picture alone, with its sentence as text</a></noscript></div>'
        f'<p class="say" role="status"></p>{inside(topic.folder, head, settings, topic.slug)}'
        "</figure></learn-figure>"
    )


def live_buttons(name: str) -> str:
    speeds = "".join(f'<option value="{pace}">{word}</option>' for pace, word in SPEEDS)
    return (
        '<div class="buttons" hidden><button type="button" data-do="run">Run</button>'
        '<button type="button" data-do="step" class="quiet">One step</button>'
        '<button type="button" data-do="anew" class="quiet">From the start</button>'
        f'<label>Speed <select data-do="pace">{speeds}</select></label></div>'
    )


def inside(folder: Path, head: FigureHead, settings: Mapping[str, Any], slug: str) -> str:
    """The code behind a figure, and how to run it in Python."""
    text = (folder / FILE).read_text(encoding="utf-8")
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == head.name)
    first = min(decorator.lineno for decorator in node.decorator_list)
    code = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return (
        f"<details><summary>The code of this figure</summary>{fence(code, 'python')}"
        "<p>The same in Python, with the settings of this page:</p>"
        f'<div class="program">{program(head, settings, slug)}</div></details>'
    )


def program(head: FigureHead, settings: Mapping[str, Any], slug: str) -> str:
    """What ``script`` writes, as a part of the page; it is asked for again when a control has moved."""
    return fence(script(head, settings, slug), "python")


def script(head: FigureHead, settings: Mapping[str, Any], slug: str) -> str:
    """A program that runs a figure, and prints what each frame says. A table of one's own stays a file."""
    given, files = [], ""
    for name, value in settings.items():
        made = head.controls[name]
        own = isinstance(made, Table) and value != made.example
        if own or not isinstance(made, Table):
            given.append(
                f"{name!r}: " + (f'Path("{name}.csv").read_text(encoding="utf-8")' if own else repr(value))
            )
        files = "from pathlib import Path\n\n" if own else files
    return (
        f"{files}from fathom.learn.engine.curriculum import find\n"
        "from fathom.learn.engine.figure import load_figures\n\n"
        f'{head.name} = load_figures(find("{slug}").folder)["{head.name}"]\n'
        f"for frame in {head.name}.frames({{{', '.join(given)}}}):\n    print(frame.say)\n"
    )


def control(head: FigureHead, name: str, value: Any) -> str:
    """A control as fields of a form."""
    made, key = head.controls[name], f"{head.name}.{name}"
    if isinstance(made, Choice):
        options = "".join(
            f"<option{' selected' if option == value else ''}>{escape(option)}</option>"
            for option in made.options
        )
        return f'<label>{escape(made.label)} <select name="{key}">{options}</select></label>'
    if isinstance(made, Switch):
        checked = " checked" if value else ""
        return (
            f'<label class="switch"><input type="checkbox" name="{key}" value="on"{checked}>'
            f" {escape(made.label)}</label>"
        )
    if isinstance(made, Typed):
        return typed.field(head, name, value)
    if isinstance(made, Place):
        left, right, bottom, top = made.box
        return slider(f"{key}.x", f"{made.label}, across", left, right, value[0]) + slider(
            f"{key}.y", f"{made.label}, up", bottom, top, value[1]
        )
    if made.logarithmic:
        ends = (math.log10(made.low), math.log10(made.high), math.log10(value))
        return slider(key, made.label, *ends, shown=value)
    return slider(key, made.label, made.low, made.high, float(value), step="1" if made.step == 1 else "any")


def slider(
    key: str,
    label: str,
    low: float,
    high: float,
    value: float,
    *,
    step: str = "any",
    shown: float | None = None,
) -> str:
    """A range; ``shown`` says that it holds the logarithm of a number."""
    logarithm = "" if shown is None else f' data-logarithm aria-valuetext="{shown:.3g}"'
    range_ = f'min="{low:.6g}" max="{high:.6g}" step="{step}" value="{value:.6g}"'
    return (
        f"<label>{escape(label)} <b>{value if shown is None else shown:.3g}</b>"
        f'<input type="range" name="{key}" {range_}{logarithm}></label>'
    )


def settings_of(head: FigureHead, query: Query, *, private: bool = False) -> dict[str, Any]:
    """Settings from the fields of the form; what is not given stays where it starts.

    ``private`` if they were posted: a table is taken from no address. Raises ``InputError`` for a value that
    a control does not take.
    """
    given: dict[str, Any] = {}
    mine = any(key.startswith(f"{head.name}.") for key in query)
    for name, made in head.controls.items():
        key = f"{head.name}.{name}"
        if isinstance(made, Switch) and mine:  # a box that is not checked is not sent
            given[name] = key in query
        elif isinstance(made, Place) and f"{key}.x" in query and f"{key}.y" in query:
            given[name] = (number(made, query[f"{key}.x"]), number(made, query[f"{key}.y"]))
        elif isinstance(made, Slider) and key in query:
            read = number(made, query[key])
            given[name] = 10.0 ** min(read, 300.0) if made.logarithmic else read
        elif isinstance(made, Choice) and key in query:
            given[name] = query[key]
        elif isinstance(made, Typed) and (private or not isinstance(made, Table)):
            found = typed.given(made, key, query)
            given |= {} if found is None else {name: found}
    return head.settings(given)


def number(made: Control, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{made.label} takes a number; {text!r} was given") from None


def asked(head: FigureHead, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields that give these settings."""
    for name, value in settings.items():
        made, key = head.controls[name], f"{head.name}.{name}"
        if isinstance(made, Place):
            yield from ((f"{key}.x", f"{value[0]:g}"), (f"{key}.y", f"{value[1]:g}"))
        elif isinstance(made, Slider):
            yield key, f"{math.log10(value) if made.logarithmic else value:.6g}"
        elif isinstance(made, Choice):
            yield key, value
        elif isinstance(made, Typed):
            yield from typed.sent(made, key, value)
        elif value:
            yield key, "on"
