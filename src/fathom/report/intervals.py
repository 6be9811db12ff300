"""How sure a number is: bootstrap intervals and paired tests, in NumPy, the same for the same seed.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 14 (BCa) and 15
(permutation tests); Wilson 1927; Bonett and Price 2012; McNemar 1947.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from fathom.errors import InputError
from fathom.report.markup import Number, number

Values = Sequence[Number | bool] | np.ndarray
CELLS = 1_000_000  # resampled values held at once: 8 MB of them, whatever n and the resamples are
LARGE = 100_000  # from here the mean is normal to any printed digit and resampling buys nothing
JACKKNIFE = 200  # groups left out in turn to estimate the acceleration of a general statistic


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval and the method that gave it."""

    estimate: float
    low: float
    high: float
    level: float = 0.95
    method: str = ""

    def __str__(self) -> str:
        return f"{number(self.estimate)} [{number(self.low)}, {number(self.high)}]"


@dataclass(frozen=True)
class PairedTest:
    """The mean difference a - b over the same n items, its interval, and a two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    method: str

    def __str__(self) -> str:
        ends = f"[{number(self.low)}, {number(self.high)}]"
        return f"{number(self.difference)} {ends}, p = {self.p_value:.2g}, n = {self.n:,}"


def bootstrap_mean(values: Values, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean of ``values`` (n,) with an interval.

    0/1 values get Wilson's score interval: the bootstrap of an all-correct sample has width zero, which
    is no statement about the next item. Others get the BCa bootstrap, from 100,000 values on the normal
    interval. Raises InputError for no values, one value that is not 0 or 1, or values not finite.
    """
    data = _checked(values, level, resamples)
    mean = float(data.mean())
    if _binary(data):
        low, high = _wilson(mean, len(data), level)
        return Interval(mean, low, high, level, "Wilson")
    if len(data) < 2:
        raise InputError("an interval was asked for 1 value; give at least 2")
    if len(data) >= LARGE:
        reach = NormalDist().inv_cdf(0.5 + level / 2) * float(data.std(ddof=1)) / math.sqrt(len(data))
        return Interval(mean, mean - reach, mean + reach, level, "normal")
    centred = data - mean
    spread = float((centred**2).sum())
    # The jackknife acceleration of a mean in closed form: a third of a sixth moment ratio, no loop.
    lean = float((centred**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    low, high = _bca(_resampled_means(data, resamples, seed), mean, lean, level)
    return Interval(mean, low, high, level, "BCa bootstrap")


def bootstrap_statistic(
    function: Callable[..., Any],
    *arrays: Values,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """``function(*arrays)`` with a BCa bootstrap interval, for example an RMSE or an area under a curve.

    The arrays share their first axis, whose rows are drawn together. Resamples on which the function is
    not finite (an area under a curve of one class) are left out; InputError when that is more than half
    of them, when lengths differ, or when there are fewer than 2 rows.
    """
    data = [np.asarray(array) for array in arrays]
    sizes = [len(array) for array in data]
    if len(set(sizes)) != 1 or sizes[0] < 2:
        raise InputError(
            f"a bootstrap was given arrays of {sizes} rows; give at least 2 rows, as many in each"
        )
    _settings(level, resamples)
    count, draws = sizes[0], np.random.default_rng(seed)
    estimate = float(function(*data))
    drawn = np.empty(resamples)
    for index in range(resamples):
        rows = draws.integers(0, count, size=count)
        drawn[index] = function(*(array[rows] for array in data))
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(estimate) or 2 * len(drawn) < resamples:
        raise InputError(
            f"the statistic is {number(estimate)} and finite on {len(drawn)} of {resamples} resamples; it "
            "needs more rows, or rows of every class"
        )
    low, high = _bca(drawn, estimate, _acceleration(function, data), level)
    return Interval(estimate, low, high, level, "BCa bootstrap")


def paired_difference(
    a: Values, b: Values, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> PairedTest:
    """Does ``a`` differ from ``b`` on the same items? Both (n,), one score per item, in the same order.

    0/1 scores: the exact McNemar test and the interval of Bonett and Price. Other scores: a BCa
    bootstrap interval of the mean difference and a sign-flip permutation test, exact up to 12 items that
    differ. Raises InputError on different lengths, fewer than 2 items, or values not finite.
    """
    first, second = _checked(a, level, resamples), _checked(b, level, resamples)
    if len(first) != len(second) or len(first) < 2:
        raise InputError(
            f"a paired test was given {len(first)} and {len(second)} scores; give one score per item for "
            "both, on the same items in the same order, and at least 2 items"
        )
    gap, count = first - second, len(first)
    if _binary(first) and _binary(second):
        won, lost = int((gap > 0).sum()), int((gap < 0).sum())
        low, high = _bonett_price(won, lost, count, level)
        return PairedTest(float(gap.mean()), low, high, _mcnemar(won, lost), count, "exact McNemar")
    if not np.ptp(gap):
        low = high = float(gap[0])
    elif _binary(gap):  # differences that happen to be 0 or 1 must not become a proportion
        low, high = _bca(_resampled_means(gap, resamples, seed), float(gap.mean()), 0.0, level)
    else:
        found = bootstrap_mean(gap, level=level, resamples=resamples, seed=seed)
        low, high = found.low, found.high
    p_value = _sign_flip(gap, resamples, seed)
    return PairedTest(float(gap.mean()), low, high, p_value, count, "sign-flip permutation")


def _settings(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise InputError(f"level is {level}; it lies between 0 and 1, for example 0.95")
    if resamples < 100:
        raise InputError(f"resamples is {resamples}; give at least 100, for example 2000")


def _checked(values: Values, level: float, resamples: int) -> np.ndarray:
    _settings(level, resamples)
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(
            f"values of shape {data.shape} with {int((~np.isfinite(data)).sum())} not finite were given; "
            "give at least one finite number per item, in one dimension"
        )
    return data


def _binary(data: np.ndarray) -> bool:
    return bool(((data == 0) | (data == 1)).all())


def _chunks(count: int, resamples: int) -> Iterator[tuple[int, int]]:
    rows = max(1, CELLS // count)
    for start in range(0, resamples, rows):
        yield start, min(start + rows, resamples)


def _resampled_means(data: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    draws, means = np.random.default_rng(seed), np.empty(resamples)
    for start, stop in _chunks(len(data), resamples):
        picked = draws.integers(0, len(data), size=(stop - start, len(data)), dtype=np.int32)
        means[start:stop] = data[picked].mean(axis=1)
    return means


def _bca(drawn: np.ndarray, estimate: float, lean: float, level: float) -> tuple[float, float]:
    """The bias-corrected and accelerated interval (Efron and Tibshirani 1993, equations 14.10, 14.14)."""
    normal = NormalDist()
    below = float((drawn < estimate).mean() + (drawn == estimate).mean() / 2)
    if not 0 < below < 1:
        ends = ((1 - level) / 2, (1 + level) / 2)  # no correction exists: plain percentiles
    else:
        bias = normal.inv_cdf(below)
        sides = [bias + normal.inv_cdf(end) for end in ((1 - level) / 2, (1 + level) / 2)]
        ends = tuple(normal.cdf(bias + side / (1 - lean * side)) for side in sides)
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def _acceleration(function: Callable[..., Any], data: list[np.ndarray]) -> float:
    """Skewness of the jackknife (equation 14.15); for many rows, of a jackknife of interleaved groups."""
    count = len(data[0])
    groups = min(count, JACKKNIFE)
    group = np.arange(count) % groups
    left = np.array([function(*(array[group != g] for array in data)) for g in range(groups)], np.float64)
    left = left[np.isfinite(left)]
    gaps = left.mean() - left if len(left) else np.zeros(1)
    spread = float((gaps**2).sum())
    return float((gaps**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _wilson(share: float, count: int, level: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.5 + level / 2)
    scale = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / scale
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / scale
    # At 0 and 1 the bound is exact; rounding would put it a hair beside the estimate.
    return (0.0 if share == 0 else centre - reach), (1.0 if share == 1 else centre + reach)


def _bonett_price(won: int, lost: int, count: int, level: float) -> tuple[float, float]:
    """Interval of a difference of paired proportions (Bonett and Price 2012, equation 5)."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    up, down = (won + 1) / (count + 2), (lost + 1) / (count + 2)
    reach = z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    return max(-1.0, up - down - reach), min(1.0, up - down + reach)


def _mcnemar(won: int, lost: int) -> float:
    """Two-sided exact p-value: ``won`` of ``won + lost`` fair coins, with the coefficients in logarithms."""
    flips, fewer = won + lost, min(won, lost)
    if won == lost:
        return 1.0
    steps = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((flips - steps + 1) / steps))])
    return min(1.0, 2 * float(np.exp(logs - flips * math.log(2)).sum()))


def _sign_flip(gap: np.ndarray, resamples: int, seed: int) -> float:
    """Share of sign assignments whose mean is at least as far from zero as the observed one."""
    moving = gap[gap != 0]
    if not len(moving):
        return 1.0
    total, slack = float(moving.sum()), 1e-12 * float(np.abs(moving).sum())
    if len(moving) <= 12:
        patterns = (np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving))) & 1
        return float((np.abs(2 * patterns @ moving - total) >= abs(total) - slack).mean())
    draws, extreme = np.random.default_rng([seed, 1]), 0  # not the bootstrap's stream
    for start, stop in _chunks(len(moving), resamples):
        shape = (stop - start, -(-len(moving) // 8))
        bits = np.unpackbits(draws.integers(0, 256, shape, dtype=np.uint8), axis=1, count=len(moving))
        extreme += int((np.abs(2 * (bits.astype(np.float64) @ moving) - total) >= abs(total) - slack).sum())
    return (extreme + 1) / (resamples + 1)
