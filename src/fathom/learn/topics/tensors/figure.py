"""Two figures: two shapes that meet, and a view that walks through memory by its strides."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from fathom.fundamentals.mathematics.floating_point import broadcast_shape
from fathom.learn.engine.figure import choice, figure, whole
from fathom.learn.engine.marks import Frame, Matrix, Panel, Tokens, frame, rows

SHAPES = {"(2, 3)": (2, 3), "(2, 1)": (2, 1), "(1, 3)": (1, 3), "(3,)": (3,), "(2,)": (2,), "()": ()}


def grid(array: np.ndarray, tone: int) -> Matrix:
    """An array of up to two axes, to be read; one axis is a row."""
    return Matrix(values=rows(np.atleast_2d(array)), tone=tone)


def written(shape: tuple[int, ...]) -> str:
    """A shape as Python writes it."""
    return str(tuple(int(size) for size in shape))


def meeting(left: tuple[int, ...], right: tuple[int, ...]) -> str:
    """What happens on each axis, the last one first."""
    told = []
    for place in range(1, max(len(left), len(right)) + 1):
        a, b = (shape[-place] if place <= len(shape) else None for shape in (left, right))
        axis = "the last axis" if place == 1 else "the axis before it"
        if a is None or b is None:
            told.append(f"on {axis} one of them has nothing and is stretched to {b if a is None else a}")
        elif a == b:
            told.append(f"on {axis} both have {a}")
        elif 1 in (a, b):
            told.append(f"on {axis} the 1 is stretched to {max(a, b)}")
        else:
            told.append(f"on {axis} {a} meets {b}, and neither is 1")
    return "; ".join(told) or "there is no axis to compare"


@figure(
    left=choice(("(2, 3)", "(2, 1)", "(1, 3)", "(3,)", "(2,)", "()"), "(2, 1)", "shape of the left one"),
    right=choice(("(2, 3)", "(2, 1)", "(1, 3)", "(3,)", "(2,)", "()"), "(3,)", "shape of the right one"),
)
def broadcast(c: SimpleNamespace) -> Frame:
    """Two arrays are added: where they fit, and what is stretched."""
    left, right = SHAPES[c.left], SHAPES[c.right]
    tens = 10 * (1 + np.arange(np.prod(left, dtype=int)).reshape(left))
    ones = 1 + np.arange(np.prod(right, dtype=int)).reshape(right)
    panels = [
        Panel(title=f"left {c.left}", marks=(grid(tens, 0),)),
        Panel(title=f"right {c.right}", marks=(grid(ones, 1),)),
    ]
    told = meeting(left, right)
    try:
        shape = broadcast_shape(left, right)
    except ValueError:
        return frame(*panels, say=f"{c.left} and {c.right} do not fit: {told}.")
    panels.append(Panel(title=f"left + right {written(shape)}", marks=(grid(tens + ones, 2),)))
    return frame(*panels, say=f"{c.left} and {c.right} fit: {told}. The sum has the shape {written(shape)}.")


VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "x": lambda x: x,
    "x[1]": lambda x: x[1],
    "x[:, 1]": lambda x: x[:, 1],
    "x[:, ::2]": lambda x: x[:, ::2],
    "x[::-1]": lambda x: x[::-1],
    "x[1:, 1:3]": lambda x: x[1:, 1:3],
    "x.T": lambda x: x.T,
    "x.reshape(2, 6)": lambda x: x.reshape(2, 6),
    "x[[0, 2]]": lambda x: x[[0, 2]],
}


@figure(
    view=choice(
        (
            "x", "x[1]", "x[:, 1]", "x[:, ::2]", "x[::-1]", "x[1:, 1:3]", "x.T", "x.reshape(2, 6)",
            "x[[0, 2]]",
        ),
        "x[:, ::2]", "what is read",
    ),
    first=whole(0, 5, 1, "index along axis 0"),
    second=whole(0, 5, 1, "index along axis 1"),
)  # fmt: skip
def strides(c: SimpleNamespace) -> Frame:
    """Twelve numbers in memory, and ways to read them."""
    memory = np.arange(12)
    x = memory.reshape(3, 4)
    seen = VIEWS[c.view](x)
    at = tuple(min(place, size - 1) for place, size in zip((c.first, c.second), seen.shape, strict=False))
    entry, shape = int(seen[at]), written(seen.shape)
    picture = Panel(title=f"{c.view} {shape}", marks=(grid(seen, 0),))
    if not np.shares_memory(seen, memory):
        return frame(picture, memory_panel(set()), say=f"{c.view} has the shape {shape}. It is a copy.")
    steps = tuple(stride // memory.itemsize for stride in seen.strides)
    start = int(seen[(0,) * seen.ndim])  # a number of this memory is its own address
    parts = (
        f"{place} · {step}" if step >= 0 else f"{place} · ({step})"
        for place, step in zip(at, steps, strict=True)
    )
    way = " + ".join([str(start), *parts])
    place = ", ".join(map(str, at))
    return frame(
        picture,
        memory_panel(set(seen.flat), entry),
        say=f"{c.view} has the shape {shape} and the strides {written(steps)}; nothing is copied."
        f" The entry at [{place}] has the address {way} = {entry}.",
    )


def memory_panel(used: set[int], chosen: int = -1) -> Panel:
    """The twelve numbers in a row: those that a view reaches, and the one that is looked at."""
    weights = tuple(1.0 if n == chosen else 0.4 if n in used else 0.0 for n in range(12))
    return Panel(
        title="memory", marks=(Tokens(words=tuple(map(str, range(12))), weights=weights, told=False),)
    )
