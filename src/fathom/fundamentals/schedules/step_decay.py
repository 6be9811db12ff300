"""Step decay: leave the learning rate alone, and cut it by a factor now and then.

A large rate crosses the landscape quickly, but bounces to and fro in the narrow valley it ends in; a cut
lets it settle, and the loss falls once more. The cuts come at regular intervals, or where the author of a
recipe has seen the curves grow flat: He et al. (2016, section 4.2) divide by 10 after 32,000 and 48,000 of
64,000 steps.

    step decay          f(k) = factor ^ floor(k / every)
    multi-step decay    f(k) = factor ^ (number of milestones that are <= k)

Axes used below
    k  optimizer steps that were made before this one; lengths are in the same unit
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Step and multi-step decay",
    paper="https://arxiv.org/abs/1512.03385",
    year=2015,
    summary="Keeps the learning rate constant and multiplies it by a factor at chosen steps.",
    rows=("SC02",),
    differs=("Any unit serves for step and lengths: the engine counts in runs, so its step is below 1.",),
    oracle="torch.optim.lr_scheduler.StepLR and MultiStepLR, timm's StepLRScheduler and MultiStepLRScheduler;"
    " every step",
)


def step_decay(step: float | int, every: float | int, factor: float = 0.1) -> float:
    """The factor on the learning rate at ``step`` (0 or more) when it is cut after each ``every`` steps.

    ``factor`` is in (0, 1]. Raises ``ValueError`` for values outside these ranges.
    """
    _check(step, factor)
    if not every > 0:
        raise ValueError(f"every is {every}; it must be positive")
    return factor ** (step // every)


def multi_step_decay(step: float | int, milestones: Sequence[float | int], factor: float = 0.1) -> float:
    """The factor on the learning rate at ``step`` when it is cut at each of ``milestones`` (0 or more).

    A milestone that is named twice cuts twice. Raises ``ValueError`` for values outside the ranges.
    """
    _check(step, factor)
    if any(not milestone >= 0 for milestone in milestones):
        raise ValueError(f"milestones are {tuple(milestones)}; each must be 0 or more")
    return factor ** sum(step >= milestone for milestone in milestones)


def step_decay_by_hand(step: int, every: int, factor: float = 0.1) -> float:
    """Walk there one step at a time, and cut whenever ``every`` steps have passed."""
    rate, waited = 1.0, 0
    for _ in range(step):
        waited += 1
        if waited == every:
            rate, waited = rate * factor, 0
    return rate


def multi_step_decay_by_hand(step: int, milestones: Sequence[int], factor: float = 0.1) -> float:
    """Walk there one step at a time, and cut at each milestone that is passed."""
    rate = 1.0
    for passed in range(step + 1):
        for milestone in milestones:
            if passed == milestone:
                rate = rate * factor
    return rate


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps, at = range(60), (5, 17, 17, 40)
    yield Twin(
        "step decay",
        lambda: [step_decay(k, 7, 0.3) for k in steps],
        lambda: [step_decay_by_hand(k, 7, 0.3) for k in steps],
        (),
        gradients=False,
    )
    yield Twin(
        "multi-step decay",
        lambda: [multi_step_decay(k, at, 0.3) for k in steps],
        lambda: [multi_step_decay_by_hand(k, at, 0.3) for k in steps],
        (),
        gradients=False,
    )


def _check(step: float | int, factor: float) -> None:
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not 0 < factor <= 1:
        raise ValueError(f"factor is {factor}; it must be in (0, 1]")
