"""Reduce on plateau: cut the learning rate when the validation score has stopped getting better.

Krizhevsky et al. (2012, section 5) watched the validation error and divided the rate by 10 whenever it
stood still. Done by a rule, that is: remember the best value so far; count the evaluations in a row that
were no better by more than ``threshold``; when more than ``patience`` of them have passed, multiply the
rate by ``factor``, and ignore the next ``cooldown`` evaluations while the cut takes effect.

    better, relative    v < best (1 - threshold)   or, for scores,   v > best (1 + threshold)
    better, absolute    v < best - threshold       or, for scores,   v > best + threshold

Unlike its neighbours it is no function of the step: it has a memory, which a checkpoint must hold. In the
engine ``training.Plateau`` is the setting, and the learner keeps the memory. In a loop of one's own, call
``observe`` after each evaluation and keep ``state()`` with the weights. A relative threshold is for values
that are positive: where they are negative, as scores made of losses, it lets worse ones count as better.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Reduce on plateau",
    paper="https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
    year=2012,
    summary="Cuts the learning rate when a measured value has stopped improving.",
    rows=("SC05",),
    differs=(
        "Gives a factor, not a rate, so torch's eps, the smallest change of a rate, has no counterpart.",
    ),
    oracle="torch.optim.lr_scheduler.ReduceLROnPlateau with eps=0, on 200 random sequences; every evaluation",
)


class Plateau:
    """The factor on the learning rate, cut when what ``observe`` is told stops improving.

    ``factor`` in (0, 1); ``patience`` and ``cooldown`` in evaluations, 0 or more; ``threshold`` 0 or more,
    ``relative`` to the best value or absolute; the factor never falls below ``floor``, in [0, 1]; ``mode``
    is "min" or "max". Raises ``ValueError`` for values outside these ranges.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        relative: bool = True,
        cooldown: int = 0,
        floor: float = 0.0,
        mode: str = "min",
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"factor is {factor}; it must be in (0, 1)")
        for name, value in (("patience", patience), ("threshold", threshold), ("cooldown", cooldown)):
            if not value >= 0:
                raise ValueError(f"{name} is {value}; it must be 0 or more")
        if not 0 <= floor <= 1:
            raise ValueError(f"floor is {floor}; it must be in [0, 1]")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is {mode!r}; it must be 'min' or 'max'")
        self.factor, self.patience, self.threshold, self.relative = factor, patience, threshold, relative
        self.cooldown, self.floor, self.mode = cooldown, floor, mode
        self.current = 1.0
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0  # evaluations in a row that were no better
        self.resting = 0  # evaluations of the cooldown that are left

    def observe(self, value: float) -> float:
        """Take the value of an evaluation; return the factor from now on. NaN counts as no better."""
        if self._better(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.resting:
            self.resting, self.waited = self.resting - 1, 0
        if self.waited > self.patience:
            self.current = max(self.current * self.factor, self.floor)
            self.resting, self.waited = self.cooldown, 0
        return self.current

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.relative:  # infinity times 0 is no number, and the first value is always better
            needed = self.best * (1 + sign * self.threshold) if math.isfinite(self.best) else self.best
        else:
            needed = self.best + sign * self.threshold
        return value > needed if self.mode == "max" else value < needed

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {n: getattr(self, n) for n in ("current", "best", "waited", "resting")}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what ``state`` gave."""
        for name in self.state():
            setattr(self, name, state[name])


def plateau_by_hand(
    values: Sequence[float],
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    cooldown: int = 0,
    floor: float = 0.0,
) -> list[float]:
    """The factor after each of ``values``, lower being better and the threshold relative."""
    factors: list[float] = []
    rate, best, bad, ignored_until = 1.0, math.inf, 0, 0
    for time, value in enumerate(values):
        bad = bad + 1
        if value < best * (1 - threshold):
            best, bad = value, 0
        if time < ignored_until:
            bad = 0
        if bad == patience + 1:
            rate, bad = max(floor, factor * rate), 0
            ignored_until = time + 1 + cooldown
        factors.append(rate)
    return factors


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    values = [1 / (1 + k) + 0.2 * math.sin(k * k) ** 2 for k in range(120)]

    def watched(patience: int, cooldown: int) -> list[float]:
        watch = Plateau(0.5, patience, 0.01, cooldown=cooldown, floor=0.01)
        return [watch.observe(value) for value in values]

    for patience, cooldown in ((0, 0), (3, 0), (2, 4)):
        yield Twin(
            f"plateau, patience {patience}, cooldown {cooldown}",
            lambda patience=patience, cooldown=cooldown: watched(patience, cooldown),
            lambda patience=patience, cooldown=cooldown: plateau_by_hand(
                values, 0.5, patience, 0.01, cooldown, 0.01
            ),
            (),
            gradients=False,
        )
