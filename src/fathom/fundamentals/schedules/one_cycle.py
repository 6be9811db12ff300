"""One cycle: up to a rate that would be too high for long, then down to almost nothing.

A large rate regularises: it finds wide, flat minima. Smith (2018) climbs to the highest rate
that the range test allows, comes down again within the same run, and lets momentum move the other way, so
that their product stays moderate. Whole runs become several times shorter.

    up      k in [0, p)     from ``start`` to 1
    down    k in [p, K]     from 1 to ``end``

Each leg is a straight line (the paper) or half a cosine wave (fastai, torch). Momentum falls from ``high``
to ``low`` on the way up and comes back on the way down. After step K both stay where they ended.

Axes used below
    k  optimizer steps that were made before this one      p  step of the peak      K  steps of the cycle
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="One cycle",
    paper="https://arxiv.org/abs/1803.09820",
    year=2018,
    summary="Raises the learning rate to a high peak and lowers it again, once in a run.",
    rows=("SC05",),
    differs=(
        "The end is reached at ``steps``, so the last update of a run of ``steps`` is one step short of it;"
        " torch reaches it with the last update and peaks one step earlier: give steps - 1 and peak - 1.",
    ),
    oracle="torch.optim.lr_scheduler.OneCycleLR (rate and momentum, both shapes), and fastai's combined_cos"
    " written out again; every step",
)

SHAPES = ("cosine", "linear")


def one_cycle(
    step: float | int,
    steps: float | int,
    peak: float | int,
    start: float | int = 0.04,
    end: float | int = 4e-6,
    shape: str = "cosine",
) -> float:
    """The factor on the highest learning rate at ``step`` (0 or more).

    ``peak``, in [0, steps), is the step at which it is 1; ``start`` and ``end`` are in [0, 1]; ``shape`` is
    "cosine" or "linear". Raises ``ValueError`` for values outside these ranges.
    """
    _check(step, steps, peak, shape)
    for name, value in (("start", start), ("end", end)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be in [0, 1]")
    if step < peak:
        return _leg(start, 1.0, step, peak, shape)
    return _leg(1.0, end, step - peak, steps - peak, shape)


def one_cycle_momentum(
    step: float | int,
    steps: float | int,
    peak: float | int,
    high: float = 0.95,
    low: float = 0.85,
    shape: str = "cosine",
) -> float:
    """Momentum (or Adam's beta1) at ``step``: ``high`` at the ends, ``low`` where the rate peaks.

    ``low <= high`` are in [0, 1). Raises ``ValueError`` for values outside the ranges.
    """
    _check(step, steps, peak, shape)
    if not 0 <= low <= high < 1:
        raise ValueError(f"low is {low} and high is {high}; they must be 0 <= low <= high < 1")
    if step < peak:
        return _leg(high, low, step, peak, shape)
    return _leg(low, high, step - peak, steps - peak, shape)


def one_cycle_by_hand(
    step: int, steps: int, peak: int, start: float = 0.04, end: float = 4e-6, shape: str = "cosine"
) -> float:
    """Between which two corners does the step lie, and how much of each is in it?"""
    corners = [(0, start), (peak, 1.0), (steps, end)]
    for (left, here), (right, there) in pairwise(corners):
        if left <= step < right:
            share = (step - left) / (right - left)
            if shape == "cosine":
                share = math.sin(math.pi * share / 2) ** 2
            return here * (1 - share) + there * share
    return end


def one_cycle_momentum_by_hand(
    step: int, steps: int, peak: int, high: float = 0.95, low: float = 0.85, shape: str = "cosine"
) -> float:
    """The rate's own curve from 0 to 1 and back, upside down between ``low`` and ``high``."""
    return high - (high - low) * one_cycle_by_hand(step, steps, peak, 0.0, 0.0, shape)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(60)
    for shape in SHAPES:
        yield Twin(
            f"one cycle, {shape}",
            lambda shape=shape: [one_cycle(k, 50, 15, shape=shape) for k in steps],
            lambda shape=shape: [one_cycle_by_hand(k, 50, 15, shape=shape) for k in steps],
            (),
            gradients=False,
        )
        yield Twin(
            f"momentum of one cycle, {shape}",
            lambda shape=shape: [one_cycle_momentum(k, 50, 15, shape=shape) for k in steps],
            lambda shape=shape: [one_cycle_momentum_by_hand(k, 50, 15, shape=shape) for k in steps],
            (),
            gradients=False,
        )


def _leg(here: float, there: float, step: float | int, steps: float | int, shape: str) -> float:
    if shape == "linear":
        return here + (there - here) * min(step, steps) / steps
    return there + (here - there) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def _check(step: float | int, steps: float | int, peak: float | int, shape: str) -> None:
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not 0 <= peak < steps:
        raise ValueError(f"peak is {peak} and steps is {steps}; they must be 0 <= peak < steps")
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; it must be one of {', '.join(SHAPES)}")
