"""Feature encoding: what a table's columns must become before a network can read them.

Every encoder learns from training rows alone and is then applied to any rows; a table that was encoded
before it was split has leaked. Numbers are brought to mean 0 and deviation 1, or, where their distribution
is wild, to the normal scores of their ranks. A category becomes one number for each known value, all 0 but
its own, or one number altogether: the mean target m_v of its n_v training rows, shrunk towards the mean m of
all rows, the more the fewer they are (Micci-Barreca 2001, equations 3 and 5):

    encoding(v) = w m_v + (1 - w) m,     w = n_v / (n_v + s)             with s, a number of rows
                                         w = n_v / (n_v + s_v / t)       with s_v the variance of targets in v
                                                                         and t that of all targets

The mean of a value's targets contains the row's own target. A network that trains on it reads the answer,
most of all where values are rare, and fails on new rows. So training rows are encoded out of fold: each by
the means of the rows of the other folds. New rows get the means of all training rows.

Axes: n  rows     f  columns of numbers     v  values of a category     q  quantiles
"""

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Feature encoding",
    paper="https://doi.org/10.1145/507533.507538",
    year=2001,
    summary="Turns columns of numbers and categories into features, learned from training rows alone.",
    rows=("TA03",),
    differs=("Normal scores end at 5.2 deviations: a new value may lie beyond all that were seen.",),
    oracle="scikit-learn's StandardScaler, OneHotEncoder, QuantileTransformer and TargetEncoder",
)

EDGE = 1e-7  # share of the distribution cut off at each end before normal scores are taken


class Standard(NamedTuple):
    """What ``standard`` learned: one mean and one scale a column."""

    mean: Float[np.ndarray, "f"]
    scale: Float[np.ndarray, "f"]

    def __call__(self, numbers: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
        return (matrix(numbers) - self.mean) / self.scale


class NormalScores(NamedTuple):
    """What ``normal_scores`` learned: the quantiles of each column, lowest first."""

    quantiles: Float[np.ndarray, "q f"]

    def __call__(self, numbers: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
        """The normal deviate of each number's place; equal quantiles count as their middle one."""
        places = np.linspace(0, 1, len(self.quantiles))
        inverse = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
        found = np.empty(matrix(numbers).shape)
        for column, (known, values) in enumerate(zip(self.quantiles.T, numbers.T, strict=True)):
            upper = np.interp(values, known, places)
            lower = -np.interp(-values, -known[::-1], -places[::-1])
            share = (upper + lower) / 2
            share[values <= known[0]], share[values >= known[-1]] = 0.0, 1.0
            found[:, column] = inverse(share.clip(EDGE, 1 - EDGE))
        return found


class OneHot(NamedTuple):
    """What ``one_hot`` learned: the values, in order."""

    values: tuple[Any, ...]

    def __call__(self, cells: Sequence[Any]) -> Float[np.ndarray, "n v"]:
        """A row of zeros for a value that was not seen."""
        place = {value: i for i, value in enumerate(self.values)}
        found = np.zeros((len(cells), len(self.values)))
        for row, cell in enumerate(cells):
            if cell in place:
                found[row, place[cell]] = 1.0
        return found


class TargetMeans(NamedTuple):
    """What ``target_means`` learned: an encoding for each value, and the mean of all targets."""

    encodings: dict[Any, float]
    mean: float

    def __call__(self, cells: Sequence[Any]) -> Float[np.ndarray, "n"]:
        """The mean of all targets for a value that was not seen."""
        return np.array([self.encodings.get(cell, self.mean) for cell in cells])


def standard(numbers: np.ndarray) -> Standard:
    """Mean and deviation of each column; a constant column gets the scale 1.

    Raises ValueError unless ``numbers`` is (n, f) and finite, n at least 1.
    """
    known = matrix(numbers)
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    constant = deviation <= 10 * np.finfo(np.float64).eps * np.maximum(1.0, np.abs(mean))
    return Standard(mean, np.where(constant, 1.0, deviation))


def normal_scores(numbers: np.ndarray, quantiles: int = 1000) -> NormalScores:
    """Up to ``quantiles`` quantiles of each column, at equal distances from the lowest to the highest.

    Raises ValueError unless ``numbers`` is (n, f) and finite, and ``quantiles`` at least 2.
    """
    known = matrix(numbers)
    if quantiles < 2:
        raise ValueError(f"quantiles is {quantiles}; it must be 2 or more")
    found = np.quantile(known, np.linspace(0, 1, max(2, min(quantiles, len(known)))), axis=0)
    return NormalScores(np.maximum.accumulate(found))


def one_hot(cells: Sequence[Any], most: int | None = None) -> OneHot:
    """The values of a category, in order; with ``most``, only so many of the most frequent.

    Raises ValueError for no cells and for ``most`` below 1.
    """
    if not len(cells):
        raise ValueError("cells is empty; an encoder learns from training rows")
    if most is not None and most < 1:
        raise ValueError(f"most is {most}; it must be 1 or more, or None for all values")
    counts: dict[Any, int] = {}
    for cell in cells:
        counts[cell] = counts.get(cell, 0) + 1
    kept = sorted(sorted(counts), key=lambda value: -counts[value])[:most]
    return OneHot(tuple(sorted(kept)))


def target_means(cells: Sequence[Any], targets: np.ndarray, smooth: float | None = None) -> TargetMeans:
    """The shrunk mean target of each value; ``smooth`` is s in rows, or None for the variances' own.

    Do not encode the rows it learned from: ``out_of_fold`` does that. Raises ValueError where cells and
    targets differ in number, a target is not finite, there are none, or ``smooth`` is negative.
    """
    goals = paired(cells, targets)
    if smooth is not None and not 0 <= smooth < np.inf:
        raise ValueError(f"smooth is {smooth}; it must be a number of rows, 0 or more, or None")
    rows: dict[Any, list[int]] = {}
    for row, cell in enumerate(cells):
        rows.setdefault(cell, []).append(row)
    mean, spread = float(goals.mean()), float(goals.var())
    encodings: dict[Any, float] = {}
    for value, places in rows.items():
        own, count = goals[places], len(places)
        shrunk = smooth if smooth is not None else (float(own.var()) / spread if spread > 0 else 0.0)
        weight = count / (count + shrunk)
        encodings[value] = weight * float(own.mean()) + (1 - weight) * mean
    return TargetMeans(encodings, mean)


def out_of_fold(
    cells: Sequence[Any],
    targets: np.ndarray,
    folds: np.ndarray,
    smooth: float | None = None,
) -> Float[np.ndarray, "n"]:
    """Training rows encoded by ``target_means`` of the other folds; ``folds`` (n,) says where each row lies.

    Raises ValueError as ``target_means`` does, and unless there are two folds or more.
    """
    goals, parts = paired(cells, targets), np.asarray(folds)
    if parts.shape != goals.shape or len(np.unique(parts)) < 2:
        raise ValueError(
            f"folds has shape {parts.shape} with {len(np.unique(parts))} different folds; it must hold one"
            f" number for each of the {len(goals)} rows, and two folds or more"
        )
    found = np.empty(len(goals))
    for fold in np.unique(parts):
        inside = np.flatnonzero(parts == fold)
        others = np.flatnonzero(parts != fold)
        learned = target_means([cells[i] for i in others.tolist()], goals[others], smooth)
        found[inside] = learned([cells[i] for i in inside.tolist()])
    return found


def matrix(numbers: np.ndarray) -> Float[np.ndarray, "n f"]:
    """``numbers`` in float64; ValueError unless they are (n, f), n at least 1, and finite."""
    known = np.asarray(numbers, dtype=np.float64)
    if known.ndim != 2 or not len(known) or not np.isfinite(known).all():
        bad = int((~np.isfinite(known)).sum())
        raise ValueError(
            f"numbers has shape {known.shape} with {bad} not finite; it must be (rows, columns), one row or "
            "more, all finite: fill what is missing first"
        )
    return known


def paired(cells: Sequence[Any], targets: np.ndarray) -> Float[np.ndarray, "n"]:
    """``targets`` in float64; ValueError unless they are finite, one for each cell, and not none."""
    goals = np.asarray(targets, dtype=np.float64)
    if goals.shape != (len(cells),) or not len(cells) or not np.isfinite(goals).all():
        raise ValueError(
            f"targets has shape {goals.shape} for {len(cells)} cells; it must hold one finite number for "
            "each, and there must be one or more"
        )
    return goals


def target_means_by_hand(cells: Sequence[Any], targets: np.ndarray, smooth: float) -> np.ndarray:
    """For each row: its value's targets and ``smooth`` rows of the mean target, averaged."""
    mean = sum(targets) / len(targets)
    found = []
    for cell in cells:
        own = [target for other, target in zip(cells, targets, strict=True) if other == cell]
        found.append((sum(own) + smooth * mean) / (len(own) + smooth))
    return np.array(found)


def out_of_fold_by_hand(cells: Sequence[Any], targets: np.ndarray, folds: Sequence[int]) -> np.ndarray:
    """Each row from the rows of other folds that have its value; from all of other folds where none has.

    The weight of a value's mean is that of the variances: how alike its targets are, against all.
    """
    found = []
    for cell, fold in zip(cells, folds, strict=True):
        others = [(c, t) for c, t, f in zip(cells, targets, folds, strict=True) if f != fold]
        mean = sum(t for _, t in others) / len(others)
        spread = sum((t - mean) ** 2 for _, t in others) / len(others)
        own = [t for c, t in others if c == cell]
        if not own:
            found.append(mean)
            continue
        middle = sum(own) / len(own)
        inner = sum((t - middle) ** 2 for t in own) / len(own)
        weight = len(own) * spread / (len(own) * spread + inner)
        found.append(weight * middle + (1 - weight) * mean)
    return np.array(found)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    cells = ["pine", "oak", "pine", "elm", "oak", "pine", "oak", "ash", "pine", "oak"]
    targets = np.array([3.1, 1.2, 2.7, 5.0, 0.4, 3.9, 1.1, 4.2, 2.2, 0.9])
    folds = np.array([0, 1, 2, 0, 0, 1, 2, 1, 0, 1])
    yield Twin(
        "target means",
        lambda t: target_means(cells, t, 2.0)(cells),
        lambda t: target_means_by_hand(cells, t, 2.0),
        (targets,), gradients=False,
    )  # fmt: skip
    yield Twin(
        "out of fold",
        lambda t: out_of_fold(cells, t, folds),
        lambda t: out_of_fold_by_hand(cells, t, folds.tolist()),
        (targets,), gradients=False,
    )  # fmt: skip
