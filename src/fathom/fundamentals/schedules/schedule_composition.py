"""Schedules together: a schedule is a function of the optimizer step, so two are combined as functions are.

The unit is always the optimizer step. A step that adds up the gradients of several micro-batches is one
step, epochs are not counted, and what was done before a crash plays no part: the rate at step k is f(k), so
a resumed run goes on exactly, in the middle of a warm-up too.

    in sequence    f(k) = f_i(k - m_i)        m_i the last milestone that is <= k
    product        f(k) = f_1(k) f_2(k) ...   a warm-up times a decay, for instance

And one looks at it before training: ``curve`` picks the steps that show its shape.

Axes used below
    k  optimizer steps that were made before this one      m  milestones, in steps
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Learning-rate schedules as functions",
    paper="https://arxiv.org/abs/1206.5533",
    year=2012,
    summary="A schedule is a function of the optimizer step; such functions are put in sequence,"
    " multiplied, and shown as a table before training.",
    rows=("SC01",),
    oracle="torch.optim.lr_scheduler.SequentialLR and ChainedScheduler; the engine's rates with and without"
    " gradient accumulation (tests/training/test_schedules.py)",
)

Function = Callable[[int], float]  # step -> factor on the learning rate


def in_sequence(step: int, schedules: Sequence[Function], milestones: Sequence[int]) -> float:
    """The factor of the schedule in force at ``step`` (0 or more); each counts from its own beginning.

    The first holds from step 0, the others from their milestones, which rise and are one fewer than
    ``schedules``. Raises ``ValueError`` otherwise.
    """
    _check(step, schedules)
    rising = all(a < b for a, b in zip((0, *milestones), milestones, strict=False))
    if len(milestones) != len(schedules) - 1 or not rising:
        raise ValueError(
            f"milestones are {tuple(milestones)}; {len(schedules)} schedules need {len(schedules) - 1} of"
            " them, positive and rising"
        )
    index = sum(step >= milestone for milestone in milestones)
    return schedules[index](step - (milestones[index - 1] if index else 0))


def product(step: int, schedules: Sequence[Function]) -> float:
    """The product of the factors of all ``schedules``, at least one, at ``step`` (0 or more)."""
    _check(step, schedules)
    return math.prod(schedule(step) for schedule in schedules)


def curve(schedule: Function, steps: int, rows: int = 10) -> list[tuple[int, float]]:
    """About ``rows`` points (step, factor) of a run of ``steps`` that show the shape of ``schedule``.

    They are evenly spaced, from the first step to the last, and the highest and the lowest point are among
    them. ``steps`` is 1 or more, ``rows`` 2 or more; ``ValueError`` otherwise.
    """
    if steps < 1 or rows < 2:
        raise ValueError(f"steps is {steps} and rows is {rows}; they must be at least 1 and 2")
    factors = [schedule(step) for step in range(steps)]
    shown = {round(row * (steps - 1) / (rows - 1)) for row in range(rows)}
    shown |= {factors.index(max(factors)), factors.index(min(factors))}
    return [(step, factors[step]) for step in sorted(shown)]


def in_sequence_by_hand(step: int, schedules: Sequence[Function], milestones: Sequence[int]) -> float:
    """Walk there with one counter, set back to 0 at each milestone, where the next schedule takes over."""
    turn, counted = 0, 0
    for passed in range(1, step + 1):
        counted = counted + 1
        if passed in milestones:
            turn, counted = turn + 1, 0
    return schedules[turn](counted)


def product_by_hand(step: int, schedules: Sequence[Function]) -> float:
    """One factor after another."""
    total = 1.0
    for schedule in schedules:
        total = total * schedule(step)
    return total


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    parts: list[Function] = [
        lambda step: (step + 1) / 10,
        lambda step: 1.0,
        lambda step: 1 / (1 + step),
    ]
    steps, milestones = range(60), (9, 30)
    yield Twin(
        "in sequence",
        lambda: [in_sequence(k, parts, milestones) for k in steps],
        lambda: [in_sequence_by_hand(k, parts, milestones) for k in steps],
        (),
        gradients=False,
    )
    yield Twin(
        "product",
        lambda: [product(k, parts) for k in steps],
        lambda: [product_by_hand(k, parts) for k in steps],
        (),
        gradients=False,
    )


def _check(step: int, schedules: Sequence[Function]) -> None:
    if step < 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not schedules:
        raise ValueError("schedules is empty; give at least one")
