"""Scaling rules: which learning rate suits a batch of another size?

A batch kappa times as large replaces kappa small steps. If the gradient hardly changes over those, one step
at kappa times the rate goes equally far: the linear rule (Goyal et al. 2017, section 2.1), for SGD, as long
as a warm-up carries the first steps. If instead the noise of a step is to stay the same, note that the
noise of a mean over B examples falls as 1 / sqrt(B), and so the rate may grow as sqrt(kappa) (Krizhevsky
2014). Adam divides the gradient by its size, noise included, which is why the square-root rule
is the one for Adam; Malladi et al. (2022) move its other settings along.

    linear          rate' = rate kappa
    square root     rate' = rate sqrt(kappa)
    Adam            the same, 1 - beta' = kappa (1 - beta) for both betas, epsilon' = epsilon / sqrt(kappa)

Axes used below
    B  examples in a batch      kappa  new batch size over the old one
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Batch-size scaling rules",
    paper="https://arxiv.org/abs/1706.02677",
    year=2017,
    summary="Says how the learning rate should change when the batch becomes larger or smaller.",
    rows=("SC07",),
    differs=("Rules of thumb: they hold up to a critical batch size that no formula here knows.",),
    oracle="properties: kappa SGD steps on a linear loss equal one scaled step; the noise of a scaled step"
    " is that of the small one; Adam's memory spans as many examples as before",
)


def linear_scaling(rate: float, batch_size: int, reference: int) -> float:
    """The rate for ``batch_size`` when ``rate`` suits ``reference`` examples a step (SGD).

    ``rate`` is positive, both sizes 1 or more. Raises ``ValueError`` for values outside these ranges.
    """
    _check(rate, batch_size, reference)
    return rate * batch_size / reference


def square_root_scaling(rate: float, batch_size: int, reference: int) -> float:
    """The rate that keeps the noise of a step, or suits Adam; ranges as in ``linear_scaling``."""
    _check(rate, batch_size, reference)
    return rate * math.sqrt(batch_size / reference)


def adam_scaling(
    rate: float, betas: tuple[float, float], epsilon: float, batch_size: int, reference: int
) -> tuple[float, tuple[float, float], float]:
    """Learning rate, betas and epsilon of Adam for ``batch_size`` when those given suit ``reference``.

    Each beta is in [0, 1), epsilon 0 or more. Raises ``ValueError`` outside the ranges, and where the batch
    is so large that a beta would fall below 0: one step then holds more than Adam's whole memory.
    """
    _check(rate, batch_size, reference)
    if any(not 0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas are {betas}; each must be in [0, 1)")
    if not epsilon >= 0:
        raise ValueError(f"epsilon is {epsilon}; it must be 0 or more")
    kappa = batch_size / reference
    first, second = (1 - kappa * (1 - beta) for beta in betas)
    if min(first, second) < 0:
        largest = int(reference / (1 - min(betas)))
        raise ValueError(
            f"batch_size is {batch_size}; with betas {betas} at {reference} it must be at most {largest}"
        )
    return square_root_scaling(rate, batch_size, reference), (first, second), epsilon / math.sqrt(kappa)


def linear_scaling_by_hand(rate: float, batch_size: int, reference: int) -> float:
    """Each example moves the weights by its share of the small step; add up those of the new batch."""
    total = 0.0
    for _ in range(batch_size):
        total = total + rate / reference
    return total


def square_root_scaling_by_hand(rate: float, batch_size: int, reference: int) -> float:
    """Variances add up: give the sum over the new batch the variance of as many small shares."""
    variance = 0.0
    for _ in range(batch_size):
        variance = variance + rate**2 / reference
    return variance**0.5


def adam_scaling_by_hand(
    rate: float, betas: tuple[float, float], epsilon: float, batch_size: int, reference: int
) -> tuple[float, tuple[float, float], float]:
    """Adam remembers 1 / (1 - beta) steps: count that memory in examples and keep it."""
    first, second = (reference / (1 - beta) for beta in betas)
    noise = (reference / batch_size) ** 0.5
    return rate / noise, (1 - batch_size / first, 1 - batch_size / second), epsilon * noise


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    sizes = (1, 8, 64, 100, 512)
    yield Twin(
        "linear scaling",
        lambda: [linear_scaling(0.1, size, 256) for size in sizes],
        lambda: [linear_scaling_by_hand(0.1, size, 256) for size in sizes],
        (),
        gradients=False,
    )
    yield Twin(
        "square-root scaling",
        lambda: [square_root_scaling(0.1, size, 256) for size in sizes],
        lambda: [square_root_scaling_by_hand(0.1, size, 256) for size in sizes],
        (),
        gradients=False,
    )
    yield Twin(
        "Adam scaling",
        lambda: [adam_scaling(0.1, (0.9, 0.999), 1e-8, size, 256) for size in sizes],
        lambda: [adam_scaling_by_hand(0.1, (0.9, 0.999), 1e-8, size, 256) for size in sizes],
        (),
        gradients=False,
    )


def _check(rate: float, batch_size: int, reference: int) -> None:
    if not 0 < rate < math.inf:
        raise ValueError(f"rate is {rate}; it must be positive and finite")
    for name, value in (("batch_size", batch_size), ("reference", reference)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
