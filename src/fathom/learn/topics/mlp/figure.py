"""Two figures: units that add up to a curve, and the border that a network draws between two classes."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from fathom.fundamentals.activations.relu import relu
from fathom.fundamentals.activations.sigmoid import sigmoid
from fathom.fundamentals.activations.tanh import tanh
from fathom.fundamentals.features.encoding import standard
from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.losses.cross_entropy import binary_cross_entropy_with_logits
from fathom.fundamentals.networks.dense import Dense
from fathom.fundamentals.networks.perceptron import exclusive_or
from fathom.fundamentals.optimizers.adam import adam
from fathom.learn.engine.figure import choice, figure, slider, table, whole
from fathom.learn.engine.marks import Curve, Frame, Heat, Images, Panel, Scatter, frame, pixels, points, rows
from fathom.learn.engine.table import labelled

BENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": tanh, "relu": relu, "sigmoid": sigmoid, "none": lambda x: x,
}  # fmt: skip

STEPS = 40  # frames; ten steps of training lie between two of them


def layers_of(sizes: list[int], dice: torch.Generator) -> list[Dense]:
    """Dense layers from size to size; the units of the first one bend at places spread over [-1, 1]."""
    layers = [Dense(i, o, generator=dice) for i, o in itertools.pairwise(sizes)]
    with torch.no_grad():
        for layer in layers:
            he_normal_(layer.weight, generator=dice)
        lengths = layers[0].weight.norm(dim=1)
        bends = lengths * (2 * torch.rand(sizes[1], generator=dice) - 1)
        layers[0].bias = nn.Parameter(bends)
    return layers


def hidden(layers: list[Dense], bend: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """What each hidden layer puts out."""
    made = []
    for layer in layers[:-1]:
        x = bend(layer(x))
        made.append(x)
    return made


def curve(name: str, x: Tensor) -> Tensor:
    """What is to be followed, on [-1, 1]."""
    if name == "wave":
        return (1.5 * math.pi * x).sin()
    if name == "step":
        return (x > 0).to(x.dtype) * 2 - 1
    return 1 - 2 * (2 * x.abs() - 1).abs()


@figure(
    target=choice(("wave", "step", "zigzag"), "wave", "curve to follow"),
    units=whole(1, 12, 8, "hidden units"),
    bend=choice(("relu", "tanh", "none"), "relu", "activation"),
    seed=whole(0, 9, 0, "seed"),
)
def pieces(c: SimpleNamespace) -> Iterator[Frame]:
    """A network learns to follow a curve: the network is the sum of what its hidden units hand over."""
    dice = torch.Generator().manual_seed(c.seed)
    layers, bend = layers_of([1, c.units, 1], dice), BENDS[c.bend]
    x = torch.linspace(-1, 1, 81)[:, None]
    y = curve(c.target, x)
    optimizer = adam([p for layer in layers for p in layer.parameters()], 0.05)
    for step in range(STEPS + 1):
        with torch.no_grad():
            (made,) = hidden(layers, bend, x)
            handed = made * layers[-1].weight  # (places, units)
            answer = layers[-1](made)
            error = float(((answer - y) ** 2).mean().sqrt())
        whole_panel = Panel(
            title="The network and its target",
            marks=(
                Curve(name="target", points=points(x[:, 0], y[:, 0]), tone=2, dashed=True),
                Curve(name="network", points=points(x[:, 0], answer[:, 0]), tone=0),
            ),
            x="input x",
            y="y",
            x_range=(-1.0, 1.0),
            y_range=(-2.0, 2.0),
        )
        parts = Panel(
            title="What each hidden unit hands over",
            marks=tuple(Curve(points=points(x[:, 0], handed[:, u]), tone=u) for u in range(c.units)),
            x="input x",
            y="part of y",
            x_range=(-1.0, 1.0),
            y_range=(-4.0, 4.0),
        )
        units = "1 hidden unit" if c.units == 1 else f"{c.units} hidden units"
        yield frame(
            whole_panel, parts, say=f"step {10 * step}: with {units} the typical error is {error:.3f}."
        )
        for _ in range(10):
            optimizer.zero_grad()
            (made,) = hidden(layers, bend, x)
            ((layers[-1](made) - y) ** 2).mean().backward()
            optimizer.step()


REACH, CELLS, SMALL = 2.2, 40, 20
TURNS = 6.0  # of the spiral, in radians


def data(name: str, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Points in [-2, 2] x [-2, 2] and their classes, 0 or 1."""
    dice = torch.Generator().manual_seed(seed)
    count = 120
    labels = torch.arange(count) % 2
    sign = 1.0 - 2 * labels
    along = torch.rand(count, generator=dice)
    if name == "moons":
        angle = math.pi * along
        x = torch.stack([angle.cos() * sign + labels - 0.5, angle.sin() * sign + labels / 2 - 0.25], 1) * 1.2
    elif name == "circles":
        angle, radius = 2 * math.pi * along, 0.6 + labels
        x = torch.stack([angle.cos() * radius, angle.sin() * radius], 1)
    elif name == "spiral":
        angle, radius = TURNS * along.sqrt() + math.pi * labels, 1.9 * along.sqrt()
        x = torch.stack([angle.cos() * radius, angle.sin() * radius], 1)
    else:
        corners, found = exclusive_or()
        which = torch.arange(count) % 4
        x, labels = 1.4 * (2 * corners[which].float() - 1), found[which]
        x = x + 0.25 * torch.randn(count, 2, generator=dice)
    return x + noise * torch.randn(count, 2, generator=dice), labels


@dataclass(frozen=True)
class Examples:
    """Points of two classes, what their columns are called, how far the picture goes, and more to say."""

    x: Tensor
    labels: Tensor
    columns: tuple[str, str] = ("first input", "second input")
    reach: float = REACH
    told: str = ""


def own(text: str) -> Examples:
    """The learner's points: each column minus its mean, divided by its deviation."""
    read = labelled(text)
    numbers = np.array(read.points, dtype=np.float64)
    x = torch.from_numpy(standard(numbers)(numbers)).float()
    reach = max(REACH, round(1.05 * float(x.abs().max()), 2))
    columns = (f"{read.columns[0]}, standardised", read.columns[1][:14])  # above the axis there is less room
    dots, squares = read.names
    told = f" Both columns are standardised. {len(x)} points: dots are {dots}, squares are {squares}."
    return Examples(x, torch.tensor(read.classes), columns, reach, told)


def grid(cells: int, reach: float) -> Tensor:
    """The middle of each cell of the picture, row by row from below: (cells * cells, 2)."""
    ticks = (torch.arange(cells) + 0.5) / cells * 2 * reach - reach
    up, across = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([across.flatten(), up.flatten()], 1)


OWN = "your own"


@figure(
    data=choice(("moons", "circles", "exclusive or", "spiral", "your own"), "moons", "data"),
    width=whole(1, 16, 6, "width"),
    depth=whole(1, 3, 1, "hidden layers"),
    bend=choice(("tanh", "relu", "sigmoid", "none"), "tanh", "activation"),
    noise=slider(0.0, 0.6, 0.12, "noise"),
    seed=whole(0, 9, 0, "seed"),
    mine=table(
        "length,weight,animal\n10,1,mouse\n9,1.4,mouse\n8,2,mouse\n12,1.5,mouse\n11,2.2,mouse\n"
        "14,3,rat\n16,2.5,rat\n19,4,rat\n17,5,rat\n22,4.5,rat\n20,6,rat\n13,1,mouse\n",
        "your own data", chooses=("data", "your own"),
    ),
)  # fmt: skip
def boundary(c: SimpleNamespace) -> Iterator[Frame]:
    """A network learns to part two classes.

    Its border, its loss, and the map of each unit of the first layer.
    """
    given = own(c.mine) if c.data == OWN else Examples(*data(c.data, c.noise, c.seed))
    x, labels = given.x, given.labels
    target = labels.float()[:, None]
    dice = torch.Generator().manual_seed(c.seed)
    layers, bend = layers_of([2, *[c.width] * c.depth, 1], dice), BENDS[c.bend]
    optimizer = adam([p for layer in layers for p in layer.parameters()], 0.05)
    whole_map, small_map = grid(CELLS, given.reach), grid(SMALL, given.reach)
    losses: list[tuple[float, float]] = []

    def network(seen: Tensor) -> Tensor:
        return layers[-1](hidden(layers, bend, seen)[-1])

    for step in range(STEPS + 1):
        with torch.no_grad():
            scores = network(x)
            losses.append((10.0 * step, float(binary_cross_entropy_with_logits(scores, target))))
            right = float(((scores[:, 0] > 0) == labels.bool()).float().mean())
            surface = 2 * sigmoid(network(whole_map)).reshape(CELLS, CELLS) - 1
            units = hidden(layers, bend, small_map)[0].T.reshape(c.width, SMALL, SMALL).flip(1)
        yield frame(
            border_panel(surface, given),
            unit_panel(units),
            loss_panel(losses),
            say=f"step {10 * step}: loss {losses[-1][1]:.3f}; {right:.0%} of the points are on their side."
            f"{given.told}",
        )
        for _ in range(10):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(network(x), target).backward()
            optimizer.step()


def border_panel(surface: Tensor, given: Examples) -> Panel:
    reach = (-given.reach, given.reach)
    return Panel(
        title="What the network says of each place",
        marks=(
            Heat(values=rows(surface.mul(50).round() / 50), x=reach, y=reach),
            Scatter(
                points=points(given.x[:, 0], given.x[:, 1]), classes=tuple(given.labels.tolist()), tone=2
            ),
        ),
        x=given.columns[0],
        y=given.columns[1],
        x_range=reach,
        y_range=reach,
        square=True,
    )


def unit_panel(units: Tensor) -> Panel:
    """Each unit by itself, from its weakest answer to its strongest."""
    shown = units[:12]
    pictures = tuple(pixels([unit])[0] for unit in shown)
    names = tuple(f"unit {place}" for place in range(1, len(shown) + 1))
    return Panel(title="The units of the first layer", marks=(Images(pictures=pictures, captions=names),))


def loss_panel(losses: list[tuple[float, float]]) -> Panel:
    return Panel(
        title="The loss",
        marks=(Curve(name="loss", points=tuple((s, round(v, 5)) for s, v in losses)),),
        x="step",
        y="loss",
        x_range=(0.0, 10.0 * STEPS),
        y_range=(0.0, 1.0),
    )
