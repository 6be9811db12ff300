"""Exponential decay: the learning rate shrinks by the same factor at every step.

It is step decay without the stairs. Where the loss is a bowl, gradient descent closes in on the minimum by
a constant factor a step, and a rate that falls in proportion keeps the ratio of step to distance. Senior et
al. (2013) compare it with a power law and with decay on demand, for speech recognition.

    f(k) = factor ^ k

A factor of 0.5 ^ (1 / h) halves the rate every h steps.

Axes used below
    k  optimizer steps that were made before this one
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Exponential decay",
    paper="https://doi.org/10.1109/ICASSP.2013.6638963",
    year=2013,
    summary="Multiplies the learning rate by the same factor at every step.",
    rows=("SC05",),
    oracle="torch.optim.lr_scheduler.ExponentialLR, every step of 1,000",
)


def exponential_decay(step: float | int, factor: float) -> float:
    """The factor on the learning rate at ``step`` (0 or more), ``factor`` in (0, 1] a step.

    Raises ``ValueError`` for values outside these ranges.
    """
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not 0 < factor <= 1:
        raise ValueError(f"factor is {factor}; it must be in (0, 1]")
    return factor**step


def exponential_decay_by_hand(step: int, factor: float) -> float:
    """Multiply once for each step that was made."""
    rate = 1.0
    for _ in range(step):
        rate = rate * factor
    return rate


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(100)
    yield Twin(
        "exponential decay",
        lambda: [exponential_decay(k, 0.93) for k in steps],
        lambda: [exponential_decay_by_hand(k, 0.93) for k in steps],
        (),
        gradients=False,
    )
