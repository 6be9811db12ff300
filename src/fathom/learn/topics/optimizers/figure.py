"""Two figures: the walk of one optimizer with what it remembers, and all of them on one surface."""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fathom.fundamentals.mathematics.descent import beale, race, rosenbrock
from fathom.fundamentals.optimizers.adagrad import adagrad
from fathom.fundamentals.optimizers.adam import adam, adamax
from fathom.fundamentals.optimizers.nadam import nadam
from fathom.fundamentals.optimizers.rmsprop import rmsprop
from fathom.fundamentals.optimizers.sgd import sgd
from fathom.learn.engine.figure import choice, figure, log_slider, point, slider
from fathom.learn.engine.marks import Bars, Curve, Frame, Heat, Panel, Scatter, frame, number, rows

STEPS = 80
BOX = (-5.0, 5.0, -3.0, 3.0)
Surface = Callable[[Tensor], Tensor]


def ravine(p: Tensor) -> Tensor:
    """Forty times steeper across than along; the lowest place is in the middle."""
    return (p[..., 0] ** 2 + 40 * p[..., 1] ** 2) / 2


def saddle(p: Tensor) -> Tensor:
    """Falls to the left and right of the middle, rises above and below it, and has a floor at both ends."""
    x, y = p[..., 0], p[..., 1]
    return (x**2 - 9) ** 2 / 36 + 2 * y**2


SURFACES: dict[str, tuple[Surface, tuple[float, float]]] = {
    "ravine": (ravine, (0.0, 0.0)),
    "saddle": (saddle, (-3.0, 0.0)),
    "Rosenbrock": (lambda p: rosenbrock(p) / 50, (1.0, 1.0)),
    "Beale": (lambda p: beale(p) / 20, (3.0, 0.5)),
}
Maker = Callable[[list[Tensor]], Optimizer]


def makers(rate: float, memory: float) -> dict[str, Maker]:
    """Every optimizer with the memory for its slopes, at ``rate`` times what is usual for it here."""
    means = (memory, 0.99)  # a shorter memory of squares than usual: these walks are short
    made: dict[str, Maker] = {
        "plain SGD": lambda p: sgd(p, 0.02 * rate),
        "momentum": lambda p: sgd(p, 0.02 * rate, momentum=memory),
        "Nesterov": lambda p: sgd(p, 0.02 * rate, momentum=max(memory, 0.01), nesterov=True),
        "AdaGrad": lambda p: adagrad(p, 0.6 * rate),
        "RMSprop": lambda p: rmsprop(p, 0.1 * rate, smoothing=0.99),
        "Adam": lambda p: adam(p, 0.25 * rate, betas=means),
        "AdaMax": lambda p: adamax(p, 0.25 * rate, betas=means),
        "Nadam": lambda p: nadam(p, 0.25 * rate, betas=means),
    }
    return {name: partial(one_by_one, make) for name, make in made.items()}


def one_by_one(make: Maker, parameters: list[Tensor]) -> Optimizer:
    """An optimizer that takes its tensors in turn: with a single one, twice as fast as all at once."""
    optimizer = make(parameters)
    for group in optimizer.param_groups:
        group["foreach"] = False
    return optimizer


@figure(
    optimizer=choice(
        ("plain SGD", "momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam", "AdaMax", "Nadam"), "Adam",
        "optimizer",
    ),
    surface=choice(("ravine", "saddle", "Rosenbrock", "Beale"), "ravine", "surface"),
    rate=log_slider(0.1, 10.0, 1.0, "times the usual learning rate"),
    memory=slider(0.0, 0.99, 0.9, "memory"),
    start=point(-4.0, 1.5, (-5.0, 5.0, -3.0, 3.0), "start"),
)  # fmt: skip
def walk(c: SimpleNamespace) -> Iterator[Frame]:
    """The walk of an optimizer, beside plain descent, and what it remembers of both directions."""
    surface, goal = SURFACES[c.surface]
    made = makers(c.rate, c.memory)
    x, beside = (torch.tensor(c.start, requires_grad=True) for _ in range(2))
    mine, plain = made[c.optimizer]([x]), sgd([beside], 0.02)
    floor = float(surface(torch.tensor(goal)))
    path, dashed, heights = [c.start], [c.start], [float(surface(x.detach())) - floor]
    background = heat(surface)
    for step in range(STEPS + 1):
        remembered = memory_panel(c.optimizer, mine, x)
        gone = not inside(path[-1])
        if gone:
            path.pop()
            heights.pop()
        here = f"({path[-1][0]:.2f}, {path[-1][1]:.2f})"
        said = f"step {step}: at {here}, {heights[-1]:.3g} above the lowest place."
        if gone:
            said = f"step {step}: out of the picture. The learning rate is too large here."
        marks = (
            background,
            Curve(name="plain SGD", points=drawn(dashed), tone=2, dashed=True),
            Curve(name=c.optimizer, points=drawn(path), tone=0, dots=True),
            Scatter(name="the lowest place", points=(goal,), tone=3),
        )
        yield frame(
            from_above(f"{c.optimizer} on the {c.surface} surface", marks),
            remembered,
            height_panel([(c.optimizer, heights, 0)]),
            say=said,
        )
        if gone:
            return
        for parameter, engine, places in ((x, mine, path), (beside, plain, dashed)):
            engine.zero_grad()
            surface(parameter).backward()
            engine.step()
            if inside(places[-1]):
                places.append(tuple(parameter.tolist()))
        heights.append(max(float(surface(x.detach())) - floor, 0.0))


def from_above(title: str, marks: tuple[Any, ...]) -> Panel:
    """The surface, and the walks on it."""
    return Panel(
        title=title,
        marks=marks,
        x="first weight",
        y="second weight",
        x_range=BOX[:2],
        y_range=BOX[2:],
        handles=("start",),
    )


def inside(place: tuple[float, float]) -> bool:
    """In the picture, or just outside; a number that is none is not."""
    return BOX[0] - 1 <= place[0] <= BOX[1] + 1 and BOX[2] - 1 <= place[1] <= BOX[3] + 1


def drawn(path: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((number(x), number(y)) for x, y in path if inside((x, y)))


def heat(surface: Surface) -> Heat:
    """The height as its logarithm: walls are steep, and floors nearly flat."""
    across, up = torch.linspace(*BOX[:2], 40), torch.linspace(*BOX[2:], 30)
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1)
    values = (surface(grid) + 0.05).log10()
    return Heat(values=rows(values.mul(20).round() / 20), x=BOX[:2], y=BOX[2:], tone=1)


REMEMBERED = {  # what torch calls what an optimizer keeps of each weight
    "momentum_buffer": "velocity", "exp_avg": "mean", "sum": "size", "square_avg": "size",
    "exp_avg_sq": "size", "exp_inf": "size",
}  # fmt: skip


def memory_panel(name: str, optimizer: Optimizer, x: Tensor) -> Panel:
    """What is kept of both weights, after the last step."""
    names: list[str] = []
    values: list[float] = []
    for key, kept in optimizer.state.get(x, {}).items():
        if key in REMEMBERED and isinstance(kept, Tensor) and kept.shape == x.shape:
            word = REMEMBERED[key]
            shown = kept.sqrt() if word == "size" and key != "exp_inf" else kept
            names += [f"{word} 1", f"{word} 2"]
            values += [min(max(float(v), -99.0), 99.0) for v in shown]
    if not names:
        names, values = ["nothing yet" if name != "plain SGD" else "nothing"], [0.0]
    low, high = min(-1.0, *values), max(1.0, *values)
    return Panel(
        title="What it remembers of weights 1 and 2",
        marks=(Bars(names=tuple(names), values=tuple(map(number, values)), tone=1),),
        y="value",
        y_range=(low * 1.2, high * 1.2),
    )


def height_panel(walks: list[tuple[str, list[float], int]]) -> Panel:
    """How far above the lowest place each walk is; a logarithm needs something above zero."""
    return Panel(
        title="Height above the lowest place",
        marks=tuple(
            Curve(
                name=name,
                points=tuple((float(k), number(min(max(v, 1e-6), 1e4))) for k, v in enumerate(heights)),
                tone=tone,
                dashed=tone > 4,
            )
            for name, heights, tone in walks
        ),
        x="step",
        y="height",
        x_range=(0.0, float(STEPS)),
        y_range=(1e-6, 1e3),
        log_y=True,
    )


@figure(
    surface=choice(("ravine", "saddle", "Rosenbrock", "Beale"), "ravine", "surface"),
    rate=log_slider(0.1, 10.0, 1.0, "times the usual learning rate"),
    memory=slider(0.0, 0.99, 0.9, "memory"),
)
def together(c: SimpleNamespace) -> Frame:
    """Eight optimizers from one place."""
    surface, goal = SURFACES[c.surface]
    start = torch.tensor([-4.0, 1.5] if c.surface != "saddle" else [-0.05, 1.5])
    walks = race(surface, start, makers(c.rate, c.memory), STEPS)
    floor = float(surface(torch.tensor(goal)))
    heights: dict[str, list[float]] = {}
    for name, walk in walks.items():
        stop = walk.diverged or STEPS + 1
        heights[name] = [max(float(v) - floor, 0.0) for v in walk.values[:stop]]
    background = heat(surface)
    places = Panel(
        title="Their walks",
        marks=(
            background,
            *(
                Curve(points=drawn(walk.points.tolist()), tone=tone, dashed=tone > 4)
                for tone, walk in enumerate(walks.values())
            ),
            Scatter(points=(goal,), tone=3),
        ),
        x="first weight",
        y="second weight",
        x_range=BOX[:2],
        y_range=BOX[2:],
    )
    order = sorted(heights, key=lambda name: heights[name][-1] if walks[name].diverged is None else 1e30)
    ran_away = [name for name, walk in walks.items() if walk.diverged is not None or heights[name][-1] > 1e3]
    last = f"; out of the picture: {', '.join(ran_away)}" if ran_away else f", {order[-1]} the highest"
    lowest = heights[order[0]][-1]
    table = [(name, heights[name], tone) for tone, name in enumerate(heights)]
    return frame(
        places,
        height_panel(table),
        say=f"After {STEPS} steps {order[0]} is the lowest, {lowest:.2g} above the floor{last}.",
    )
