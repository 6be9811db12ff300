"""Learning-rate schedules by value: the part of a run that is done -> a factor on the learning rate.

A schedule never knows a number of steps, so a run of any length has the whole shape. The unit is
the optimizer step; gradient accumulation does not stretch it. The curves are those of
``fathom.fundamentals.schedules``, asked for with the whole run as the unit of length.

A schedule keeps nothing, but for one: ``Plateau`` cuts the rate when evaluations stop getting better. What
it has seen is kept by the learner, who is told each score and saves that memory with the checkpoint.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from fathom.errors import InputError
from fathom.fundamentals.schedules import plateau
from fathom.fundamentals.schedules.cosine_annealing import cosine_annealing, cosine_restarts
from fathom.fundamentals.schedules.exponential_decay import exponential_decay
from fathom.fundamentals.schedules.inverse_square_root import inverse_square_root
from fathom.fundamentals.schedules.one_cycle import one_cycle
from fathom.fundamentals.schedules.polynomial_decay import polynomial_decay
from fathom.fundamentals.schedules.schedule_composition import curve
from fathom.fundamentals.schedules.step_decay import multi_step_decay
from fathom.fundamentals.schedules.warmup import exponential_warmup, linear_warmup
from fathom.fundamentals.schedules.warmup_stable_decay import SHAPES, warmup_stable_decay


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
            return linear_warmup(progress, self.warmup)
        return cosine_annealing(progress - self.warmup, 1 - self.warmup, self.floor)


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
        return one_cycle(progress, 1, self.peak, self.start, self.end, "cosine")


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
        return one_cycle(progress, 1, self.peak, self.start, self.end, "linear")


@dataclass(frozen=True, kw_only=True)
class Drops:
    """Times ``factor`` at each fraction of the run named in ``at``."""

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        for at in self.at:
            _fraction("at", at)
        _positive_share("factor", self.factor)

    def __call__(self, progress: float) -> float:
        return multi_step_decay(progress, self.at, self.factor)


@dataclass(frozen=True, kw_only=True)
class Exponential:
    """Down by the same factor at each step, so that ``end`` would be reached after the last."""

    end: float = 0.01

    def __post_init__(self) -> None:
        _positive_share("end", self.end)

    def __call__(self, progress: float) -> float:
        return exponential_decay(progress, self.end)


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """Down to ``end`` along a power of what is left of the run; power 1 is a straight line."""

    power: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _fraction("end", self.end)
        if not 0 < self.power < float("inf"):
            raise ValueError(f"power is {self.power}; it must be positive and finite")

    def __call__(self, progress: float) -> float:
        return polynomial_decay(progress, 1, self.power, self.end)


@dataclass(frozen=True, kw_only=True)
class CosineRestarts:
    """``cycles`` waves down to ``floor``, each ``stretch`` times as long as the one before (SGDR).

    ``decay`` multiplies the height at which a wave begins.
    """

    cycles: int = 3
    stretch: float = 1.0
    decay: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        _fraction("floor", self.floor)
        _positive_share("decay", self.decay)
        if self.cycles < 1:
            raise ValueError(f"cycles is {self.cycles}; it must be 1 or more")
        if not 1 <= self.stretch < float("inf"):
            raise ValueError(f"stretch is {self.stretch}; it must be 1 or more")

    def __call__(self, progress: float) -> float:
        waves = sum(self.stretch**i for i in range(self.cycles))  # length of the run in first waves
        done = round(progress * waves, 12)  # a hair before a restart is a restart
        return cosine_restarts(done, 1, self.stretch, self.floor, self.decay)


@dataclass(frozen=True, kw_only=True)
class InverseSquareRoot:
    """Up in a straight line, then down as one over the square root of the step (Vaswani et al. 2017)."""

    warmup: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; it is a fraction in (0, 1)")

    def __call__(self, progress: float) -> float:
        return inverse_square_root(progress, self.warmup)


@dataclass(frozen=True, kw_only=True)
class WarmupStableDecay:
    """Up in a straight line, flat, and down to ``floor`` in the last part of the run (Hu et al. 2024)."""

    warmup: float = 0.05
    decay: float = 0.2
    floor: float = 0.0
    shape: Literal["linear", "cosine", "square_root"] = "linear"  # of the decay

    def __post_init__(self) -> None:
        for name in ("warmup", "decay", "floor"):
            _fraction(name, getattr(self, name))
        if self.warmup + self.decay > 1:
            raise ValueError(f"warmup {self.warmup} and decay {self.decay} are more than the whole run")
        if self.shape not in SHAPES:
            raise ValueError(f"shape is {self.shape!r}; it must be one of {', '.join(SHAPES)}")

    def __call__(self, progress: float) -> float:
        stable = max(0.0, 1 - self.warmup - self.decay)
        return warmup_stable_decay(progress, self.warmup, stable, self.decay, self.floor, shape=self.shape)


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """A warm-up over the first ``share`` of the run, and then the whole of another schedule.

    The rate rises from ``start`` to 1 in a straight line ("linear") or by equal factors ("exponential").
    """

    then: Schedule = field(default_factory=Constant)
    share: float = 0.05
    start: float = 0.001
    shape: Literal["linear", "exponential"] = "linear"

    def __post_init__(self) -> None:
        _fraction("share", self.share)
        _fraction("start", self.start)
        if self.shape not in ("linear", "exponential"):
            raise ValueError(f"shape is {self.shape!r}; it must be 'linear' or 'exponential'")
        if self.shape == "exponential":
            _positive_share("start", self.start)
        if isinstance(self.then, Plateau):
            raise ValueError("then is Plateau, which stands outside: Plateau(inner=Warmup(...))")

    def __call__(self, progress: float) -> float:
        if progress < self.share:
            rise = linear_warmup if self.shape == "linear" else exponential_warmup
            return rise(progress, self.share, self.start) * self.then(0.0)
        return self.then((progress - self.share) / (1 - self.share))


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """``inner``, times ``factor`` for each time that the validation score has stopped getting better.

    A score is better when it is above the best so far by more than ``threshold``; it is turned so that more
    is better, and may be negative (a loss), so the threshold is not relative. After more than ``patience``
    evaluations in a row that were no better the rate is cut, and the next ``cooldown`` evaluations do not
    count. The cuts together never go below ``floor``. It needs an experiment with ``evaluate_every``.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    floor: float = 0.0
    inner: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        self.memory()  # refuses what is out of range
        if isinstance(self.inner, Plateau):
            raise ValueError("inner is Plateau; one around the other would cut twice: take one of them")

    def __call__(self, progress: float) -> float:
        """The factor as long as nothing was cut."""
        return self.inner(progress)

    def memory(self) -> plateau.Plateau:
        """What a learner tells each score, multiplies the rate by, and saves."""
        return plateau.Plateau(
            self.factor, self.patience, self.threshold, relative=False, cooldown=self.cooldown,
            floor=self.floor, mode="max",
        )  # fmt: skip


def schedule_table(experiment: Any, rows: int = 10) -> str:
    """The learning rate over the run of ``experiment`` as a table of about ``rows`` rows, before training.

    The highest and the lowest point are among them. Steps are optimizer steps, counted from 0. Cuts that
    depend on scores are not in it; a last line tells when they will be made. Raises ``InputError`` where the
    rate is not set by a schedule of this file.
    """
    learning, optimizer = experiment.learning, getattr(experiment.learning, "optimizer", None)
    schedule = getattr(learning, "schedule", None)
    live = getattr(optimizer, "optimizer", None)  # a torch optimizer that was given
    rate = live.param_groups[0]["lr"] if live is not None else getattr(optimizer, "learning_rate", None)
    if schedule is None or rate is None or getattr(optimizer, "scheduler", None) is not None:
        what = type(learning).__name__ if schedule is None or rate is None else "a scheduler of torch"
        raise InputError(
            f"the learning rate of this experiment is set by {what}; there is no schedule to show"
        )
    steps = experiment.steps
    width = max(len("step"), len(f"{steps:,}"))
    lines = [f"{'step':>{width}}  {'done':>6}  {'factor':>8}  learning rate"]
    for step, factor in curve(lambda step: schedule(step / steps), steps, rows):
        lines.append(f"{step:>{width},}  {step / steps:>6.1%}  {factor:>8.5f}  {rate * factor:.4g}")
    if isinstance(schedule, Plateau):
        lines.append(
            f"and times {schedule.factor:g}, never below {schedule.floor:g} in all, whenever more than"
            f" {schedule.patience} evaluations in a row, one every {experiment.evaluate_every:,} steps,"
            " were no better"
        )
    return "\n".join(lines)


def choices() -> dict[str, type]:
    """Every schedule that a setting can name: ``--set learning.schedule=OneCycle``. The set is closed."""
    return {
        kind.__name__: kind
        for kind in (
            Constant, WarmupCosine, OneCycle, Triangle, Drops, Exponential, Polynomial, CosineRestarts,
            InverseSquareRoot, WarmupStableDecay, Warmup, Plateau,
        )
    }  # fmt: skip


def _fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it is a fraction in [0, 1)")


def _positive_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name} is {value}; it must be in (0, 1]")
