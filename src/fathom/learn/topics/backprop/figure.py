"""A walk through a network with 2 inputs, 3 hidden units and 1 output: forwards, then backwards."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import torch
from torch import Tensor

from fathom.fundamentals import backward_by_hand as passes
from fathom.fundamentals.mathematics.derivatives import gradient_by_hand
from fathom.learn.engine.figure import choice, figure, slider, whole
from fathom.learn.engine.marks import Edge, Frame, Graph, Matrix, Node, Panel, frame, number, rows

BENDS: dict[str, tuple[Callable[..., tuple[Tensor, passes.Kept]], Callable[..., Tensor]]] = {
    "tanh": (passes.tanh, passes.tanh_backward),
    "relu": (passes.relu, passes.relu_backward),
    "sigmoid": (passes.sigmoid, passes.sigmoid_backward),
}
SAYS = (
    "The inputs are set. On the lines stand the weights; biases are not drawn.",
    "Forwards: each hidden unit weighs the inputs and adds them up.",
    "Forwards: each sum is bent.",
    "Forwards: the output weighs what the hidden units put out.",
    "Forwards: the loss is the squared distance from the target.",
    "Backwards: the slope of the loss in the answer is twice that distance.",
    "Backwards: the last weights. Each slope is what arrives, times what went through.",
    "Backwards: each hidden unit gets what arrives, times its last weight.",
    "Backwards: through the bend, times its slope there.",
    "Backwards: the first weights. Again what arrives, times what went through.",
)


@figure(
    first=slider(-2.0, 2.0, 1.0, "first input"),
    second=slider(-2.0, 2.0, -0.5, "second input"),
    target=slider(-2.0, 2.0, 1.0, "target"),
    bend=choice(("tanh", "relu", "sigmoid"), "tanh", "activation"),
    seed=whole(0, 9, 0, "seed of the weights"),
)
def walk(c: SimpleNamespace) -> Iterator[Frame]:
    """A network computes its answer and its loss, and then the slope of the loss in each weight."""
    dice = torch.Generator().manual_seed(c.seed)
    shapes = ((3, 2), (3,), (1, 3), (1,))
    weights = [torch.randn(shape, generator=dice, dtype=torch.float64) for shape in shapes]
    x = torch.tensor([[c.first, c.second]], dtype=torch.float64)
    target = torch.tensor([[c.target]], dtype=torch.float64)
    bend, bend_backward = BENDS[c.bend]

    z, kept_first = passes.linear(x, weights[0], weights[1])
    h, kept_bend = bend(z)
    y, kept_second = passes.linear(h, weights[2], weights[3])
    loss, kept_loss = passes.mean_squared_error(y, target)
    g_y, _ = passes.mean_squared_error_backward(kept_loss, torch.ones((), dtype=torch.float64))
    g_h, g_second, _ = passes.linear_backward(kept_second, g_y)
    g_z = bend_backward(kept_bend, g_h)
    _, g_first, _ = passes.linear_backward(kept_first, g_z)

    def loss_of(weight: Tensor) -> Tensor:
        inner = bend(passes.linear(x, weight, weights[1])[0])[0]
        return passes.mean_squared_error(passes.linear(inner, weights[2], weights[3])[0], target)[0]

    (measured,) = gradient_by_hand(loss_of, weights[0])
    made = SimpleNamespace(
        x=x, z=z, h=h, y=y, loss=loss, g_y=g_y, g_h=g_h, g_z=g_z, weights=weights, g_first=g_first,
        g_second=g_second,
    )  # fmt: skip
    step = 0
    for step, says in enumerate(SAYS):
        yield frame(graph_panel(made, step), slope_panel(made, step), say=f"step {step}: {says}")
    worst = float((measured - g_first).abs().max())
    check = matrix("The same, measured with small steps", measured)
    said = f"step {len(SAYS)}: measured and computed slopes differ by {worst:.1g} at most."
    yield frame(graph_panel(made, step), slope_panel(made, step), check, say=said)


def graph_panel(made: SimpleNamespace, step: int) -> Panel:
    """The network as far as the walk has come."""

    def shown(name: str, value: Tensor, since: int) -> str:
        return f"{name} {float(value):.2f}" if step >= since else ""

    nodes = [
        Node(name=f"x{i + 1}", x=0.0, y=(1.0, 0.1)[i], text=shown("", made.x[0, i], 0).strip(), lit=step == 0)
        for i in range(2)
    ]
    for unit in range(3):
        forth = shown("h", made.h[0, unit], 2) or shown("z", made.z[0, unit], 1)
        back = shown("slope", made.g_z[0, unit], 8) or shown("slope", made.g_h[0, unit], 7)
        nodes.append(
            Node(
                name=f"h{unit + 1}",
                x=0.4,
                y=(1.0, 0.55, 0.1)[unit],
                text=f"{forth}\n{back}".strip(),
                lit=step in (1, 2, 7, 8),
                tone=1 if step >= 7 else 0,
            )
        )
    answer = f"{shown('', made.y[0, 0], 3).strip()}\n{shown('slope', made.g_y[0, 0], 5)}".strip()
    nodes.append(Node(name="y", x=0.76, y=0.55, text=answer, lit=step in (3, 5), tone=1 if step >= 5 else 0))
    nodes.append(Node(name="L", x=1.0, y=0.55, text=shown("", made.loss, 4).strip(), lit=step == 4))
    first = made.g_first if step >= 9 else made.weights[0]
    second = made.g_second if step >= 6 else made.weights[2]
    edges = [
        Edge(
            start=f"x{i + 1}", end=f"h{unit + 1}", text=f"{float(first[unit, i]):.2f}",
            weight=0.1, lit=step in (1, 9),
        )
        for unit in range(3)
        for i in range(2)
    ]  # fmt: skip
    edges += [
        Edge(start=f"h{u + 1}", end="y", text=f"{float(second[0, u]):.2f}", weight=0.1, lit=step in (3, 6))
        for u in range(3)
    ]
    edges.append(Edge(start="y", end="L", weight=0.1, lit=step in (4, 5)))
    title = "Forwards" if step < 5 else "Backwards"
    return Panel(title=title, marks=(Graph(nodes=tuple(nodes), edges=tuple(edges)),))


def slope_panel(made: SimpleNamespace, step: int) -> Panel:
    """The first layer's weights, and once they are known, their slopes."""
    if step >= 9:
        return matrix("Slopes of the first weights", made.g_first)
    return matrix("The first weights", made.weights[0])


def matrix(title: str, values: Tensor) -> Panel:
    shown = rows([[number(round(float(v), 3)) for v in row] for row in values])
    names = tuple(f"unit {unit}" for unit in range(1, len(shown) + 1))
    return Panel(title=title, marks=(Matrix(values=shown, row_names=names, column_names=("x1", "x2")),))
