"""Polynomial decay: the learning rate falls to its end along a power of the steps that are left.

Power 1 is the straight line of BERT and most fine-tuning recipes. A power below 1 stays high for longer
and dives at the end: DeepLab (Chen et al. 2016) finds 0.9 better than steps for segmentation.
A power above 1 falls early and leaves many steps to a small rate.

    f(k) = end + (1 - end) (1 - k / K) ^ power

After step K it stays at ``end``.

Axes used below
    k  optimizer steps that were made before this one      K  steps until the end is reached
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Polynomial (and linear) decay",
    paper="https://arxiv.org/abs/1606.00915",
    year=2016,
    summary="Lowers the learning rate along a power of the steps that are left; power 1 is a straight line.",
    rows=("SC05",),
    oracle="torch.optim.lr_scheduler.PolynomialLR, timm's PolyLRScheduler, and transformers'"
    " get_polynomial_decay_schedule_with_warmup; every step",
)


def polynomial_decay(
    step: float | int, steps: float | int, power: float | int = 1.0, end: float | int = 0.0
) -> float:
    """The factor on the learning rate at ``step`` (0 or more): 1 at first, ``end`` from ``steps`` on.

    ``power`` is positive, ``end`` in [0, 1]. Raises ``ValueError`` for values outside these ranges.
    """
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not steps > 0:
        raise ValueError(f"steps is {steps}; it must be positive")
    if not 0 < power < float("inf"):
        raise ValueError(f"power is {power}; it must be positive and finite")
    if not 0 <= end <= 1:
        raise ValueError(f"end is {end}; it must be in [0, 1]")
    return end + (1 - end) * (1 - min(step, steps) / steps) ** power


def polynomial_decay_by_hand(step: int, steps: int, power: float = 1.0, end: float = 0.0) -> float:
    """Walk there: each step keeps the share of the remaining way that lies beyond it, to the power."""
    left = 1.0
    for made in range(1, min(step, steps) + 1):
        left = left * ((steps - made) / (steps - made + 1)) ** power
    return end + (1 - end) * left


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(60)
    for power in (0.9, 1.0, 2.0):
        yield Twin(
            f"polynomial decay, power {power}",
            lambda power=power: [polynomial_decay(k, 50, power, 0.05) for k in steps],
            lambda power=power: [polynomial_decay_by_hand(k, 50, power, 0.05) for k in steps],
            (),
            gradients=False,
        )
