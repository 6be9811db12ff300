"""Three figures: a bend and its slope, ten layers of it, and scores that become shares."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from fathom.fundamentals.activations.elu import elu
from fathom.fundamentals.activations.gelu import gelu
from fathom.fundamentals.activations.leaky_relu import leaky_relu
from fathom.fundamentals.activations.relu import dead_units, relu
from fathom.fundamentals.activations.sigmoid import sigmoid
from fathom.fundamentals.activations.softmax import softmax
from fathom.fundamentals.activations.swish import swish
from fathom.fundamentals.activations.tanh import tanh
from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.mathematics.derivatives import gradient
from fathom.fundamentals.networks.gradient_flow import gradient_norms
from fathom.learn.engine.figure import choice, figure, log_slider, slider, whole
from fathom.learn.engine.marks import Bars, Curve, Frame, Panel, Scatter, frame, number, points

BENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": sigmoid, "tanh": tanh, "relu": relu, "leaky relu": leaky_relu, "elu": elu, "swish": swish,
    "gelu": gelu, "none": lambda x: x,
}  # fmt: skip


def slopes(bend: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The slope of ``bend`` at each entry of ``x``."""
    return gradient(lambda t: bend(t).sum(), x)[0]


@figure(
    bend=choice(
        ("sigmoid", "tanh", "relu", "leaky relu", "elu", "swish", "gelu", "none"), "sigmoid", "activation"
    ),
    x=slider(-5.0, 5.0, 1.0, "x"),
)
def bend(c: SimpleNamespace) -> Frame:
    """An activation, and its slope."""
    bent = BENDS[c.bend]
    across = torch.linspace(-5, 5, 201, dtype=torch.float64)
    here = torch.tensor([c.x], dtype=torch.float64)
    height, steep = float(bent(here)), float(slopes(bent, here))
    tangent = tuple((number(c.x + r), number(height + steep * r)) for r in (-1.5, 1.5))
    value = Panel(
        title="What comes out",
        marks=(
            Curve(name=c.bend, points=points(across, bent(across))),
            Curve(name="its slope at x", points=tangent, tone=1, dashed=True),
            Scatter(points=((c.x, number(height)),), tone=3),
        ),
        x="x",
        y="y",
        x_range=(-5.0, 5.0),
        y_range=(-1.5, 3.0),
    )
    slope = Panel(
        title="How steep it is",
        marks=(
            Curve(name="slope", points=points(across, slopes(bent, across)), tone=1),
            Scatter(points=((c.x, number(steep)),), tone=3),
        ),
        x="x",
        y="slope",
        x_range=(-5.0, 5.0),
        y_range=(-0.25, 1.25),
    )
    passes = (
        "nothing passes back here" if abs(steep) < 0.005 else f"{abs(steep):.0%} of a slope passes back here"
    )
    return frame(
        value, slope, say=f"{c.bend} of {c.x:.2f} is {height:.2f}; its slope is {steep:.2f}: {passes}."
    )


class Bend(nn.Module):
    """An activation as a layer, which remembers what came out."""

    def __init__(self, bend: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.bend = bend

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach()
        return self.bend(x)


WIDTH, EXAMPLES = 64, 256
HIGHEST, LOWEST = 1e6, 1e-12  # of what is drawn on a logarithmic axis


@figure(
    bend=choice(
        ("sigmoid", "tanh", "relu", "leaky relu", "elu", "swish", "gelu", "none"), "sigmoid", "activation"
    ),
    depth=whole(2, 20, 10, "layers"),
    scale=log_slider(0.25, 4.0, 1.0, "size of the weights"),
    bias=slider(-2.0, 1.0, 0.0, "bias"),
)
def stack(c: SimpleNamespace) -> Frame:
    """A stack of layers before any training: what of a slope comes back, and how many units are dead."""
    dice = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(c.depth):
        linear = nn.Linear(WIDTH, WIDTH, dtype=torch.float64)
        he_normal_(linear.weight, generator=dice)
        with torch.no_grad():
            linear.weight.mul_(c.scale)
            linear.bias.fill_(c.bias)
        layers += [linear, Bend(BENDS[c.bend])]
    network = nn.Sequential(*layers)
    x = torch.randn(EXAMPLES, WIDTH, generator=dice, dtype=torch.float64)
    target = torch.randn(EXAMPLES, WIDTH, generator=dice, dtype=torch.float64)
    try:
        norms = list(
            gradient_norms(network, lambda net: ((net(x) - target) ** 2).mean(), of="outputs").values()
        )
    except ValueError:  # a slope beyond all numbers
        norms = [float("inf")] * c.depth
    last = norms[-1] or 1.0
    shares = [min(max(norm / last, LOWEST), HIGHEST) for norm in norms]
    asleep = [slopes(BENDS[c.bend], layer.seen) for layer in network if isinstance(layer, Bend)]
    dead = [dead_units(torch.where(slope.abs() < 1e-3, 0.0, slope)) / WIDTH for slope in asleep]
    numbers = [float(place) for place in range(1, c.depth + 1)]
    back = Panel(
        title="What of the slope comes back",
        marks=(Curve(name="beside the last layer", points=points(numbers, shares), dots=True),),
        x="layer",
        y="share",
        x_range=(1.0, float(c.depth)),
        y_range=(min(1e-8, *shares), max(10.0, *shares)),
        log_y=True,
    )
    return frame(back, flat(numbers, dead), say=told(c.bend, c.depth, norms[0] / last, dead))


def flat(numbers: list[float], dead: list[float]) -> Panel:
    """The share of dead units, layer by layer."""
    return Panel(
        title="Units that are flat for every example",
        marks=(Curve(name="dead", points=points(numbers, [100 * d for d in dead]), tone=1, dots=True),),
        x="layer",
        y="per cent",
        x_range=(1.0, numbers[-1]),
        y_range=(0.0, 100.0),
    )


def told(bend: str, depth: int, share: float, dead: list[float]) -> str:
    """What the stack does, in a sentence."""
    if share != share or share > HIGHEST:
        first = "more than a million times the slope of the last layer, or no number at all"
    elif share < LOWEST:
        first = "nothing"
    else:
        first = f"{share:.2g} times the slope of the last layer"
    asleep = f"of the last layer's units {dead[-1]:.0%} are dead"
    return f"{depth} layers of {bend}: {first} arrives at the first; {asleep}."


@figure(
    first=slider(-3.0, 3.0, 2.0, "score of cat"),
    second=slider(-3.0, 3.0, 1.0, "score of dog"),
    third=slider(-3.0, 3.0, 0.0, "score of owl"),
    temperature=log_slider(0.1, 10.0, 1.0, "temperature"),
)
def shares(c: SimpleNamespace) -> Frame:
    """Scores of three classes become shares."""
    scores = torch.tensor([c.first, c.second, c.third], dtype=torch.float64)
    found = softmax(scores, temperature=c.temperature)
    names = ("cat", "dog", "owl")
    given = Panel(
        title="Scores",
        marks=(Bars(names=names, values=tuple(map(number, scores)), tone=0),),
        y="score",
        y_range=(-3.5, 3.5),
    )
    made = Panel(
        title="Shares",
        marks=(Bars(names=names, values=tuple(round(float(p), 3) for p in found), tone=1),),
        y="share",
        y_range=(0.0, 1.1),
    )
    told = ", ".join(f"{name} {float(p):.0%}" for name, p in zip(names, found, strict=True))
    return frame(given, made, say=f"{told}: together 100%.")
