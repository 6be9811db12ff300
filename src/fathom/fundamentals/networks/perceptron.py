"""The perceptron: a neuron that learns from its mistakes only.

    answer     1 if w . x + b > 0, otherwise 0
    rule       if s (w . x + b) <= 0:    w <- w + s x,   b <- b + s         (Rosenblatt 1958)

s is +1 for label 1 and -1 for label 0; w and b begin at 0. A sum of exactly 0 is a mistake for either label,
so the first example is always learned. No gradient, no loss: the weights are a sum of the examples it got
wrong, with their signs. (``autograd_networks.perceptron`` has the same rule in a few lines of NumPy, and
takes a sum of 0 for the answer 0.)

If some plane parts the classes, the rule finds one, whatever the order of the examples (Novikoff 1962):

    mistakes <= (R / g)^2        R  the longest example    g  its margin: the least distance to the plane

with x and the 1 that belongs to b taken as one vector. Proof in two lines: each mistake adds at least g to
w . u, for the plane's unit normal u, and at most R^2 to |w|^2; so k g <= w . u <= |w| <= sqrt(k) R.

If no plane does, as for XOR, it never ends (Minsky and Papert 1969). The weights stay bounded all the
same (Block and Levin 1970): with whole numbers as inputs they must come back, and then go round for ever.

Axes: n  examples      i  inputs      u  updates
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Perceptron",
    paper="https://doi.org/10.1037/h0042519",
    year=1958,
    summary="Adds every example that it got wrong to its weights, until a plane parts the two classes.",
    rows=("NF02",),
    differs=("The paper's inputs pass a layer of fixed random units first; here they come straight in.",),
    oracle="sklearn.linear_model.Perceptron: the weights after every update, equal bit for bit",
)


@dataclass(frozen=True, eq=False)
class Update:
    """One mistake, and the weights after it was corrected."""

    epoch: int  # the pass over all examples, from 0
    example: int  # its place among the examples
    weight: Float[Tensor, "i"]
    bias: float


def updates(
    inputs: Tensor,
    labels: Tensor,
    epochs: int = 100,
    *,
    learning_rate: float = 1.0,
    with_bias: bool = True,
) -> Iterator[Update]:
    """Every update of the rule on ``inputs`` (n, i) and ``labels`` (n,) of 0 and 1, one after the other.

    It ends after a pass without a mistake, or after ``epochs`` passes. ``learning_rate`` scales all weights
    and changes no answer, since they begin at 0. Raises ValueError for other shapes, dtypes and labels,
    inputs that are not finite, fewer than one epoch, a rate that is not positive and finite, and (when it
    happens) inputs so large that a sum overflows.
    """
    signs = _signs(inputs, labels)
    if not bool(inputs.isfinite().all()):
        raise ValueError("inputs holds NaN or infinity; every input must be finite")
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be 1 or more")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}; it must be positive and finite")
    rates = [learning_rate * sign for sign in signs.tolist()]
    return _corrections(inputs.detach(), rates, epochs, with_bias)


def _corrections(inputs: Tensor, rates: list[float], epochs: int, with_bias: bool) -> Iterator[Update]:
    weight, bias, rows = inputs.new_zeros(inputs.shape[1]), 0.0, inputs.unbind()
    for epoch in range(epochs):
        right = True
        for example, (x, rate) in enumerate(zip(rows, rates, strict=True)):
            total = float(x @ weight) + bias
            if not math.isfinite(total):
                raise ValueError(
                    f"inputs of example {example} overflow in w . x + b: {total}; scale them down"
                )
            if (total if rate > 0 else -total) <= 0:
                weight = weight + rate * x
                bias += rate if with_bias else 0.0
                right = False
                yield Update(epoch, example, weight, bias)
        if right:
            return


def trajectory(made: Iterable[Update]) -> Float[Tensor, "u j"]:
    """The weights after every update as rows (u, i + 1), the bias in the last column. At least one update."""
    rows = [torch.cat([update.weight, update.weight.new_tensor([update.bias])]) for update in made]
    if not rows:
        raise ValueError("made holds no update; a perceptron that was given an example made at least one")
    return torch.stack(rows)


@dataclass(frozen=True, eq=False)
class Perceptron:
    """A perceptron that has learned. Made by ``fit``."""

    weight: Float[Tensor, "i"]
    bias: float
    mistakes: tuple[int, ...]  # in each epoch

    @classmethod
    def fit(
        cls,
        inputs: Tensor,
        labels: Tensor,
        epochs: int = 100,
        *,
        learning_rate: float = 1.0,
        with_bias: bool = True,
    ) -> "Perceptron":
        """Learn from ``inputs`` (n, i) and ``labels`` (n,) of 0 and 1. Arguments and errors of `updates`."""
        mistakes: list[int] = []
        weight, bias = inputs.new_zeros(inputs.shape[-1:]), 0.0
        for update in updates(inputs, labels, epochs, learning_rate=learning_rate, with_bias=with_bias):
            if update.epoch == len(mistakes):
                mistakes.append(0)
            mistakes[-1] += 1
            weight, bias = update.weight, update.bias
        if len(mistakes) < epochs:
            mistakes.append(0)  # the pass without a mistake, after which the rule stopped
        return cls(weight, bias, tuple(mistakes))

    @property
    def converged(self) -> bool:
        """Whether the last pass over the examples was free of mistakes."""
        return self.mistakes[-1] == 0

    def predict(self, inputs: Tensor) -> Int[Tensor, "n"]:
        """The answers, 0 or 1, to ``inputs`` (n, i). Raises ValueError for another shape or dtype."""
        if inputs.ndim != 2 or inputs.shape[1] != len(self.weight) or inputs.dtype != self.weight.dtype:
            given = f"shape {tuple(inputs.shape)} and dtype {inputs.dtype}"
            asked = f"(n, {len(self.weight)}) of {self.weight.dtype}"
            raise ValueError(f"inputs has {given}; it must be {asked}, as when it learned")
        return (inputs @ self.weight + self.bias > 0).long()


def novikoff_bound(
    inputs: Tensor, labels: Tensor, weight: Tensor, bias: float = 0.0, *, with_bias: bool = True
) -> float:
    """(R / g)^2, the most mistakes the rule can make if the plane w . x + b = 0 parts the classes.

    Any such plane gives a bound; the one with the widest margin gives the best. ``with_bias`` as in
    `updates`: whether the perceptron has a bias, and so a 1 beside its inputs; without it ``bias`` is 0.
    Raises ValueError for shapes that do not fit, a bias that is not there, and a plane that does not part.
    """
    signs = _signs(inputs, labels)
    if weight.shape != inputs.shape[1:]:
        raise ValueError(f"weight has shape {tuple(weight.shape)}; inputs asks for ({inputs.shape[1]},)")
    if bias and not with_bias:
        raise ValueError(f"bias is {bias}; it must be 0 for a perceptron without one")
    rows, plane = inputs.double(), weight.double()
    if with_bias:
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        plane = torch.cat([plane, plane.new_tensor([bias])])
    distances = signs * (rows @ (plane / plane.norm()))
    margin, place = (float(found) for found in distances.min(0))
    if not margin > 0:
        raise ValueError(
            f"weight and bias leave example {place:.0f} at distance {margin}; it must be positive"
        )
    ratio = float(rows.norm(dim=1).max()) / margin
    return ratio * ratio


@dataclass(frozen=True, eq=False)
class Cycle:
    """Weights that come back: after ``length`` epochs they are again what they were after ``start``."""

    start: int
    length: int
    updates: tuple[Update, ...]  # of one round


def cycle(inputs: Tensor, labels: Tensor, epochs: int = 1000, *, with_bias: bool = True) -> Cycle | None:
    """The round in which the weights go for ever, where the classes cannot be parted; None if none was found.

    Weights that are the same at the end of two epochs repeat all that lies between. None is the answer for
    classes that were parted, and for inputs whose weights did not return within ``epochs``. It keeps all
    updates until then. Raises what `updates` raises.
    """
    every = updates(inputs, labels, epochs, with_bias=with_bias)
    seen = {(0.0,) * (inputs.shape[1] + 1): 0}
    made: list[list[Update]] = []
    for epoch, group in itertools.groupby(every, key=lambda update: update.epoch):
        made.append(list(group))
        weights = (*made[-1][-1].weight.tolist(), made[-1][-1].bias)
        if weights in seen:
            start = seen[weights]
            return Cycle(start, epoch + 1 - start, tuple(itertools.chain(*made[start:])))
        seen[weights] = epoch + 1
    return None


def exclusive_or() -> tuple[Float[Tensor, "4 2"], Int[Tensor, "4"]]:
    """XOR: two inputs of 0 or 1, and the label 1 where just one of them is 1. No line parts these four."""
    inputs = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    return inputs, torch.tensor([0, 1, 1, 0])


def _signs(inputs: Tensor, labels: Tensor) -> Int[Tensor, "n"]:
    """+1 for label 1 and -1 for label 0."""
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not inputs.numel():
        shapes = f"{tuple(inputs.shape)} and {tuple(labels.shape)}"
        raise ValueError(
            f"inputs and labels have shapes {shapes}; they must be (n, i) and (n,), 1 or more each"
        )
    if not inputs.is_floating_point():
        raise ValueError(f"inputs has dtype {inputs.dtype}; it must hold floating-point numbers")
    if labels.dtype != torch.int64 or not bool(((labels == 0) | (labels == 1)).all()):
        held = sorted(set(labels.tolist()))[:5]
        raise ValueError(f"labels holds {held} as {labels.dtype}; they must be 0 and 1, as int64")
    return 2 * labels - 1


def updates_by_hand(
    inputs: Float[Tensor, "n i"], labels: Int[Tensor, "n"], epochs: int
) -> Float[Tensor, "u j"]:
    """The rule in plain numbers; one row (w, b) after every update."""
    weight, bias = [0.0] * inputs.shape[1], 0.0
    rows: list[list[float]] = []
    for _ in range(epochs):
        before = len(rows)
        for x, label in zip(inputs.tolist(), labels.tolist(), strict=True):
            sign = 1 if label == 1 else -1
            total = bias
            for w, entry in zip(weight, x, strict=True):
                total += w * entry
            if sign * total <= 0:
                weight = [w + sign * entry for w, entry in zip(weight, x, strict=True)]
                bias = bias + sign
                rows.append([*weight, bias])
        if len(rows) == before:
            break
    return torch.tensor(rows, dtype=inputs.dtype)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: whole sequences of weights."""
    from fathom.fundamentals.twin import Twin

    def ours(inputs: Tensor, labels: Tensor) -> Tensor:
        return trajectory(updates(inputs, labels, 20))

    def by_hand(inputs: Tensor, labels: Tensor) -> Tensor:
        return updates_by_hand(inputs, labels, 20)

    dice = torch.Generator().manual_seed(0)
    points = torch.randn(40, 3, dtype=torch.float64, generator=dice)
    labels = (points @ points.new_tensor([1.0, -2.0, 0.5]) > 0.3).long()
    yield Twin("a plane parts them", ours, by_hand, (points, labels), gradients=False)
    yield Twin("XOR", ours, by_hand, exclusive_or(), gradients=False)
