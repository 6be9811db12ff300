"""Two figures: a slope that is measured by a step, and the slopes on the arrows of a small graph."""

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from fathom.fundamentals.mathematics.derivatives import gradient_by_hand
from fathom.fundamentals.mathematics.symbolic import Expression, Variable, evaluate, exp, sin, slope
from fathom.fundamentals.scalar_autograd import Scalar
from fathom.learn.engine.figure import choice, figure, log_slider, slider
from fathom.learn.engine.marks import (
    Bars,
    Curve,
    Edge,
    Frame,
    Graph,
    Node,
    Panel,
    Scatter,
    frame,
    number,
    points,
)

X = Variable("x")
FUNCTIONS: dict[str, Expression] = {"sine of the square": sin(X**2), "square": X**2, "exponential": exp(X)}


@figure(
    function=choice(("sine of the square", "square", "exponential"), "sine of the square", "function"),
    x=slider(-1.5, 1.5, 1.0, "x"),
    h=log_slider(0.001, 1.0, 0.5, "step h"),
)
def secant(c: SimpleNamespace) -> Frame:
    """A slope is measured: the line through two points, and how wrong it is for larger and smaller steps."""
    formula = FUNCTIONS[c.function]
    here = torch.tensor(c.x, dtype=torch.float64)
    true, height = float(slope(formula, here)), float(evaluate(formula, x=here))
    there = float(evaluate(formula, x=here + c.h))
    measured = (there - height) / c.h
    across = torch.linspace(-2, 2, 161, dtype=torch.float64)

    def line(steep: float) -> tuple[tuple[float, float], ...]:
        return tuple((number(c.x + reach), number(height + steep * reach)) for reach in (-1.5, 1.5))

    curve = Panel(
        title="Two points, and the line through them",
        marks=(
            Curve(name=c.function, points=points(across, evaluate(formula, x=across))),
            Curve(name="measured slope", points=line(measured), tone=1),
            Curve(name="slope by the rules", points=line(true), tone=2, dashed=True),
            Scatter(points=((c.x, number(height)), (number(c.x + c.h), number(there))), tone=3),
        ),
        x="x",
        y="f(x)",
        x_range=(-2.0, 2.0),
        y_range=(-2.0, 5.0),
    )
    return frame(
        curve,
        error_panel(formula, here, true, c.h),
        say=f"At x = {c.x:.2f} a step of {c.h:.3g} measures {measured:.3f}; the rules say {true:.3f}.",
    )


def error_panel(formula: Expression, here: Tensor, true: float, h: float) -> Panel:
    """How wrong both recipes are, for steps from 1 down to where rounding eats the result."""
    small = 1e-16  # a logarithm needs something above zero
    one_side, two_sides = [], []
    for tenths in range(-120, 1, 4):
        step = 10 ** (tenths / 10)
        forward = float(evaluate(formula, x=here + step) - evaluate(formula, x=here)) / step
        (central,) = gradient_by_hand(lambda x: evaluate(formula, x=x), here, step=step)
        one_side.append((tenths / 10, number(max(abs(forward - true), small))))
        two_sides.append((tenths / 10, number(max(abs(float(central) - true), small))))
    now = float(evaluate(formula, x=here + h) - evaluate(formula, x=here)) / h
    return Panel(
        title="How wrong the measured slope is",
        marks=(
            Curve(name="a step to one side", points=tuple(one_side), tone=1),
            Curve(name="a step to both sides", points=tuple(two_sides), tone=0),
            Scatter(name="your step", points=((number(math.log10(h)), max(abs(now - true), small)),), tone=3),
        ),
        x="logarithm of the step: -6 is a millionth",
        y="error",
        log_y=True,
        x_range=(-12.0, 0.0),
        y_range=(1e-13, 1e4),
    )


WAYS = {"a": (("u", "v", "L"),), "b": (("u", "v", "L"), ("L",)), "c": (("v", "L"),)}
PLACES = {
    "a": (0.0, 1.0),
    "b": (0.0, 0.15),
    "c": (0.42, 1.0),
    "u": (0.36, 0.6),
    "v": (0.68, 0.6),
    "L": (1.0, 0.15),
}


@figure(
    a=slider(-3.0, 3.0, 2.0, "a"),
    b=slider(-3.0, 3.0, 3.0, "b"),
    c=slider(-3.0, 3.0, -1.0, "c"),
    follow=choice(("a", "b", "c"), "b", "follow"),
)
def graph(c: SimpleNamespace) -> Frame:
    """The graph of L = (a b + c) b, with a local slope on each arrow and the slope of L at each number."""
    made = {name: Scalar(getattr(c, name)) for name in "abc"}
    made["u"] = made["a"] * made["b"]
    made["v"] = made["u"] + made["c"]
    made["L"] = made["v"] * made["b"]
    made["L"].backward()
    names = {id(value): name for name, value in made.items()}
    local = {(names[id(p)], end): s for end, value in made.items() for p, s in value.parents}
    ways = [list(zip((c.follow, *way[:-1]), way, strict=True)) for way in WAYS[c.follow]]
    lit = {arrow for way in ways for arrow in way}
    made_of = {"u": "a b", "v": "u + c", "L": "v b"}
    texts = {n: f"{made_of.get(n, n)} = {s.value:.3g}\nslope {s.grad:.3g}" for n, s in made.items()}
    nodes = tuple(
        Node(name=name, x=x, y=y, text=texts[name], lit=name == c.follow) for name, (x, y) in PLACES.items()
    )
    edges = tuple(
        Edge(start=start, end=end, text=f"{value:.3g}", lit=(start, end) in lit, weight=0.1)
        for (start, end), value in local.items()
    )
    products = [math.prod(local[arrow] for arrow in way) for way in ways]
    return frame(
        Panel(title="Local slopes on the arrows", marks=(Graph(nodes=nodes, edges=edges),)),
        way_panel(c.follow, products, made[c.follow].grad),
        say=sentence(c.follow, [[local[arrow] for arrow in way] for way in ways], made[c.follow].grad),
    )


def way_panel(follow: str, products: list[float], total: float) -> Panel:
    """The product along each way, and their sum."""
    names = (*(f"way {place}" for place in range(1, len(products) + 1)), "together")
    return Panel(
        title=f"From {follow} to L",
        marks=(Bars(names=names, values=tuple(map(number, (*products, total))), tone=1),),
        y="slope",
        y_range=(min(-1.0, *products, total) * 1.2, max(1.0, *products, total) * 1.2),
    )


def sentence(follow: str, slopes: list[list[float]], total: float) -> str:
    """What the figure shows, in words."""
    told = [" times ".join(f"{slope:.3g}" for slope in way) for way in slopes]
    return (
        f"From {follow} there {'is one way' if len(told) == 1 else 'are two ways'} to L:"
        f" {', and '.join(told)}. So the slope of L in {follow} is {total:.3g}."
    )
