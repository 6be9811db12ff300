"""Two figures: one weight on its curve, and a line that is fitted step by step."""

from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import Tensor

from fathom.fundamentals.networks.gradient_descent import gradient_descent
from fathom.learn.engine.figure import figure, log_slider, point, slider, whole
from fathom.learn.engine.marks import Curve, Frame, Heat, Panel, Scatter, frame, number, points, rows


def curve_loss(w: Tensor) -> Tensor:
    """A valley with its floor at 2."""
    return 0.5 * (w - 2) ** 2 + 0.5


@figure(
    w=slider(-2.0, 6.0, 5.0, "weight"),
    rate=log_slider(0.05, 2.5, 0.5, "learning rate"),
)
def slope(c: SimpleNamespace) -> Frame:
    """One weight: the slope under your feet, and the step that follows from it."""
    w = torch.tensor(c.w, requires_grad=True)
    loss = curve_loss(w)
    (gradient,) = torch.autograd.grad(loss, w)
    here, height, steep = c.w, loss.item(), gradient.item()
    there = here - c.rate * steep
    across = torch.linspace(-6, 10, 161)
    reach = 1.2
    tangent = ((here - reach, height - reach * steep), (here + reach, height + reach * steep))
    better = float(curve_loss(torch.tensor(there)))
    if abs(steep) < 0.01:
        verdict = "flat: the step has no length, you have arrived"
    else:
        way = "left" if there < here else "right"
        verdict = f"the step goes {way} to {there:.2f}, and the loss falls to {better:.2f}"
        if better > height:
            verdict = f"the step goes {way}, too far: at {there:.2f} the loss is {better:.2f}"
    panel = Panel(
        title="The loss of one weight",
        marks=(
            Curve(name="loss", points=points(across, curve_loss(across))),
            Curve(name="slope here", points=tangent, tone=1, dashed=True),
            Curve(points=((here, height), (number(there), number(better))), tone=2, arrow=True),
            Scatter(name="you", points=((here, height),), tone=3),
        ),
        x="weight w",
        y="loss",
        x_range=(-6.0, 10.0),
        y_range=(0.0, 10.0),
    )
    return frame(
        panel, say=f"At w = {here:.2f} the loss is {height:.2f} and its slope {steep:+.2f}; {verdict}."
    )


COUNT, STEPS = 24, 60
BOX = (-1.0, 3.5, -2.0, 3.0)  # weights from, to; biases from, to


def data(seed: int) -> tuple[Tensor, Tensor]:
    """Points near the line y = 1.5 x + 0.5."""
    dice = torch.Generator().manual_seed(seed)
    x = 3 * torch.rand(COUNT, generator=dice)
    return x, 1.5 * x + 0.5 + 0.4 * torch.randn(COUNT, generator=dice)


def line_loss(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The mean squared error of y = w x + b."""
    w, b = parameters
    return ((w * x + b - y) ** 2).mean()


def surface(x: Tensor, y: Tensor, cells: int = 40) -> Heat:
    """The loss of every line in the box, as its logarithm: the floor is nearly flat, the walls are steep."""
    w, b = torch.linspace(BOX[0], BOX[1], cells), torch.linspace(BOX[2], BOX[3], cells)
    errors = w[None, :, None] * x + b[:, None, None] - y
    return Heat(
        name="log of the loss", values=rows((errors**2).mean(-1).log10()), x=BOX[:2], y=BOX[2:], tone=1
    )


def inside(w: float, b: float) -> bool:
    """Still in the picture, or just outside."""
    return BOX[0] - 1 < w < BOX[1] + 1 and BOX[2] - 1 < b < BOX[3] + 1


@figure(
    rate=log_slider(0.01, 0.4, 0.1, "learning rate"),
    batch=whole(1, 24, 24, "batch size"),
    start=point(-0.5, 2.0, (-1.0, 3.5, -2.0, 3.0), "start"),
    seed=whole(0, 9, 0, "seed"),
)
def descent(c: SimpleNamespace) -> Iterator[Frame]:
    """A line is fitted: the walk over the loss surface, the loss, and the line itself."""
    x, y = data(c.seed)
    start = [torch.tensor(value) for value in c.start]
    dice = torch.Generator().manual_seed(c.seed)
    try:
        walk = gradient_descent(line_loss, start, (x, y), c.rate, STEPS, c.batch, dice)
        weights, biases = (path.tolist() for path in walk.points)
    except ValueError:  # it ran away so fast that the numbers ended
        walk = gradient_descent(line_loss, start, (x, y), c.rate, 8, c.batch, dice)
        weights, biases = (path.tolist() for path in walk.points)
    map_ = surface(x, y)
    losses: list[tuple[float, float]] = []
    for step, (w, b) in enumerate(zip(weights, biases, strict=True)):
        loss = float(line_loss([torch.tensor(w), torch.tensor(b)], x, y))
        gone = not inside(w, b)
        if gone and step:
            w, b = weights[step - 1], biases[step - 1]
        else:
            losses.append((float(step), number(loss)))
        path = points(weights[: len(losses)], biases[: len(losses)])
        says = f"step {step}: w = {w:.2f}, b = {b:.2f}, loss {loss:.3g}"
        if gone:
            says = f"step {step}: out of the picture, the loss is {loss:.3g}. The learning rate is too large"
        yield frame(map_panel(map_, path), line_panel(x, y, w, b), loss_panel(losses), say=says + ".")
        if gone:
            return


def map_panel(map_: Heat, path: tuple[tuple[float, float], ...]) -> Panel:
    return Panel(
        title="Every line is a point here",
        marks=(map_, Curve(name="walk", points=path, dots=True)),
        x="weight w",
        y="bias b",
        x_range=BOX[:2],
        y_range=BOX[2:],
        handles=("start",),
    )


def line_panel(x: Tensor, y: Tensor, w: float, b: float) -> Panel:
    return Panel(
        title="The line of this step",
        marks=(
            Scatter(name="data", points=points(x, y), tone=2),
            Curve(name="line", points=points([0.0, 3.0], [b, 3 * w + b])),
        ),
        x="x",
        y="y",
        x_range=(0.0, 3.0),
        y_range=(-2.0, 7.0),
    )


def loss_panel(losses: list[tuple[float, float]]) -> Panel:
    return Panel(
        title="The loss on all data",
        marks=(Curve(name="loss", points=tuple(losses), dots=len(losses) < 30),),
        x="step",
        y="loss",
        x_range=(0.0, float(STEPS)),
        log_y=True,
    )
