"""Floating point: numbers with 53 binary digits, and the rewritings that keep those digits right.

A double is +-1.b1 b2 ... b52 * 2^e. Every operation rounds to the nearest such number, with a relative error
of at most u = 2^-53. Three things go wrong, and each has a cure:

    overflow      exp(710) is infinite. Subtract the largest input first, m = max x (Blanchard et al. 2021):
                  log sum exp x_i = m + log sum exp(x_i - m)
                  softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m)
    cancellation  1 + 1e-17 is 1, so log(1 + x) loses a small x. With w = 1 + x as rounded, x log(w) / (w - 1)
                  puts it back (Goldberg 1991, theorem 4). Likewise with w = exp x, expm1 is (w - 1) x / log w
    accumulation  n terms added one after another are off by up to n u of their sizes; by halves by log2(n) u;
                  with the lost digits carried along by 2 u (Kahan 1965; Neumaier 1974). A variance from
                  sum x^2 less a squared mean cancels; Welford (1962) updates mean and squared deviations

Broadcasting: shapes are aligned at their last axis; an axis of size 1, or a missing one, is stretched to the
other's size; two different sizes, neither 1, are refused.

Sources: Goldberg, What Every Computer Scientist Should Know About Floating-Point Arithmetic (1991); Higham,
Accuracy and Stability of Numerical Algorithms (2002), chapters 1 and 4; Blanchard, Higham and Higham,
https://doi.org/10.1093/imanum/draa038; Chan, Golub and LeVeque, The American Statistician 37 (1983) for
merging.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Floating point and broadcasting",
    paper="https://doi.org/10.1145/103162.103163",
    year=1991,
    summary="Keeps softmax, logarithms, sums and variances right where plain formulas overflow or cancel.",
    rows=("MA13",),
    differs=("The compensated sum is math.fsum, which is correctly rounded; Neumaier's sum is its twin.",),
    oracle="mpmath with 400 digits at extreme inputs; torch.broadcast_shapes on 500 pairs of shapes",
)


def log_sum_exp(x: np.ndarray, axis: int = -1) -> Float[np.ndarray, "..."]:
    """The logarithm of the sum of exp(x) along ``axis``, which goes; minus infinity where all entries are.

    The dtype is kept. ValueError for NaN or plus infinity, for no entries, or for an axis that x lacks.
    """
    _scores(x, axis)
    largest = x.max(axis=axis, keepdims=True)
    shift = np.where(np.isinf(largest), 0, largest).astype(x.dtype)
    with np.errstate(divide="ignore", over="ignore"):  # a gap that overflows is a share of 0
        return np.asarray(np.log(np.exp(x - shift).sum(axis=axis)) + shift.squeeze(axis))


def log_sum_exp_by_hand(x: np.ndarray, axis: int = -1) -> Float[np.ndarray, "..."]:
    def one(row: np.ndarray) -> float:
        largest = max(float(v) for v in row)
        return largest + math.log(sum(math.exp(float(v) - largest) for v in row))

    return np.apply_along_axis(one, axis, x)


def softmax(x: np.ndarray, axis: int = -1) -> Float[np.ndarray, "..."]:
    """Shares of 1: exp(x) over its sum along ``axis``. The dtype is kept.

    An entry of minus infinity gets 0. ValueError where all are, for NaN or plus infinity, or for no entries.
    """
    _scores(x, axis)
    largest = x.max(axis=axis, keepdims=True)
    if np.isinf(largest).any():
        raise ValueError(
            f"x of shape {x.shape} is all minus infinity along axis {axis}; one entry must be finite"
        )
    with np.errstate(over="ignore"):
        powers = np.exp(x - largest)
    return powers / powers.sum(axis=axis, keepdims=True)


def softmax_by_hand(x: np.ndarray, axis: int = -1) -> Float[np.ndarray, "..."]:
    def one(row: np.ndarray) -> np.ndarray:
        largest = max(float(v) for v in row)
        powers = [math.exp(float(v) - largest) for v in row]
        return np.array([p / sum(powers) for p in powers])

    return np.apply_along_axis(one, axis, x)


def log1p(x: np.ndarray) -> Float[np.ndarray, "..."]:
    """The logarithm of 1 + x, to the last digit for small x too. ValueError for x <= -1."""
    _numbers(x)
    if (x <= -1).any():
        raise ValueError(f"x goes down to {x.min()}; log(1 + x) needs x above -1")
    return np.asarray(np.log1p(x))


def log1p_by_hand(x: np.ndarray) -> Float[np.ndarray, "..."]:
    rounded = 1 + x
    lost = rounded == 1  # x is below half a unit of 1: there log(1 + x) is x
    return np.where(lost, x, x * np.log(rounded) / np.where(lost, 1, rounded - 1))


def expm1(x: np.ndarray) -> Float[np.ndarray, "..."]:
    """The exponential less 1, to the last digit for small x too. ValueError where the dtype overflows."""
    _numbers(x)
    limit = math.log(float(np.finfo(x.dtype).max))
    if (x > limit).any():
        raise ValueError(f"x goes up to {x.max()}; exp(x) overflows {x.dtype} above {limit:.5g}")
    return np.asarray(np.expm1(x))


def expm1_by_hand(x: np.ndarray) -> Float[np.ndarray, "..."]:
    """Higham (2002), section 1.14.1: the errors of w and of log w cancel where each alone would be large."""
    power = np.exp(x)
    plain = (power == 1) | (power < 0.5) | (power > 2)
    cured = (power - 1) * x / np.where(plain, 1, np.log(np.maximum(power, 1e-300)))
    return np.where(power == 1, x, np.where(plain, power - 1, cured))


def softplus(x: np.ndarray) -> Float[np.ndarray, "..."]:
    """The logarithm of 1 + exp(x), finite for every finite x: near x for large ones, near exp(x) below 0."""
    _numbers(x)
    return np.asarray(np.logaddexp(np.zeros((), x.dtype), x))


def softplus_by_hand(x: np.ndarray) -> Float[np.ndarray, "..."]:
    return np.maximum(x, 0) + log1p_by_hand(np.exp(-np.abs(x)))


def compensated_sum(values: np.ndarray) -> float:
    """The sum of (n,), rounded once: as if all digits had been kept. ValueError where it overflows."""
    values = _row(values)
    try:
        return math.fsum(values)
    except OverflowError:
        raise ValueError("values sum to more than a double can hold, 1.8e308") from None


def compensated_sum_by_hand(values: np.ndarray) -> float:
    """Neumaier's form of Kahan's sum: what each addition rounds away is gathered, and added at the end."""
    total = lost = 0.0
    for value in values.tolist():
        larger, smaller = (total, value) if abs(total) >= abs(value) else (value, total)
        total = larger + smaller
        lost += (larger - total) + smaller
    return total + lost


def pairwise_sum(values: np.ndarray) -> float:
    """The sum of (n,) by halves, as ``numpy.sum`` forms it: no slower, and log2(n) roundings deep."""
    return float(np.sum(_row(values)))


def pairwise_sum_by_hand(values: np.ndarray) -> float:
    if len(values) <= 8:
        return sum(values.tolist())
    middle = len(values) // 2
    return pairwise_sum_by_hand(values[:middle]) + pairwise_sum_by_hand(values[middle:])


def running_sum(values: np.ndarray) -> float:
    """The sum of (n,) one after another, in float64: what the others improve on."""
    total = 0.0
    for value in _row(values).tolist():
        total += value
    return total


@dataclass(frozen=True)
class Moments:
    """Count, mean and summed squared deviations of what has been seen; two of them add up."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of (x - mean)^2

    def variance(self, correction: int = 1) -> float:
        """The variance with count - ``correction`` below the line. ValueError for too few values."""
        if self.count <= correction or correction < 0:
            raise ValueError(
                f"correction is {correction} for {self.count} values; it must be from 0 to below that"
            )
        return self.squares / (self.count - correction)

    def __add__(self, other: "Moments") -> "Moments":
        count = self.count + other.count
        if not count:
            return self
        gap, share = other.mean - self.mean, other.count / count
        return Moments(
            count, self.mean + gap * share, self.squares + other.squares + gap * gap * self.count * share
        )


def moments(values: np.ndarray, batches: int = 1) -> Moments:
    """Moments of (n,) from two passes over each of ``batches`` pieces, merged by the rule of Chan et al."""
    values = _row(values)
    if not 1 <= batches <= max(1, len(values)):
        raise ValueError(f"batches is {batches}; it must be from 1 to the {len(values)} values")
    pieces = [p for p in np.array_split(values, batches) if len(p)]
    return reduce(
        Moments.__add__,
        (Moments(len(p), float(p.mean()), float(((p - p.mean()) ** 2).sum())) for p in pieces),
        Moments(),
    )


def moments_by_hand(values: np.ndarray, batches: int = 1) -> Moments:
    """Welford's update, one value at a time: nothing is kept but three numbers."""
    count, mean, squares = 0, 0.0, 0.0
    for value in values.tolist():
        count += 1
        gap = value - mean
        mean += gap / count
        squares += gap * (value - mean)
    return Moments(count, mean, squares)


def unit_in_last_place(x: np.ndarray) -> Float[np.ndarray, "..."]:
    """The distance from |x| to the next larger number of its dtype."""
    _numbers(x)
    return np.asarray(np.spacing(np.abs(x)))


def unit_in_last_place_by_hand(x: np.ndarray) -> Float[np.ndarray, "..."]:
    """2^(e - 52) for a number with the exponent e; below the normal numbers the spacing stays the same."""
    _, exponent = np.frexp(np.abs(x))
    return np.ldexp(1.0, np.where(x == 0, -1074, np.maximum(exponent - 53, -1074)))


def machine_epsilon(dtype: type[np.floating]) -> float:
    """The distance from 1 to the next larger number of ``dtype``: twice the largest rounding error."""
    return float(np.finfo(dtype).eps)


def machine_epsilon_by_hand(dtype: type[np.floating]) -> float:
    """Halve until adding to 1 no longer shows."""
    one, epsilon = dtype(1), dtype(1)
    while one + epsilon / dtype(2) > one:
        epsilon = epsilon / dtype(2)
    return float(epsilon)


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of ``shapes`` have together. ValueError, with a table, where they do not fit."""
    for shape in shapes:
        if any(size < 0 for size in shape):
            raise ValueError(f"shape {tuple(shape)} has a negative size; sizes are 0 or more")
    try:
        return np.broadcast_shapes(*(tuple(shape) for shape in shapes))
    except ValueError:
        raise ValueError(f"shapes do not fit together:\n{explain_broadcast(*shapes)}") from None


def broadcast_shape_by_hand(*shapes: Sequence[int]) -> tuple[int, ...]:
    result = []
    for column in _aligned(shapes):
        stretched = {size for size in column if size is not None and size != 1}
        if len(stretched) > 1:
            raise ValueError(f"sizes {sorted(stretched)} meet on one axis; they must be equal, or 1")
        result.append(stretched.pop() if stretched else 1)
    return tuple(result)


def explain_broadcast(*shapes: Sequence[int]) -> str:
    """A table of ``shapes``, last axes aligned, and what becomes of each axis; ``x`` marks a clash."""
    columns = _aligned(shapes)
    outcome = []
    for column in columns:
        stretched = {size for size in column if size is not None and size != 1}
        outcome.append("x" if len(stretched) > 1 else str(max(stretched, default=1)))
    width = max(
        (len(text) for text in [*outcome, *(str(s) for c in columns for s in c if s is not None)]), default=1
    )
    lines = []
    for row, shape in enumerate(shapes):
        cells = ["." if column[row] is None else str(column[row]) for column in columns]
        lines.append(f"{' '.join(cell.rjust(width) for cell in cells)}    {tuple(shape)}")
    fits = "x" not in outcome
    verdict = f"fits: ({', '.join(outcome)})" if fits else "refused: two sizes differ, and neither is 1"
    return "\n".join([*lines, f"{' '.join(cell.rjust(width) for cell in outcome)}    {verdict}"])


def _aligned(shapes: Sequence[Sequence[int]]) -> list[list[int | None]]:
    """One list for each axis of the result: the size that each shape has there, None where it has no axis."""
    axes = max((len(shape) for shape in shapes), default=0)
    padded = [[None] * (axes - len(shape)) + list(shape) for shape in shapes]
    return [[row[axis] for row in padded] for axis in range(axes)]


def _numbers(x: np.ndarray) -> None:
    if x.dtype.kind != "f":
        raise ValueError(f"x has dtype {x.dtype}; it must be a floating-point array")
    if not np.isfinite(x).all():
        raise ValueError("x holds NaN or infinity; all entries must be finite")


def _scores(x: np.ndarray, axis: int) -> None:
    if x.dtype.kind != "f":
        raise ValueError(f"x has dtype {x.dtype}; it must be a floating-point array")
    if not -x.ndim <= axis < x.ndim or not x.shape[axis]:
        raise ValueError(
            f"axis is {axis} for x of shape {x.shape}; it must be an axis with at least one entry"
        )
    if np.isnan(x).any() or np.isposinf(x).any():
        raise ValueError("x holds NaN or plus infinity; entries must be finite, or minus infinity")


def _row(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iuf" or values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(
            f"values have dtype {values.dtype}, shape {values.shape}; give one row of finite real numbers"
        )
    return values.astype(np.float64)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)
    scores = dice.normal(size=(3, 5)) * 30
    small = np.array([1e-17, -1e-12, 3e-9, 0.0, -0.4, 0.3, 2.0])
    values = dice.normal(size=100) + 1e3

    def pair(name: str, ours: Any, by_hand: Any, *inputs: Any, tolerance: float = 1e-12) -> Twin:
        return Twin(
            name,
            lambda *x: np.asarray(ours(*x)),
            lambda *x: np.asarray(by_hand(*x)),
            inputs,
            tolerance,
            False,
        )

    yield pair("log_sum_exp", log_sum_exp, log_sum_exp_by_hand, scores)
    yield pair("softmax", softmax, softmax_by_hand, scores, 0)
    yield pair("log1p", log1p, log1p_by_hand, small)
    yield pair("expm1", expm1, expm1_by_hand, small)
    yield pair("softplus", softplus, softplus_by_hand, scores)
    yield pair("compensated_sum", compensated_sum, compensated_sum_by_hand, values)
    yield pair("pairwise_sum", pairwise_sum, pairwise_sum_by_hand, values)
    yield Twin(
        "moments",
        lambda x: _list(moments(x, 7)),
        lambda x: _list(moments_by_hand(x)),
        (values,),
        1e-12,
        False,
    )
    yield pair("unit_in_last_place", unit_in_last_place, unit_in_last_place_by_hand, scores, tolerance=0.0)
    yield pair("machine_epsilon", machine_epsilon, machine_epsilon_by_hand, np.float64, tolerance=0.0)
    yield pair("broadcast_shape", broadcast_shape, broadcast_shape_by_hand, (3, 1, 5), (4, 1), tolerance=0.0)


def _list(found: Moments) -> list[np.ndarray]:
    return [np.asarray(part) for part in (found.count, found.mean, found.squares)]
