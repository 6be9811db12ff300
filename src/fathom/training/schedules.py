"""Learning-rate schedules by value: the part of a run that is done -> a factor on the learning rate.

A schedule never knows a number of steps, so a run of any length has the whole shape. The unit is
the optimizer step; gradient accumulation does not stretch it.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    def __call__(self, progress: float) -> float:
        """The factor at ``progress``, the fraction of the run that is done, in [0, 1)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The learning rate itself, from first step to last."""

    def __call__(self, progress: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class WarmupCosine:
    """Up in a straight line, then down along half a cosine to ``floor`` (Loshchilov and Hutter 2017)."""

    warmup: float = 0.05
    floor: float = 0.0

    def __post_init__(self) -> None:
        _fraction("warmup", self.warmup)
        _fraction("floor", self.floor)

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        done = (progress - self.warmup) / (1 - self.warmup)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """Up from ``start`` to 1 until ``peak``, then down to ``end``, both along a cosine (Smith 2018)."""

    peak: float = 0.3
    start: float = 0.04
    end: float = 0.0

    def __post_init__(self) -> None:
        for name in ("peak", "start", "end"):
            _fraction(name, getattr(self, name))

    def __call__(self, progress: float) -> float:
        if progress < self.peak:
            return _cosine(self.start, 1.0, progress / self.peak)
        return _cosine(1.0, self.end, (progress - self.peak) / (1 - self.peak))


@dataclass(frozen=True, kw_only=True)
class Triangle:
    """Up in a straight line from ``start`` to 1 until ``peak``, then down in one to ``end``."""

    peak: float = 0.2
    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        for name in ("peak", "start", "end"):
            _fraction(name, getattr(self, name))

    def __call__(self, progress: float) -> float:
        if progress < self.peak:
            return self.start + (1 - self.start) * progress / self.peak
        return 1 + (self.end - 1) * (progress - self.peak) / (1 - self.peak)


@dataclass(frozen=True, kw_only=True)
class Drops:
    """Times ``factor`` at each fraction of the run named in ``at``."""

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __call__(self, progress: float) -> float:
        return self.factor ** sum(progress >= a for a in self.at)


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it is a fraction in [0, 1)")
