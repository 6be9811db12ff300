"""Gradient descent: downhill on all the data, on a handful of examples, or on one.

The loss of a network is a mean over N examples, and so its gradient is the mean of theirs, g = 1/N sum g_i.

    batch         w <- w - r g(w)                                      all N examples, one sure step
    stochastic    w <- w - r g_i(w)                                    one example, N rough steps
    mini-batch    w <- w - r g_B(w),   g_B = 1/B sum over the batch    B examples, N / B steps

A mini-batch gradient is right on average, and off by an amount that B alone decides. Drawn without
replacement, as in an epoch, with sigma^2 = 1/N sum |g_i - g|^2 (Cochran 1977, theorem 2.2):

    E |g_B - g|^2 = sigma^2 / B * (1 - (B - 1) / (N - 1))

Four times the work halves the typical error, and that is why small batches win as long as steps are cheap
(Bottou, Curtis and Nocedal 2018, section 3). Close to the minimum g vanishes and the noise does not: there a
constant r stops getting nearer, and has to fall (Robbins and Monro 1951).

How fast a sure step descends is in ``mathematics/descent.py``; momentum and the like are in ``optimizers/``.

Axes used below
    n  examples, N      p  parameters, all in one row      k  steps, the start included      s  batch sizes
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import positive

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Gradient descent: batch, stochastic, mini-batch",
    paper="https://doi.org/10.1214/aoms/1177729586",
    year=1951,
    summary="Walks downhill by the slope of all examples, of a few or of one, and measures the difference.",
    rows=("NF08",),
    builds_on=("sgd",),
    differs=(
        "Rows come in a new order each epoch, without replacement; Robbins and Monro draw independently.",
        "The step size is constant; the theorem of 1951 needs one that falls like 1 / k.",
    ),
    oracle="torch.optim.SGD bit for bit over 1,000 steps in float64; every subset of a small data set",
)

Loss = Callable[..., Tensor]  # loss(parameters, *columns of a batch) -> the mean over its rows, one number


class Trajectory(NamedTuple):
    """Where the parameters went."""

    points: list[Tensor]  # for each parameter (k, *shape): the start, and the place after each step
    losses: Tensor  # (k - 1,): of each batch, before its step


def gradient_descent(
    loss: Loss,
    parameters: Sequence[Tensor],
    data: Sequence[Tensor],
    learning_rate: float,
    steps: int,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Trajectory:
    """Take ``steps`` steps down ``loss(parameters, *batch)``, a mean over the rows of the batch.

    ``data`` are columns with one row per example. ``batch_size`` None, or their number N, is batch gradient
    descent; 1 is the stochastic one. The order of rows is drawn from ``generator``, or torch's global one.
    The parameters given are left as they are. Raises ``ValueError`` for a batch size outside 1 to N, columns
    that do not fit, settings out of range, and at a loss that is not finite, with the step.
    """
    count = _rows(parameters, data)
    size = count if batch_size is None else batch_size
    positive(learning_rate, "learning_rate")
    if steps < 0:
        raise ValueError(f"steps is {steps}; it must be 0 or more")
    current = [p.detach().clone().requires_grad_() for p in parameters]
    paths, losses = [[p.detach().clone()] for p in current], []
    for step, rows in zip(range(steps), batches(count, size, generator), strict=False):
        value, slopes = _slopes(loss, current, [column[rows] for column in data])
        if not math.isfinite(value):
            raise ValueError(
                f"the loss of step {step} is {float(value)}; lower learning_rate {learning_rate}"
            )
        losses.append(value)
        with torch.no_grad():
            for parameter, slope, path in zip(current, slopes, paths, strict=True):
                parameter.add_(slope, alpha=-learning_rate)  # rounds once, as torch's optimizers do
                path.append(parameter.detach().clone())
    points = [torch.stack(path) for path in paths]
    return Trajectory(points, torch.stack(losses) if losses else points[0].new_zeros(0))


def batches(count: int, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """Row numbers of one batch after the other, without end; an epoch visits each of ``count`` rows once.

    Every epoch has a new order; its last batch is smaller where ``batch_size`` does not divide ``count``. A
    batch of all rows keeps their order, and draws nothing.
    """
    if not 1 <= batch_size <= count:
        raise ValueError(f"batch_size is {batch_size}; with {count} examples it must be in 1 to {count}")
    return _epochs(count, batch_size, generator)


def _epochs(count: int, batch_size: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    while True:
        if batch_size == count:
            yield torch.arange(count)
        else:
            yield from torch.randperm(count, generator=generator).split(batch_size)


def gradient_descent_by_hand(
    weights: Float[Tensor, "p"],
    inputs: Float[Tensor, "n p"],
    targets: Float[Tensor, "n"],
    learning_rate: float,
    steps: int,
    batch_size: int,
    generator: torch.Generator,
) -> Float[Tensor, "k p"]:
    """Least squares, the slope written out: the mean over the batch of (x w - y)^2 has 2 (x w - y) x."""
    path: list[Tensor] = [weights]
    waiting: list[int] = []  # what this epoch has not seen yet
    for _ in range(steps):
        if not waiting:
            waiting = torch.randperm(len(inputs), generator=generator).tolist()
        batch, waiting = waiting[:batch_size], waiting[batch_size:]
        slope = torch.zeros_like(weights)
        for i in batch:
            error = (inputs[i] * path[-1]).sum() - targets[i]
            slope = slope + 2 * error * inputs[i] / len(batch)
        path.append(path[-1] - learning_rate * slope)
    return torch.stack(path)


class GradientNoise(NamedTuple):
    """How far mini-batch gradients are from the full one: a plot of ``measured`` over ``batch_sizes``."""

    batch_sizes: list[int]
    measured: Tensor  # (s,): mean of |g_B - g|^2 over the draws
    errors: Tensor  # (s,): the standard error of that mean
    expected: Tensor  # (s,): by the formula, from the gradient of every example


def gradient_noise(
    loss: Loss,
    parameters: Sequence[Tensor],
    data: Sequence[Tensor],
    batch_sizes: Sequence[int],
    draws: int = 200,
    generator: torch.Generator | None = None,
) -> GradientNoise:
    """Draw ``draws`` batches of each size, and measure how far their gradients are from the full one.

    Loss, parameters and data are those of ``gradient_descent``. ``ValueError`` for fewer than 2 draws, no
    batch sizes, and where ``gradient_descent`` raises it.
    """
    count = _rows(parameters, data)
    if draws < 2:
        raise ValueError(f"draws is {draws}; it must be 2 or more")
    if not batch_sizes:
        raise ValueError("batch_sizes is empty; give at least one")
    single = per_example_gradients(loss, parameters, data)
    expected = torch.stack([expected_noise(single, size) for size in batch_sizes])
    current = [p.detach().clone().requires_grad_() for p in parameters]
    full = _flat(_slopes(loss, current, data)[1])
    measured, errors = [], []
    for size in batch_sizes:
        distances = []
        for _ in range(draws):
            rows = torch.randperm(count, generator=generator)[:size]
            slopes = _flat(_slopes(loss, current, [column[rows] for column in data])[1])
            distances.append((slopes - full).square().sum())
        found = torch.stack(distances)
        measured.append(found.mean())
        errors.append(found.std() / math.sqrt(draws))
    return GradientNoise(list(batch_sizes), torch.stack(measured), torch.stack(errors), expected)


def expected_noise(gradients: Float[Tensor, "n p"], batch_size: int) -> Float[Tensor, ""]:
    """The mean squared distance of a batch's gradient from that of all n, drawn without replacement.

    ``gradients`` holds one example a row. ``ValueError`` for a batch size outside 1 to n.
    """
    count = len(gradients)
    if not 1 <= batch_size <= count:
        raise ValueError(f"batch_size is {batch_size}; with {count} examples it must be in 1 to {count}")
    variance = (gradients - gradients.mean(dim=0)).square().sum(dim=1).mean()
    return variance / batch_size * (1 - (batch_size - 1) / max(1, count - 1))


def expected_noise_by_hand(gradients: Float[Tensor, "n p"], batch_size: int) -> Float[Tensor, ""]:
    """The mean over every batch that there is."""
    full = gradients.sum(dim=0) / len(gradients)
    distances = []
    for batch in itertools.combinations(range(len(gradients)), batch_size):
        off = sum(gradients[i] for i in batch) / batch_size - full
        distances.append((off * off).sum())
    return torch.stack(distances).sum() / len(distances)


def per_example_gradients(
    loss: Loss, parameters: Sequence[Tensor], data: Sequence[Tensor]
) -> Float[Tensor, "n p"]:
    """The gradient of each example by itself, all at once; the parameters follow each other in a row."""
    _rows(parameters, data)

    def of_one(held: list[Tensor], *row: Tensor) -> Tensor:
        return loss(held, *(cell[None] for cell in row))

    places = (None, *[0] * len(data))
    held = [p.detach() for p in parameters]
    slopes = torch.func.vmap(torch.func.grad(of_one), in_dims=places)(held, *data)
    return torch.cat([slope.flatten(1) for slope in slopes], dim=1)


def per_example_gradients_by_hand(
    loss: Loss, parameters: Sequence[Tensor], data: Sequence[Tensor]
) -> Float[Tensor, "n p"]:
    """One example after the other."""
    rows = []
    for i in range(len(data[0])):
        held = [p.detach().requires_grad_() for p in parameters]
        slopes = torch.autograd.grad(loss(held, *(column[i : i + 1] for column in data)), held)
        rows.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(rows)


def _slopes(
    loss: Loss, parameters: list[Tensor], columns: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    value = loss(parameters, *columns)
    if value.ndim:
        raise ValueError(
            f"loss has shape {tuple(value.shape)}; it must be one number, the mean over the rows"
        )
    return value.detach(), torch.autograd.grad(value, parameters)


def _flat(slopes: Sequence[Tensor]) -> Tensor:
    return torch.cat([slope.flatten() for slope in slopes])


def _rows(parameters: Sequence[Tensor], data: Sequence[Tensor]) -> int:
    """The number of examples, 1 or more."""
    if not parameters or not all(p.is_floating_point() for p in parameters):
        kinds = [str(p.dtype) for p in parameters]
        raise ValueError(f"parameters have the dtypes {kinds}; give one or more, of floating-point numbers")
    counts = [len(column) if column.ndim else 0 for column in data]
    if len(set(counts)) != 1 or not counts[0]:
        raise ValueError(f"data has columns of {counts} rows; they must have as many each, 1 or more")
    return counts[0]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weights, inputs, targets, gradients = (
        torch.randn(s, generator=dice, dtype=torch.float64) for s in ((3,), (7, 3), (7,), (6, 3))
    )

    def squares(held: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
        return ((x @ held[0] - y) ** 2).mean()

    def path(w: Tensor, x: Tensor, y: Tensor, size: int) -> Tensor:
        order = torch.Generator().manual_seed(3)
        return gradient_descent(squares, [w], (x, y), 0.05, 40, size, order).points[0]

    def path_by_hand(w: Tensor, x: Tensor, y: Tensor, size: int) -> Tensor:
        return gradient_descent_by_hand(w, x, y, 0.05, 40, size, torch.Generator().manual_seed(3))

    for kind, size in (("batch", 7), ("stochastic", 1), ("mini-batch", 3)):
        yield Twin(f"{kind} descent", path, path_by_hand, (weights, inputs, targets, size), gradients=False)
    for size in (1, 2, 5, 6):
        yield Twin(f"expected noise, {size}", expected_noise, expected_noise_by_hand, (gradients, size))
    yield Twin(
        "per-example gradients",
        lambda w, x, y: per_example_gradients(squares, [w], (x, y)),
        lambda w, x, y: per_example_gradients_by_hand(squares, [w], (x, y)),
        (weights, inputs, targets),
        gradients=False,
    )
