"""Warm-up: begin with small steps, because the first gradients say little about where to go.

Fresh weights change fast, and an adaptive optimizer has seen too few gradients to know their size; a full
step taken then may do harm that the rest of the run does not undo. Goyal et al. (2017, section 2.2) raise
the rate in a straight line. By equal factors it spends its time on the small rates: the ramp of the range
test. Ma and Yarats (2021) tie the ramp to Adam's memory, so that nothing is left to tune.

    linear        f(k) = start + (1 - start) k / K
    exponential   f(k) = start ^ (1 - k / K)
    untuned       f(k) = 1 - exp(-(1 - beta2) (k + 1))          for Adam with decay beta2

The first two are 1 from step K on. Multiply them with a schedule, or put them before one.

Axes used below
    k  optimizer steps that were made before this one      K  steps of the warm-up
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Warm-up",
    paper="https://arxiv.org/abs/1706.02677",
    year=2017,
    summary="Raises the learning rate from a small value during the first steps of a run.",
    rows=("SC04",),
    differs=(
        "A straight line from 0 wastes the first step, whose rate is 0, as that of transformers does; a"
        " ``start`` above 0 avoids it.",
    ),
    oracle="torch.optim.lr_scheduler.LinearLR and ExponentialLR; four schedules of transformers.optimization,"
    " by way of their formulas, which equal them; every step",
)


def linear_warmup(step: float | int, steps: float | int, start: float | int = 0.0) -> float:
    """The factor on the learning rate at ``step`` (0 or more): from ``start`` in a straight line to 1.

    ``steps`` is 0 (no warm-up) or more, ``start`` in [0, 1]. Raises ``ValueError`` outside these ranges.
    """
    _check(step, steps)
    if not 0 <= start <= 1:
        raise ValueError(f"start is {start}; it must be in [0, 1]")
    return 1.0 if step >= steps else start + (1 - start) * step / steps


def exponential_warmup(step: float | int, steps: float | int, start: float | int = 1e-3) -> float:
    """The factor on the learning rate at ``step`` (0 or more): from ``start`` by equal factors to 1.

    ``steps`` is 0 (no warm-up) or more, ``start`` in (0, 1]. Raises ``ValueError`` outside these ranges.
    """
    _check(step, steps)
    if not 0 < start <= 1:
        raise ValueError(f"start is {start}; it must be in (0, 1], from 0 no factor leads to 1")
    return 1.0 if step >= steps else start ** (1 - step / steps)


def untuned_warmup(step: float | int, beta2: float = 0.999) -> float:
    """The factor on Adam's learning rate at ``step`` (0 or more) that needs no length (Ma and Yarats).

    ``beta2``, in [0, 1), is Adam's decay of squared gradients. Raises ``ValueError`` outside these ranges.
    """
    _check(step, 0)
    if not 0 <= beta2 < 1:
        raise ValueError(f"beta2 is {beta2}; it must be in [0, 1)")
    return -math.expm1(-(1 - beta2) * (step + 1))


def linear_warmup_by_hand(step: int, steps: int, start: float = 0.0) -> float:
    """Add the same at each step until nothing is missing."""
    rate = start if steps else 1.0
    for _ in range(min(step, steps)):
        rate = rate + (1 - start) / steps
    return rate


def exponential_warmup_by_hand(step: int, steps: int, start: float = 1e-3) -> float:
    """Multiply by the same at each step: the K-th root of what is missing."""
    rate = start if steps else 1.0
    for _ in range(min(step, steps)):
        rate = rate * (1 / start) ** (1 / steps)
    return rate


def untuned_warmup_by_hand(step: int, beta2: float = 0.999) -> float:
    """What is missing shrinks by a constant factor, once before the first step and once after each."""
    missing = 1.0
    for _ in range(step + 1):
        missing = missing * math.exp(beta2 - 1)
    return 1 - missing


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(40)
    yield Twin(
        "linear warm-up",
        lambda: [linear_warmup(k, 30, 0.01) for k in steps],
        lambda: [linear_warmup_by_hand(k, 30, 0.01) for k in steps],
        (),
        gradients=False,
    )
    yield Twin(
        "exponential warm-up",
        lambda: [exponential_warmup(k, 30, 0.01) for k in steps],
        lambda: [exponential_warmup_by_hand(k, 30, 0.01) for k in steps],
        (),
        gradients=False,
    )
    yield Twin(
        "untuned warm-up",
        lambda: [untuned_warmup(k, 0.95) for k in steps],
        lambda: [untuned_warmup_by_hand(k, 0.95) for k in steps],
        (),
        gradients=False,
    )


def _check(step: float | int, steps: float | int) -> None:
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not steps >= 0:
        raise ValueError(f"steps is {steps}; it must be 0 or more")
