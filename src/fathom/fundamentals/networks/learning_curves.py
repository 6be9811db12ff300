"""Learning curves: what the losses of training and validation say about a model, and what to try next.

A model can fail in two ways. It is too simple, or trained too little, for what is there: its loss is high on
the very examples it learned from (underfitting: ``bias_variance`` calls it bias). Or it learns what is
peculiar to those examples: its loss there is far below that on others, or falls while the other rises
(overfitting: variance).

With T, V the losses of training and validation at the end, and B the baseline (the loss of knowing nothing),
``diagnose`` asks, in this order; every number is a share of B, less the ``floor`` that noise sets:

    1  a loss that is not finite, or T above its minimum by ``gap``         not converged
    2  V - T over ``gap`` and over ``excess`` of T, or V above its
       minimum by ``rise``                                                  overfitting
    3  the smaller of T and V over ``level``                                underfitting
    4  T fell by ``fall`` in its last fifth, and V has not risen            not converged
    5  none of these                                                        well fitted

V counts in 3 because dropout and augmentation make T higher than the model is bad. Accuracies stand in for
the losses in 2 and 3 where those are in different units; else they only go with them, since a loss says more.
All are running means over a tenth of the curve; a gap, a rise or a fall counts only where it exceeds what the
curve's own noise does. NumPy only.

Axes used below
    n  points of a curve
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Learning curves",
    paper="https://www.deeplearningbook.org/contents/ml.html",
    year=2016,
    summary="Tells from its curves whether a run under- or overfits, and what to try next.",
    rows=("NF10",),
    differs=("Section 5.2 of the book describes the regimes; the rules and their limits are ours.",),
    oracle="twenty seeded runs that under- or overfit",
)

Curve = Sequence[Sequence[float | int]]  # (step, value), in order of steps

REGIMES = UNDER, OVER, WELL, UNFINISHED = "underfitting", "overfitting", "well fitted", "not converged"
ADVICE = {
    UNDER: (
        "See whether the model can learn one batch by heart; if not, look for a mistake in model or data.",
        "Train longer, or with a higher learning rate.",
        "Take a larger model, or one that suits the data better; add inputs that tell more.",
        "Weaken what holds it back: weight decay, dropout, augmentation, label smoothing.",
    ),
    OVER: (
        "Keep the weights of the best validation loss: stop early.",
        "Get more data, or make more of it by augmentation.",
        "Strengthen what holds it back: weight decay, dropout, label smoothing.",
        "Take a smaller model, or begin with one that is trained already.",
    ),
    WELL: (
        "To get further, change one thing at a time: more data, a larger model, a longer run.",
        "Score the test set once, when no setting is going to change any more.",
    ),
    UNFINISHED: ("Train longer; where the learning rate falls to zero, give the whole schedule more steps.",),
}
UNSTABLE = ("Lower the learning rate, or warm it up.", "Clip the gradient.", "Look for bad rows in the data.")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where one regime ends and the next begins."""

    level: float = 0.5  # share of the baseline that is left of the loss: more is underfitting
    gap: float = 0.1  # validation minus training, as a share of the baseline: more is overfitting ...
    excess: float = 0.2  # ... if it is also this share of the training loss
    rise: float = 0.05  # validation above its minimum, as a share of the baseline: more is overfitting
    fall: float = 0.02  # training in its last fifth, as a share of the baseline: more is not converged ...
    relative_fall: float = 0.1  # ... if it is also this share of the training loss
    late_gain: float = 0.1  # share of the whole fall that came in the last fifth: more ended too early

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}; it must be positive and finite")


@dataclass(frozen=True)
class Diagnosis:
    """The regime, why it is that one, what to try next, and the numbers this rests on."""

    regime: str  # "underfitting", "overfitting", "well fitted" or "not converged"
    reason: str
    advice: tuple[str, ...]
    numbers: dict[str, float] = field(default_factory=dict)


def diagnose(
    training: Curve,
    validation: Curve,
    *,
    baseline: float | None = None,
    training_accuracy: Curve = (),
    validation_accuracy: Curve = (),
    chance: float = 0.0,
    floor: float = 0.0,
    comparable: bool = True,
    limits: Limits = Limits(),
) -> Diagnosis:
    """Say which regime two loss curves show, by the rules at the top of this file.

    ``training`` has five points or more, ``validation`` one or more; both hold (step, loss). ``baseline`` is
    the loss of a model that ignores its inputs (log(classes), or the variance of the target); without it, the
    first training loss stands for it. ``floor`` is the loss that noise in the targets leaves to a perfect
    model. Accuracies are in [0, 1], and ``chance`` is that of guessing. With ``comparable=False`` the
    validation loss is in other units than the training loss, so that only its course counts. Raises
    ``ValueError`` for curves that are too short or out of order, and a baseline not above ``floor``.
    """
    if not 0 <= chance < 1:
        raise ValueError(f"chance is {chance}; it must be in [0, 1)")
    named = {"training": training, "validation": validation}
    rates = {"training_accuracy": training_accuracy, "validation_accuracy": validation_accuracy}
    for name, curve in {**named, **rates}.items():
        _check(name, curve, {"training": 5, "validation": 1}.get(name, 0))
    for name, curve in named.items():
        wrong = next((step for step, value in curve if not math.isfinite(value)), None)
        if wrong is not None:
            return Diagnosis(UNFINISHED, f"The {name} loss is not finite at step {wrong}.", UNSTABLE)
    numbers = _losses(training, validation, baseline, floor, comparable)
    numbers |= _accuracies(training_accuracy, validation_accuracy, chance)
    return _judged(numbers, limits)


def _losses(
    training: Curve, validation: Curve, baseline: float | None, floor: float, comparable: bool
) -> dict[str, float]:
    """What the rules ask about: levels, gap, rise and fall."""
    fit, held_out = _values(training), _values(validation)
    know_nothing = float(fit[0]) if baseline is None else float(baseline)
    scale = know_nothing - floor
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(
            f"baseline is {know_nothing} and floor {floor}; the baseline must be above the floor"
        )
    here, score = _course(fit), _course(held_out)
    fifth = max(1, len(fit) // 5)
    before, last = float(fit[-2 * fifth : -fifth].mean()), float(fit[-fifth:].mean())
    sure = before - last > 2 * roughness(fit) * math.sqrt(2 / fifth)
    own = scale if comparable else float(np.abs(held_out).max()) or 1.0
    top = max(know_nothing, float(fit.max()))
    low = min(here.last, score.last) if comparable else here.last
    found = {
        "training_loss": here.last, "validation_loss": score.last, "baseline": know_nothing,
        "level": (low - floor) / scale,
        "training_rise": here.rise / scale,
        "fall": (before - last) / scale if sure else 0.0,
        "relative_fall": (before - last) / (before - floor) if sure and before > floor else 0.0,
        "late_gain": (before - last) / (top - last) if sure else 0.0,  # sure: last is below before
        "rise": score.rise / own,
        "best_validation_loss": score.lowest, "best_step": float(validation[score.place][0]),
    }  # fmt: skip
    if comparable:
        gap = _apart(score, here)
        found |= {"gap": gap / scale, "excess": gap / max(here.last - floor, scale / 1000)}
    return found


def _accuracies(training: Curve, validation: Curve, chance: float) -> dict[str, float]:
    here, score = (_course(_values(curve)) if curve else None for curve in (training, validation))
    found: dict[str, float] = {}
    if here:
        found |= {"training_accuracy": here.last, "error_level": (1 - here.last) / (1 - chance)}
    if score:
        found["validation_accuracy"] = score.last
    if here and score:
        gap = _apart(here, score)
        found |= {"accuracy_gap": gap, "error_excess": gap / max(1 - here.last, 1 / 1000)}
    return found


def _judged(numbers: dict[str, float], limits: Limits) -> Diagnosis:
    told = {name: f"{value:.4g}" for name, value in numbers.items()}
    percent = {name: f"{value:.0%}" for name, value in numbers.items()}
    if numbers["training_rise"] >= limits.gap:
        reason = (
            f"The training loss has risen by {percent['training_rise']} of the baseline from its minimum."
        )
        return Diagnosis(UNFINISHED, reason, UNSTABLE, numbers)
    why = _overfitting(numbers, limits, told, percent)
    if why:
        return Diagnosis(OVER, " ".join(why), ADVICE[OVER], numbers)
    falls = numbers["fall"] >= limits.fall and numbers["relative_fall"] >= limits.relative_fall
    level = numbers["level"]
    if "gap" not in numbers:  # a loss against softened labels stays high, however good the model is
        level = min(level, numbers.get("error_level", math.inf))
    if level >= limits.level:
        reason = (
            f"What is left of the loss is {percent['level']} of the baseline {told['baseline']}: the training"
            f" loss is {told['training_loss']}."
        )
        if numbers["late_gain"] >= limits.late_gain:
            reason += f" Of its fall {percent['late_gain']} came in its last fifth: the run ended too early."
        return Diagnosis(UNDER, reason, ADVICE[UNDER], numbers)
    if falls and numbers["rise"] == 0:
        reason = (
            f"The training loss, {told['training_loss']}, fell by {percent['relative_fall']} in its last"
            f" fifth, and the validation loss, {told['validation_loss']}, has not begun to rise."
        )
        return Diagnosis(UNFINISHED, reason, ADVICE[UNFINISHED], numbers)
    near = f"{percent['gap']} of it apart" if "gap" in numbers else "in units that cannot be compared"
    reason = (
        f"The training loss, {told['training_loss']}, is {percent['level']} of the baseline"
        f" {told['baseline']}; the validation loss, {told['validation_loss']}, is {near} and does not rise."
    )
    return Diagnosis(WELL, reason, ADVICE[WELL], numbers)


def _overfitting(
    numbers: dict[str, float], limits: Limits, told: Mapping[str, str], percent: Mapping[str, str]
) -> list[str]:
    """The signs of it, as sentences; none where there is none."""
    signs = []
    if numbers.get("gap", 0) >= limits.gap and numbers["excess"] >= limits.excess:
        signs.append(
            f"The validation loss, {told['validation_loss']}, is above the training loss,"
            f" {told['training_loss']}, by {percent['gap']} of the baseline {told['baseline']}."
        )
    if numbers["rise"] >= limits.rise:
        signs.append(
            f"The validation loss has risen from {told['best_validation_loss']}, near step"
            f" {numbers['best_step']:.0f}, to {told['validation_loss']}."
        )
    wide = numbers.get("accuracy_gap", 0) >= limits.gap and numbers["error_excess"] >= limits.excess
    if wide and (signs or "gap" not in numbers):
        signs.append(
            f"The training accuracy is {told['training_accuracy']}, that of validation"
            f" {told['validation_accuracy']}."
        )
    elif signs and "accuracy_gap" in numbers:
        signs.append("Accuracies hardly differ: it is wrong answers that became more confident.")
    return signs


def running_means(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of every ``window`` neighbours: (n,) -> (n - window + 1,). ``ValueError`` if none fits."""
    if values.ndim != 1 or not 1 <= window <= len(values):
        raise ValueError(
            f"window is {window} for values of shape {values.shape}; it must be in 1 to n of (n,)"
        )
    return np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=1)


def running_means_by_hand(values: np.ndarray, window: int) -> np.ndarray:
    means = []
    for first in range(len(values) - window + 1):
        means.append(sum(values[first : first + window]) / window)
    return np.array(means)


def roughness(values: np.ndarray) -> float:
    """The deviation of the noise on a smooth curve (n,), by its second differences; 0 below 3 points.

    The median of their sizes is used, so that a sudden drop counts as one point, not as noise. Raises
    ``ValueError`` for another shape.
    """
    if values.ndim != 1:
        raise ValueError(f"values has shape {values.shape}; it must be (n,)")
    if len(values) < 3:
        return 0.0
    return float(np.median(np.abs(np.diff(values, 2)))) / (math.sqrt(6) * NORMAL_MEDIAN)


NORMAL_MEDIAN = 0.6744897501960817  # half of a standard normal lies within this of 0


def roughness_by_hand(values: np.ndarray) -> float:
    """A straight line has second differences of 0; noise of variance v gives them 1 + 4 + 1 times v."""
    bends = sorted(abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False))
    middle = (bends[(len(bends) - 1) // 2] + bends[len(bends) // 2]) / 2
    return float(middle) / (6**0.5 * NORMAL_MEDIAN)


class _Course(NamedTuple):
    """The running means of a curve."""

    last: float
    lowest: float
    place: int  # the point where the lowest lies
    rise: float  # last above lowest; 0 where noise alone may do that
    noise: float  # the deviation of each mean


def _course(values: np.ndarray) -> _Course:
    window = max(1, len(values) // 10)
    means, noise = running_means(values, window), roughness(values) / math.sqrt(window)
    last, place = float(means[-1]), int(means.argmin())
    rise = last - float(means[place])
    # The lowest of m noisy values lies about sqrt(2 log m) deviations below their mean.
    doubt = noise * (math.sqrt(2 * math.log(len(means))) + 3)
    return _Course(last, float(means[place]), place + window // 2, rise if rise > doubt else 0.0, noise)


def _apart(high: _Course, low: _Course) -> float:
    """How far one curve ends above another; 0 where noise alone may do that."""
    gap = high.last - low.last
    return gap if abs(gap) > 2 * math.hypot(high.noise, low.noise) else 0.0


def _values(curve: Curve) -> np.ndarray:
    return np.array([value for _, value in curve], dtype=np.float64)


def _check(name: str, curve: Curve, least: int) -> None:
    if len(curve) < least:
        raise ValueError(f"{name} has {len(curve)} points; it must have {least} or more")
    steps = [step for step, _ in curve]
    wrong = next((b for a, b in itertools.pairwise(steps) if not a < b), None)
    if wrong is not None:
        raise ValueError(f"{name} has step {wrong} out of order; steps must rise")
    if name.endswith("accuracy") and not all(0 <= value <= 1 for _, value in curve):
        raise ValueError(f"{name} has values outside [0, 1]; give shares, not percentages")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    curve = np.random.default_rng(0).standard_normal(23)
    for window in (1, 4, 23):
        yield Twin(
            f"running means, {window}", running_means, running_means_by_hand, (curve, window), gradients=False
        )
    for count in (3, 22, 23):
        yield Twin(f"roughness, {count}", roughness, roughness_by_hand, (curve[:count],), gradients=False)
