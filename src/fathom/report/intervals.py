"""How sure a number is: bootstrap intervals and paired tests, in NumPy, the same for the same seed.

Here is decided which method fits which scores; the methods themselves are lessons, in
``fundamentals/mathematics/bootstrap.py`` and ``inference.py``, with their sources.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from fathom.errors import InputError
from fathom.fundamentals.mathematics.bootstrap import (
    acceleration,
    bca_interval,
    mean_acceleration,
    resampled,
    resampled_means,
    sign_flip_test,
)
from fathom.fundamentals.mathematics.inference import bonett_price_interval, mcnemar_test, wilson_interval
from fathom.report.markup import Number, number

Values = Sequence[Number | bool] | np.ndarray
LARGE = 100_000  # from here the mean is normal to any printed digit and resampling buys nothing


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
        low, high = wilson_interval(mean, len(data), level)
        return Interval(mean, low, high, level, "Wilson")
    if len(data) < 2:
        raise InputError("an interval was asked for 1 value; give at least 2")
    if len(data) >= LARGE:
        reach = NormalDist().inv_cdf(0.5 + level / 2) * float(data.std(ddof=1)) / math.sqrt(len(data))
        return Interval(mean, mean - reach, mean + reach, level, "normal")
    low, high = bca_interval(resampled_means(data, resamples, seed), mean, mean_acceleration(data), level)
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
    estimate = float(function(*data))
    drawn = resampled(function, data, resamples, seed)
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(estimate) or 2 * len(drawn) < resamples:
        raise InputError(
            f"the statistic is {number(estimate)} and finite on {len(drawn)} of {resamples} resamples; it "
            "needs more rows, or rows of every class"
        )
    low, high = bca_interval(drawn, estimate, acceleration(function, data), level)
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
        low, high = bonett_price_interval(won, lost, count, level)
        return PairedTest(float(gap.mean()), low, high, mcnemar_test(won, lost), count, "exact McNemar")
    if not np.ptp(gap):
        low = high = float(gap[0])
    elif _binary(gap):  # differences that happen to be 0 or 1 must not become a proportion
        low, high = bca_interval(resampled_means(gap, resamples, seed), float(gap.mean()), 0.0, level)
    else:
        found = bootstrap_mean(gap, level=level, resamples=resamples, seed=seed)
        low, high = found.low, found.high
    p_value = sign_flip_test(gap, resamples, seed)
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
