"""Figures: Python functions with controls. No script belongs to any of them.

    @figure(rate=log_slider(0.01, 2.0, 0.1, "learning rate"), start=point(1.5, 1.0, (-2, 2, -1, 3), "start"))
    def descent(c):
        "A walk downhill."
        for step in range(40):
            ...
            yield frame(panel, ..., say=f"step {step}: loss {loss:.3f}")

A function that returns a frame is a figure that stands still: it is called again when a control moves. A
generator is one that goes on: each ``yield`` is a frame, and a control that moves begins it anew. Controls
are literals, so a page shows them without running, or importing, anything. Those that are filled by hand, as
words are, stand in ``typed`` and ``table``.
"""

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fathom.errors import InputError, unknown
from fathom.learn.engine.marks import Frame
from fathom.learn.engine.table import Table, table
from fathom.learn.engine.typed import Drawing, Numbers, Text, drawing, held, numbers, text

ROWS = ("LP07",)  # of the inventory: a dozen of them and more run the library in the browser
FILE = "figure.py"
LARGEST = 64 * 1024  # bytes of one frame
LONGEST = 2000  # frames of one run


@dataclass(frozen=True)
class Slider:
    """A number in a range; ``step`` 1 makes it a whole one, and ``logarithmic`` spreads small ones."""

    low: float
    high: float
    start: float
    label: str
    step: float = 0.0
    logarithmic: bool = False

    def read(self, value: Any) -> float | int:
        found = held(value, self.low, self.high, self.label)
        return round(found) if self.step == 1 else found

    def extremes(self) -> list[Any]:
        return [self.low, self.high]


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    options: tuple[str, ...]
    start: str
    label: str

    def read(self, value: Any) -> str:
        if value not in self.options:
            raise unknown(self.label, str(value)[:80], self.options)
        return value

    def extremes(self) -> list[Any]:
        return list(self.options)


@dataclass(frozen=True)
class Switch:
    """On or off."""

    start: bool
    label: str

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise InputError(f"{self.label} takes true or false; {value!r} was given")
        return value

    def extremes(self) -> list[Any]:
        return [False, True]


@dataclass(frozen=True)
class Place:
    """Two numbers: a point that can be dragged in a panel, and moved by keys."""

    start: tuple[float, float]
    box: tuple[float, float, float, float]  # left, right, bottom, top
    label: str

    def read(self, value: Any) -> tuple[float, float]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise InputError(f"{self.label} takes two numbers; {value!r} was given")
        sides = (Slider(*self.box[:2], 0.0, self.label), Slider(*self.box[2:], 0.0, self.label))
        x, y = (side.read(part) for side, part in zip(sides, value, strict=True))
        return float(x), float(y)

    def extremes(self) -> list[Any]:
        left, right, bottom, top = self.box
        return [(left, bottom), (right, top)]


Typed = Text | Numbers | Drawing | Table
Control = Slider | Choice | Switch | Place | Typed


def slider(low: float, high: float, start: float, label: str) -> Slider:
    return Slider(low, high, start, label)


def log_slider(low: float, high: float, start: float, label: str) -> Slider:
    return Slider(low, high, start, label, logarithmic=True)


def whole(low: int, high: int, start: int, label: str) -> Slider:
    return Slider(float(low), float(high), float(start), label, step=1.0)


def choice(options: tuple[str, ...], start: str, label: str) -> Choice:
    return Choice(options, start, label)


def switch(start: bool, label: str) -> Switch:
    return Switch(start, label)


def point(x: float, y: float, box: tuple[float, float, float, float], label: str) -> Place:
    return Place((x, y), box, label)


MAKERS: dict[str, Callable[..., Control]] = {
    maker.__name__: maker
    for maker in (slider, log_slider, whole, choice, switch, point, text, numbers, drawing, table)
}


@dataclass(frozen=True)
class FigureHead:
    """What is known of a figure without running it."""

    name: str
    title: str  # its docstring
    controls: Mapping[str, Control]
    live: bool  # a generator

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every control: the given ones, held in their range, and else where they start.

        ``InputError`` for a control that does not exist, or a value of another kind.
        """
        for name in given:
            if name not in self.controls:
                raise unknown(f"control of {self.name}", name, self.controls)
        return {n: c.read(given[n]) if n in given else c.read(c.start) for n, c in self.controls.items()}

    def extremes(self) -> Iterator[dict[str, Any]]:
        """Settings in which one control stands at one of its ends; what is typed is then also looked at."""
        for name, control in self.controls.items():
            chosen = dict([control.chooses] if isinstance(control, Typed) and control.chooses[0] else [])
            for value in control.extremes():
                yield {name: value} | chosen

    def as_message(self) -> dict[str, Any]:
        controls = {n: {"control": type(c).__name__.lower()} | asdict(c) for n, c in self.controls.items()}
        return {"name": self.name, "title": self.title, "live": self.live, "controls": controls}


class Figure:
    """A figure that can run."""

    def __init__(self, function: Callable[..., Any], controls: Mapping[str, Control]) -> None:
        title = inspect.getdoc(function) or ""
        live = inspect.isgeneratorfunction(function)
        self.head = FigureHead(function.__name__, title, controls, live)
        self.function = function

    def frames(self, given: Mapping[str, Any] | None = None) -> Iterator[Frame]:
        """The frames of one run, at most 2,000; of a figure that stands still, its only one."""
        drawn = self.function(SimpleNamespace(**self.head.settings(given or {})))
        if not self.head.live:
            yield drawn
            return
        for count, found in enumerate(drawn):
            if count >= LONGEST:
                return
            yield found


def figure(**controls: Control) -> Callable[[Callable[..., Any]], Figure]:
    """Make a figure of a function; each keyword is a control, and its value an attribute of the argument."""

    def decorate(function: Callable[..., Any]) -> Figure:
        return Figure(function, controls)

    return decorate


def read_figures(folder: Path) -> dict[str, FigureHead]:
    """The figures of a topic by name, from the syntax tree; empty where there is no ``figure.py``.

    ``InputError`` for a control that is not written as a call with literals.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "figure":
                    controls = {str(k.arg): read_control(k.value, node.name) for k in mark.keywords}
                    live = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(node))
                    title = inspect.cleandoc(ast.get_docstring(node) or "")
                    found[node.name] = FigureHead(node.name, title, controls, live)
    return found


def read_control(node: ast.expr, name: str) -> Control:
    if not isinstance(node, ast.Call) or ast.unparse(node.func) not in MAKERS:
        raise InputError(f"figure {name}: a control is one of {', '.join(MAKERS)}, with literals")
    try:
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        return MAKERS[ast.unparse(node.func)](*(ast.literal_eval(part) for part in node.args), **named)
    except (ValueError, TypeError) as error:
        raise InputError(f"figure {name}: {ast.unparse(node)} is no control: {error}") from None


def load_figures(folder: Path) -> dict[str, Figure]:
    """The figures themselves: this imports their file, and with it what they draw."""
    spec = importlib.util.spec_from_file_location("figure", folder / FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if isinstance(value, Figure)}
