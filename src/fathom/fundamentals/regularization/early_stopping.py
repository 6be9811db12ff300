"""Early stopping: end the training when the validation score has not improved for a while.

Weights grow from small beginnings, so the number of steps bounds how far they get: stopping early acts like a
penalty on their size (Goodfellow et al. 2016, section 7.8), and it saves the rest of the run. Prechelt (1998)
compares criteria; the one in use everywhere waits for ``patience`` evaluations.

    better     v < best - delta    (mode "min"),    v > best + delta    (mode "max")
    stop       after ``patience`` evaluations in a row that were not better

The best weights, not the last, are what one wants to keep; ``observe`` copies them when it is given the
model. Its memory is state: keep ``state()`` in the checkpoint. The engine's own patience (an experiment's
``patience``, ``keep="best"``) follows the same rule with a delta of 0.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Early stopping",
    paper="https://doi.org/10.1007/3-540-49430-8_3",
    year=1998,
    summary="Ends a run when the validation score has stopped improving, and keeps the best weights.",
    rows=("RN03",),
    differs=("A patience of 0, which Lightning takes for 1, is refused.",),
    oracle="keras' EarlyStopping on 400 random sequences, the weights that it puts back too; the engine's"
    " Evaluate observer. Lightning is no package of the tests: its rule, for NaN and infinity, is written out"
    " again there",
)


class EarlyStopping:
    """Watches one value; ``observe`` says when to stop.

    ``patience`` is 1 or more evaluations; ``min_delta``, 0 or more, is what an improvement must exceed;
    ``mode`` is "min" or "max"; ``check_finite`` stops at once at NaN or infinity. Raises ``ValueError`` for
    values outside these ranges.
    """

    def __init__(
        self, patience: int = 3, min_delta: float = 0.0, mode: str = "min", check_finite: bool = True
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience is {patience}; it must be 1 or more")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"min_delta is {min_delta}; it must be 0 or more, and finite")
        if mode not in ("min", "max"):
            raise ValueError(f"mode is {mode!r}; it must be 'min' or 'max'")
        self.patience, self.min_delta, self.mode, self.check_finite = patience, min_delta, mode, check_finite
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0  # evaluations in a row that were no better
        self.reason = ""  # why it said stop
        self.weights: dict[str, Tensor] = {}  # of the best evaluation, where the model was given

    def observe(self, value: float, model: nn.Module | None = None) -> bool:
        """Take the value of an evaluation; True when training should stop. ``model`` has its weights kept."""
        if self.check_finite and not math.isfinite(value):
            self.reason = f"the value is {value}"
            return True
        if self._better(value):
            self.best, self.waited = value, 0
            if model is not None:
                self.weights = {n: t.detach().clone() for n, t in model.state_dict().items()}
            return False
        self.waited += 1
        if self.waited >= self.patience:
            self.reason = f"no better than {self.best:g} in {self.waited} evaluations"
        return self.waited >= self.patience

    def _better(self, value: float) -> bool:
        if self.mode == "min":
            return value + self.min_delta < self.best
        return value - self.min_delta > self.best

    def restore(self, model: nn.Module) -> None:
        """Put the best weights back, bit for bit. Raises ``ValueError`` where none were kept."""
        if not self.weights:
            raise ValueError("no weights were kept; give the model to observe")
        model.load_state_dict(self.weights)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"best": self.best, "waited": self.waited, "weights": dict(self.weights)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what ``state`` gave."""
        self.best, self.waited, self.weights = state["best"], state["waited"], dict(state["weights"])


def stopping_point(
    values: Sequence[float],
    patience: int = 3,
    min_delta: float = 0.0,
    mode: str = "min",
    check_finite: bool = True,
) -> int:
    """After how many of ``values`` an ``EarlyStopping`` says stop; their number where it never does."""
    watch = EarlyStopping(patience, min_delta, mode, check_finite)
    return next((i for i, v in enumerate(values, 1) if watch.observe(v)), len(values))


def stopping_point_by_hand(
    values: Sequence[float],
    patience: int = 3,
    min_delta: float = 0.0,
    mode: str = "min",
    check_finite: bool = True,
) -> int:
    """Look back over the whole history at every evaluation: where was the last improvement?"""
    sign = 1 if mode == "max" else -1
    for now in range(len(values)):
        if check_finite and not math.isfinite(values[now]):
            return now + 1
        best, improved_at = -math.inf, -1
        for time, value in enumerate(values[: now + 1]):
            if sign * value - min_delta > best:
                best, improved_at = sign * value, time
        if now - improved_at >= patience:
            return now + 1
    return len(values)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    falling = (torch.linspace(2, 0, 30) + torch.randn(20, 30, generator=dice)).tolist()
    for mode, delta in (("min", 0.0), ("min", 0.1), ("max", 0.0), ("max", 0.2)):
        yield Twin(
            f"early stopping, {mode}, min_delta {delta}",
            lambda mode=mode, delta=delta: [stopping_point(v, 4, delta, mode) for v in falling],
            lambda mode=mode, delta=delta: [stopping_point_by_hand(v, 4, delta, mode) for v in falling],
            (),
            gradients=False,
        )
