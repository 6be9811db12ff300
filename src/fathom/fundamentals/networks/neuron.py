"""A neuron: inputs are weighed and added up, and the sum decides how strongly it answers.

    z = w . x + b        y = f(z)            (McCulloch and Pitts 1943, with weights; -b is their threshold)

For two inputs, all x with z = 0 form a line. It is at right angles to w, at the distance -b / |w| from the
origin, counted along w:

    n . x = d            n = w / |w|,    d = -b / |w|

On the side to which w points, z is positive and grows by |w| for each unit of distance. A step answers 1
there and 0 elsewhere; a sigmoid passes 1/2 on the line, a tanh passes 0 and a ReLU begins to rise. Turning w
turns the line and changing b shifts it. Scaling both leaves it where it is and only makes the answer more or
less abrupt. So one neuron tells apart what one straight line parts (a plane, for more inputs), and no more.

Axes used below
    ...  any leading axes, or none      i  inputs
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.activations.sigmoid import sigmoid, sigmoid_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Artificial neuron",
    paper="https://doi.org/10.1007/BF02478259",
    year=1943,
    summary="Weighs its inputs, adds them up and answers by the sum; with two inputs it draws a line.",
    rows=("NF01",),
    builds_on=("sigmoid",),
    differs=("The paper's neuron counts equal inputs against a threshold; learned weights came later.",),
    oracle="torch.nn.Linear with one output and torch's activation: values and gradients, float64",
)

Activation = Callable[[Tensor], Tensor]
Box = tuple[float, float, float, float]  # left, right, bottom, top
Point = tuple[float, float]


def step(z: Tensor) -> Float[Tensor, "..."]:
    """1 where z is positive, 0 elsewhere. Its slope is 0, so that nothing can be learned through it.

    Raises ValueError unless z is floating-point.
    """
    _floating("z", z)
    return (z > 0).to(z.dtype)


def neuron(x: Tensor, weight: Tensor, bias: Tensor, activation: Activation = sigmoid) -> Float[Tensor, "..."]:
    """The answers f(w . x + b), shape (...), to inputs (..., i), with ``weight`` (i,) and ``bias`` ().

    ``activation`` is any function that keeps shapes. Raises ValueError for other shapes, a dtype that is not
    floating or not the same for all three, and an activation that changes the shape.
    """
    for name, given in (("x", x), ("weight", weight), ("bias", bias)):
        _floating(name, given)
        if given.dtype != x.dtype:
            raise ValueError(f"{name} has dtype {given.dtype}; x has {x.dtype}, and they must be alike")
    if weight.ndim != 1 or not len(weight):
        raise ValueError(f"weight has shape {tuple(weight.shape)}; it must be (i,), one or more inputs")
    if bias.ndim:
        raise ValueError(f"bias has shape {tuple(bias.shape)}; it must be a single number, shape ()")
    if not x.ndim or x.shape[-1] != len(weight):
        raise ValueError(f"x has shape {tuple(x.shape)}; weight asks for (..., {len(weight)})")
    sums = x @ weight + bias
    answers = activation(sums)
    if answers.shape != sums.shape:
        given = f"{tuple(sums.shape)} into {tuple(answers.shape)}"
        raise ValueError(f"activation turns shape {given}; it must keep the shape")
    return answers


class Neuron(nn.Module):
    """`neuron` as a layer that learns ``weight`` (inputs,) and ``bias`` ().

    Both begin uniform in +-1 / sqrt(inputs), as those of ``torch.nn.Linear`` do, drawn from ``generator`` or
    torch's global one. Raises ValueError for fewer than one input, and what `neuron` raises.
    """

    def __init__(
        self, inputs: int, activation: Activation = sigmoid, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if inputs < 1:
            raise ValueError(f"inputs is {inputs}; it must be 1 or more")
        reach = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(inputs).uniform_(-reach, reach, generator=generator))
        self.bias = nn.Parameter(torch.empty(()).uniform_(-reach, reach, generator=generator))
        self.activation = activation

    def forward(self, x: Tensor) -> Float[Tensor, "..."]:
        return neuron(x, self.weight, self.bias, self.activation)

    def decision_line(self, box: Box = (-1.0, 1.0, -1.0, 1.0)) -> "DecisionLine":
        """Where the sum is 0, for a neuron with two inputs: see the function of that name."""
        return decision_line(self.weight, self.bias, box)

    def extra_repr(self) -> str:
        return f"inputs={len(self.weight)}"


@dataclass(frozen=True)
class DecisionLine:
    """All points p with ``normal`` . p = ``offset``, and the part of them that lies in a box.

    Seen from the first end towards the second, the sum is positive on the left.
    """

    normal: Point  # of length 1, towards the side where the sum is positive
    offset: float  # distance of the line from the origin, counted along the normal
    ends: tuple[Point, Point] | None  # where it enters and leaves the box; None where it passes by


def decision_line(
    weight: Tensor | Sequence[float], bias: Tensor | float, box: Box = (-1.0, 1.0, -1.0, 1.0)
) -> DecisionLine:
    """The line w . x + b = 0 of a neuron with two inputs, cut to ``box`` (left, right, bottom, top).

    If a line just touches a corner, rounding decides whether it has ends. Raises ValueError unless there are
    two weights, finite and not both 0 (such a neuron answers the same everywhere), and a finite bias; for a
    box that is empty or infinite; and for weights so small beside the bias that the offset is not finite.
    """
    w, b = _line_of(weight, bias, box)
    scale = max(abs(w[0]), abs(w[1]))  # weights of 1e-300 have squares of 0
    length = math.hypot(w[0] / scale, w[1] / scale)
    normal = (w[0] / scale / length, w[1] / scale / length)
    offset = -b / scale / length
    if not math.isfinite(offset):
        raise ValueError(f"bias is {b} with weight {w}; the line is farther away than a number can say")

    # Walk along the line from its point nearest to the centre of the box: near it, digits are best kept.
    centre = (box[0] / 2 + box[1] / 2, box[2] / 2 + box[3] / 2)
    away = normal[0] * centre[0] + normal[1] * centre[1] - offset
    start = (centre[0] - away * normal[0], centre[1] - away * normal[1])
    along = (normal[1], -normal[0])
    first, last = -math.inf, math.inf
    for place, pace, low, high in zip(start, along, box[::2], box[1::2], strict=True):
        if pace == 0:
            if not low <= place <= high:
                return DecisionLine(normal, offset, None)
            continue
        enters, leaves = sorted(((low - place) / pace, (high - place) / pace))
        first, last = max(first, enters), min(last, leaves)
    if first > last:
        return DecisionLine(normal, offset, None)
    return DecisionLine(normal, offset, (_at(first, start, along, box), _at(last, start, along, box)))


def _at(distance: float, start: Point, along: Point, box: Box) -> Point:
    """The point at ``distance`` from ``start``; rounding must not carry it out of the box."""
    x, y = start[0] + distance * along[0], start[1] + distance * along[1]
    return min(max(x, box[0]), box[1]), min(max(y, box[2]), box[3])


def _line_of(weight: Tensor | Sequence[float], bias: Tensor | float, box: Box) -> tuple[list[float], float]:
    if (isinstance(weight, Tensor) and weight.ndim != 1) or len(weight) != 2:
        size = f"shape {tuple(weight.shape)}" if isinstance(weight, Tensor) else f"{len(weight)} entries"
        raise ValueError(f"weight has {size}; a line takes two inputs, and so two weights")
    w = weight.tolist() if isinstance(weight, Tensor) else [float(entry) for entry in weight]
    b = bias.item() if isinstance(bias, Tensor) else float(bias)
    if not all(map(math.isfinite, w)) or w == [0, 0]:
        raise ValueError(f"weight is {w}; it must be finite and not all 0: without a weight there is no line")
    if not math.isfinite(b):
        raise ValueError(f"bias is {b}; it must be finite")
    if not (all(map(math.isfinite, box)) and box[0] < box[1] and box[2] < box[3]):
        raise ValueError(f"box is {box}; it must be finite, with left < right and bottom < top")
    return w, b


def _floating(name: str, given: Tensor) -> None:
    if not given.is_floating_point():
        raise ValueError(f"{name} has dtype {given.dtype}; it must hold floating-point numbers")


def neuron_by_hand(
    x: Float[Tensor, "*batch i"],
    weight: Float[Tensor, "i"],
    bias: Float[Tensor, ""],
    activation: Activation = sigmoid_by_hand,
) -> Float[Tensor, "*batch"]:
    """One input after the other."""
    total = bias
    for i in range(len(weight)):
        total = total + weight[i] * x[..., i]
    return activation(total)


def decision_line_by_hand(
    weight: Float[Tensor, "2"], bias: Float[Tensor, ""], box: Box = (-1.0, 1.0, -1.0, 1.0)
) -> DecisionLine:
    """The equation w1 x + w2 y + b = 0, solved for the unknown coordinate on each side of the box."""
    (w1, w2), b = weight.tolist(), float(bias)
    left, right, bottom, top = box
    found = [(x, -(w1 * x + b) / w2) for x in (left, right) if w2 != 0]
    found += [(-(w2 * y + b) / w1, y) for y in (bottom, top) if w1 != 0]
    inside = [(x, y) for x, y in found if left <= x <= right and bottom <= y <= top]
    inside.sort(key=lambda point: w2 * point[0] - w1 * point[1])  # the positive side on the left
    length = (w1**2 + w2**2) ** 0.5
    ends = (inside[0], inside[-1]) if inside else None
    return DecisionLine((w1 / length, w2 / length), -b / length, ends)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 3, dtype=torch.float64, generator=dice)
    weight = torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64)
    bias = torch.tensor(0.3, dtype=torch.float64)
    yield Twin("neuron", neuron, neuron_by_hand, (x, weight, bias))

    def parts(line: Callable[..., DecisionLine]) -> Callable[..., Any]:
        return lambda weight, bias: astuple(line(weight, bias, (-2.0, 3.0, -1.0, 1.5)))

    for w in ((0.7, -1.2), (-0.4, 0.1), (0.0, 2.0), (-3.0, 0.0)):
        inputs = (torch.tensor(w, dtype=torch.float64), bias)
        yield Twin(
            f"line of {w}", parts(decision_line), parts(decision_line_by_hand), inputs, gradients=False
        )
