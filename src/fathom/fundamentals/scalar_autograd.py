"""Automatic differentiation of single numbers: a computation that remembers itself, read backwards.

Every result keeps the numbers it was made of and, for each of them, how fast it changes with it: the
local derivative. Nothing else is needed. By the chain rule the derivative of a last result L with respect
to any number x that went into it is a sum over the results y that were made directly of x,

    dL/dx = sum over y of  dL/dy * dy/dx

so the derivatives are found from the last result to the first. A number may pass its derivative on once all
that was made of it have passed on theirs: the reverse of the order in which the results were computed.
One such sweep gives the derivatives with respect to every number at once, for about the cost of computing
L (Linnainmaa 1976; Baydin et al. 2018, section 3.2). The record is the computational graph: its nodes are
numbers and its edges bear local derivatives. ``autograd`` does the same with arrays.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Union

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Automatic differentiation, one number at a time",
    paper="https://doi.org/10.1007/BF01931367",
    year=1976,
    summary="Each number remembers what it was made of, so the chain rule can be read off backwards.",
    rows=("MA04",),
    differs=("Linnainmaa follows rounding errors through a program; we follow derivatives, the same way.",),
    oracle="torch autograd on random graphs of up to 200 nodes, 1e-6 in float64; formulas worked out by hand",
)


class Scalar:
    """A number that remembers how it was made.

    ``parents`` lists (number it was made of, derivative of this one with respect to it). ``grad`` is filled
    by ``backward`` of a result and adds up over several calls, as is usual.
    """

    __slots__ = ("grad", "parents", "value")

    def __init__(self, value: float | int, parents: tuple[tuple["Scalar", float], ...] = ()) -> None:
        self.value, self.parents, self.grad = float(value), parents, 0.0

    def __repr__(self) -> str:
        return f"Scalar({self.value:g}, grad={self.grad:g})"

    def __add__(self, other: Union["Scalar", float, int]) -> "Scalar":
        other = as_scalar(other)
        return Scalar(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __sub__(self, other: Union["Scalar", float, int]) -> "Scalar":
        other = as_scalar(other)
        return Scalar(self.value - other.value, ((self, 1.0), (other, -1.0)))

    def __mul__(self, other: Union["Scalar", float, int]) -> "Scalar":
        other = as_scalar(other)
        return Scalar(self.value * other.value, ((self, other.value), (other, self.value)))

    def __truediv__(self, other: Union["Scalar", float, int]) -> "Scalar":
        return self * as_scalar(other) ** -1.0

    def __radd__(self, other: float | int) -> "Scalar":
        return self + other

    def __rsub__(self, other: float | int) -> "Scalar":
        return as_scalar(other) - self

    def __rmul__(self, other: float | int) -> "Scalar":
        return self * other

    def __rtruediv__(self, other: float | int) -> "Scalar":
        return as_scalar(other) / self

    def __neg__(self) -> "Scalar":
        return Scalar(-self.value, ((self, -1.0),))

    def __pow__(self, power: float | int) -> "Scalar":
        """A fixed power. Raises ValueError for 0 to a negative power, a negative number to a broken one."""
        if (self.value == 0 and power < 0) or (self.value < 0 and power != int(power)):
            raise ValueError(f"{self.value} to the power {power} is no finite real number")
        slope = power * self.value ** (power - 1) if self.value or power >= 1 else math.inf if power else 0.0
        return Scalar(self.value**power, ((self, slope),))

    def exp(self) -> "Scalar":
        y = math.exp(self.value)
        return Scalar(y, ((self, y),))

    def log(self) -> "Scalar":
        """The natural logarithm. Raises ValueError for a value that is not positive."""
        if not self.value > 0:
            raise ValueError(f"the logarithm of {self.value} was asked for; the value must be positive")
        return Scalar(math.log(self.value), ((self, 1 / self.value),))

    def tanh(self) -> "Scalar":
        y = math.tanh(self.value)
        return Scalar(y, ((self, 1 - y * y),))

    def sigmoid(self) -> "Scalar":
        small = math.exp(-abs(self.value))  # never above 1, so it cannot overflow
        y = (1 if self.value >= 0 else small) / (1 + small)
        return Scalar(y, ((self, y * (1 - y)),))

    def relu(self) -> "Scalar":
        return Scalar(max(self.value, 0.0), ((self, float(self.value > 0)),))

    def backward(self) -> None:
        """Add the derivative of this number with respect to x to ``x.grad``, for every x in its history."""
        flowing = {id(self): 1.0}
        for node in reversed(self.history()):
            slope = flowing[id(node)]
            node.grad += slope
            for parent, local in node.parents:
                flowing[id(parent)] = flowing.get(id(parent), 0.0) + slope * local

    def history(self) -> list["Scalar"]:
        """All that went into this number, and itself at the end; each stands after what it was made of."""
        order: list[Scalar] = []
        seen: set[int] = set()
        stack: list[tuple[Scalar, bool]] = [(self, False)]
        while stack:
            node, parents_done = stack.pop()
            if parents_done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((parent, False) for parent, _ in node.parents)
        return order


def as_scalar(value: Scalar | float | int) -> Scalar:
    """``value`` itself, or a plain number as one that has no history."""
    return value if isinstance(value, Scalar) else Scalar(value)


def neuron_gradients(weights: np.ndarray, inputs: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The derivatives of tanh(w . x + b) with respect to w (n,), x (n,) and b (1,), one after the other.

    Raises ValueError when ``weights`` and ``inputs`` are not vectors of one length.
    """
    if weights.ndim != 1 or weights.shape != inputs.shape:
        raise ValueError(
            f"weights {weights.shape} and inputs {inputs.shape} were given; they must be (n,) alike"
        )
    numbers = [Scalar(v) for v in (*weights, *inputs, *bias)]
    total = numbers[-1]
    for w, x in zip(numbers[: len(weights)], numbers[len(weights) : -1], strict=True):
        total = total + w * x
    total.tanh().backward()
    return np.array([number.grad for number in numbers])


def neuron_gradients_by_hand(weights: np.ndarray, inputs: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The same, worked out on paper: tanh'(z) = 1 - tanh(z)^2, times x for w, w for x, and 1 for b."""
    slope = 1 - np.tanh(weights @ inputs + bias) ** 2
    return np.concatenate([slope * inputs, slope * weights, slope])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    weights, inputs, bias = np.array([0.5, -1.0, 2.0]), np.array([0.3, 0.7, -0.2]), np.array([0.1])
    yield Twin("neuron", neuron_gradients, neuron_gradients_by_hand, (weights, inputs, bias), gradients=False)
