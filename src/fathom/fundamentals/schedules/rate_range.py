"""The range test: try every learning rate once, from far too small to far too large, and read the losses.

Smith (2017, section 3.3) lets the rate grow during one short trial. While it is too small nothing happens;
then the loss begins to fall; where it rises again steps are too long. A good rate lies in between. Let a be
the lowest rate, b the highest and L the loss of a step:

    rate       r(k) = a (b / a)^(k / K)                 equal factors: each size of rate gets as many steps
    smoothed   m <- beta m + (1 - beta) L,  s(k) = m / (1 - beta^(k + 1))
    end        s(k) > 4 min s                           the rest would only explode further

What a person reads off the curve, the "valley" of fastai computes. Of the smoothed losses, without the first
tenth, which tells of the start, and the last five, which tell of the explosion, take the longest descent:
values each below the one before, not necessarily neighbours. The rate half-way into it is suggested. The
rate of the steepest slope would follow the noise of two losses; a long descent is what many agree on.

Axes used below
    k  steps of the trial that were made before this one      K  rates that are to be tried
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fathom.card import Card
from fathom.fundamentals.schedules.warmup import exponential_warmup

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Learning-rate range test",
    paper="https://arxiv.org/abs/1506.01186",
    year=2017,
    summary="Raises the learning rate during one short trial and reads a good one off the losses.",
    rows=("SC06",),
    builds_on=("warmup",),
    differs=(
        "Smith's rate grows in a straight line, and people read the curve; equal factors, the smoothing, the"
        " end of the trial and the valley are fastai's.",
        "The longest descent is found by patience sorting; fastai compares all pairs of losses.",
        "A descent so short that fastai's index is below 0, and so means the end, gives the first place.",
        "Where no loss is below an earlier one, or too few were seen, nothing is suggested.",
    ),
    oracle="the longest descent by scipy's shortest paths, on random losses. fastai is no package of the"
    " tests: its valley and trial are written out again in plain torch; on three nets the same suggestion",
)

DECAY = 0.98  # beta
DIVERGED = 4.0  # times the lowest smoothed loss
SKIPPED_LAST = 5  # losses that the suggestion does not look at; nor does it at the first tenth


def trial_rate(step: float | int, steps: float | int, lowest: float, highest: float) -> float:
    """The rate at ``step`` (0 or more): from ``lowest`` by equal factors to ``highest`` at ``steps``.

    ``steps`` is positive, ``0 < lowest <= highest``. Raises ``ValueError`` outside these ranges.
    """
    if not 0 < lowest <= highest < math.inf:
        raise ValueError(f"lowest is {lowest} and highest is {highest}; they must be 0 < lowest <= highest")
    if not steps > 0:
        raise ValueError(f"steps is {steps}; it must be positive")
    return highest * exponential_warmup(step, steps, lowest / highest)


@dataclass
class Smoothing:
    """The running mean of the losses it is called with, as if it had not begun at zero.

    ``decay``, in [0, 1), is how much of the mean is kept at each loss. Raises ``ValueError`` outside.
    """

    decay: float = DECAY
    mean: float = 0.0
    count: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay is {self.decay}; it must be in [0, 1)")

    def __call__(self, loss: float) -> float:
        self.mean = self.decay * self.mean + (1 - self.decay) * loss
        self.count += 1
        return self.mean / (1 - self.decay**self.count)


def smoothed(losses: Sequence[float], decay: float = DECAY) -> list[float]:
    """Each of ``losses`` with what came before it; ``decay`` as in ``Smoothing``."""
    return [*map(Smoothing(decay), losses)]


def exploded(losses: Sequence[float]) -> bool:
    """Whether the last of these smoothed losses is more than four times the lowest, which may be negative."""
    lowest = min(losses)
    return losses[-1] > lowest + (DIVERGED - 1) * abs(lowest)


def valley(losses: Sequence[float]) -> int | None:
    """The index half-way into the longest descent of ``losses``; None where nothing falls.

    Patience sorting: ``lasts[n]`` is the highest last value of all descents of n + 1 values so far. Raises
    ``ValueError`` where a loss is NaN, which is neither above nor below another.
    """
    if any(map(math.isnan, losses)):
        raise ValueError("losses holds nan; give numbers: a trial ends before its first loss that is none")
    lasts: list[float] = []
    longest, end = 1, 0
    for place, loss in enumerate(losses):
        before = bisect_left(lasts, -loss)
        lasts[before : before + 1] = [-loss]
        if before + 1 > longest:
            longest, end = before + 1, place
    if longest < 2:
        return None
    return max(0, end - longest + longest // 3 + longest // 6)


def suggested_rate(rates: Sequence[float], losses: Sequence[float], planned: int) -> float | None:
    """The rate to try, by the smoothed ``losses`` at ``rates``; None where nothing fell or too few were seen.

    ``planned`` is the number of steps of a trial that does not end early. Raises ``ValueError`` where rates
    and losses are not equally many, or are more than ``planned``, and for what ``valley`` refuses.
    """
    if not len(rates) == len(losses) <= planned:
        raise ValueError(
            f"{len(rates)} rates and {len(losses)} losses of {planned} planned steps: give one of each a step"
        )
    first, last = planned // 10, len(losses) - SKIPPED_LAST
    place = valley(losses[first:last]) if last > first else None
    return None if place is None else rates[first + place]


def trial_rate_by_hand(step: int, steps: int, lowest: float, highest: float) -> float:
    """Multiply by the same at each step: the K-th root of the whole way."""
    rate = lowest
    for _ in range(step):
        rate = rate * (highest / lowest) ** (1 / steps)
    return rate


def smoothed_by_hand(losses: Sequence[float], decay: float = DECAY) -> list[float]:
    """A weighted mean of all losses so far; a loss that is n steps old weighs decay^n."""
    means = []
    for last in range(len(losses)):
        weights = [decay ** (last - k) for k in range(last + 1)]
        total = sum(w * loss for w, loss in zip(weights, losses, strict=False))
        means.append(total / sum(weights))
    return means


def valley_by_hand(losses: Sequence[float]) -> int | None:
    """For each loss the longest descent that ends there: one more than the longest of those it can go on."""
    lengths: list[int] = []
    for place, loss in enumerate(losses):
        before = [lengths[k] for k in range(place) if losses[k] > loss]
        lengths.append(1 + max(before, default=0))
    longest = max(lengths, default=1)
    if longest == 1:
        return None
    third = longest / 3
    start = lengths.index(longest) - longest  # as if its values were neighbours
    return max(0, start + int(third) + int(third / 2))


def suggested_rate_by_hand(rates: Sequence[float], losses: Sequence[float], planned: int) -> float | None:
    """Throw away what is not looked at, then find the valley."""
    seen = [*zip(rates, losses, strict=True)][planned // 10 :][:-SKIPPED_LAST]
    place = valley_by_hand([loss for _, loss in seen])
    return None if place is None else seen[place][0]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    import random

    from fathom.fundamentals.twin import Twin

    dice, steps = random.Random(0), range(60)
    losses = [2.3 - 0.03 * min(k, 40) + 0.05 * max(0, k - 45) + dice.gauss(0, 0.1) for k in steps]
    rates = [trial_rate(k, 80, 1e-7, 10.0) for k in steps]
    yield Twin(
        "rates of the trial",
        lambda: [trial_rate(k, 60, 1e-7, 10.0) for k in steps],
        lambda: [trial_rate_by_hand(k, 60, 1e-7, 10.0) for k in steps],
        (),
        gradients=False,
    )
    yield Twin("smoothed losses", smoothed, smoothed_by_hand, (losses,), gradients=False)
    yield Twin("valley", valley, valley_by_hand, (losses,), gradients=False)
    yield Twin("valley of a rise", valley, valley_by_hand, (sorted(losses),), gradients=False)
    yield Twin("suggestion", suggested_rate, suggested_rate_by_hand, (rates, losses, 80), gradients=False)
