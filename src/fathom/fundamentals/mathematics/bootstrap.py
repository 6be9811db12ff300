"""The bootstrap and permutation tests: inference without a formula, by drawing again and again.

How far would the result move with other data? There are no other data, but the sample is the best picture of
their source, so draw n items from it with replacement, compute the statistic, and repeat (Efron 1979). The
percentiles of the resampled statistics make an interval; BCa moves them for bias and for a spread that
changes with the value (Efron and Tibshirani 1993, equations 14.9, 14.10, 14.14 and 14.15):

    z0 = quantile of the share of resamples below the estimate          0 without bias
    a  = sum (mean - left)^3 / (6 (sum (mean - left)^2)^1.5)            left: the statistic without one item
    ends at  Phi(z0 + (z0 + z) / (1 - a (z0 + z)))                      z the normal quantile of each end

A permutation test asks what chance alone would show (chapter 15): if a and b are alike, it does not matter
which score is called a and which b, so swap the names at random - within each pair, which flips the sign of
its difference, or across two groups - and count how often the difference is as large as the real one.

Few items are enumerated instead of drawn: then the p-value is exact. NumPy only; the same for the same seed.

Axes: n  items     r  resamples
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Bootstrap and permutation tests",
    paper="https://doi.org/10.1214/aos/1176344552",
    year=1979,
    summary="Puts an interval around any number, and tests any difference, by resampling the data at hand.",
    rows=("MA09",),
    differs=(
        "The acceleration of a general statistic leaves out 200 interleaved groups, not n single items.",
    ),
    oracle="scipy.stats.bootstrap on the same resamples, scipy.stats.permutation_test where it enumerates",
)

Values = Sequence[float] | Sequence[int] | Sequence[bool] | np.ndarray
CELLS = 1_000_000  # resampled values held at once: 8 MB of them, whatever n and the resamples are
JACKKNIFE = 200  # groups left out in turn to estimate the acceleration of a general statistic
FLIPPED = 12  # up to so many differing pairs all sign assignments are tried
SPLITS = 20_000  # up to so many ways to split two groups all are tried


def bootstrap_interval(
    function: Callable[..., Any],
    *arrays: Values,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """The BCa interval of ``function(*arrays)``; rows of the arrays, their first axis, are drawn together.

    Raises ValueError for fewer than 2 rows, unequal lengths, or a statistic that is not finite on the data
    or on more than half of the resamples.
    """
    data = rows(*arrays)
    estimate = float(function(*data))
    drawn = resampled(function, data, resamples, seed)
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(estimate) or 2 * len(drawn) < resamples:
        raise ValueError(f"function is {estimate}, and finite on {len(drawn)} of {resamples} resamples; "
                         "it must be finite on the data and on half of them")  # fmt: skip
    return bca_interval(drawn, estimate, acceleration(function, data), level)


def resampled(
    function: Callable[..., Any], arrays: Sequence[np.ndarray], resamples: int, seed: int
) -> np.ndarray:
    """``function`` of ``resamples`` draws, with replacement, of the rows of ``arrays``: (r,), as it comes."""
    data = rows(*arrays)
    _resamples(resamples)
    count, draws = len(data[0]), np.random.default_rng(seed)
    drawn = np.empty(resamples)
    for index in range(resamples):
        picked = draws.integers(0, count, size=count)
        drawn[index] = function(*(array[picked] for array in data))
    return drawn


def resampled_means(values: Values, resamples: int, seed: int) -> np.ndarray:
    """The mean of ``resamples`` draws of ``values`` (n,): many resamples at once, in bounded memory."""
    data = numbers("values", values)
    _resamples(resamples)
    draws, means = np.random.default_rng(seed), np.empty(resamples)
    for start, stop in _chunks(len(data), resamples):
        picked = draws.integers(0, len(data), size=(stop - start, len(data)), dtype=np.int32)
        means[start:stop] = data[picked].mean(axis=1)
    return means


def percentile_interval(drawn: Values, level: float = 0.95) -> tuple[float, float]:
    """The plain interval: between the outer percentiles of the resampled statistics ``drawn`` (r,)."""
    low, high = np.quantile(numbers("drawn", drawn), ((1 - _level(level)) / 2, (1 + level) / 2))
    return float(low), float(high)


def bca_interval(
    drawn: Values, estimate: float | int, lean: float | int, level: float = 0.95
) -> tuple[float, float]:
    """The bias-corrected and accelerated interval of resampled statistics ``drawn`` (r,).

    ``estimate`` is the statistic of the data, ``lean`` its acceleration. Where all resamples lie on one side
    of the estimate there is no correction, and the plain percentiles are given.
    """
    found, normal = numbers("drawn", drawn), NormalDist()
    below = float((found < estimate).mean() + (found == estimate).mean() / 2)
    if not 0 < below < 1:
        return percentile_interval(found, level)
    bias = normal.inv_cdf(below)
    sides = [bias + normal.inv_cdf(end) for end in ((1 - _level(level)) / 2, (1 + level) / 2)]
    low, high = np.quantile(found, tuple(normal.cdf(bias + side / (1 - lean * side)) for side in sides))
    return float(low), float(high)


def mean_acceleration(values: Values) -> float:
    """The acceleration of a mean: leaving items out is a third of a sixth moment ratio, and no loop."""
    data = numbers("values", values)
    return _lean(data - float(data.mean()))


def acceleration(function: Callable[..., Any], arrays: Sequence[np.ndarray]) -> float:
    """Skewness of the jackknife of any statistic; for many rows, of a jackknife of interleaved groups."""
    data = rows(*arrays)
    count = len(data[0])
    groups = min(count, JACKKNIFE)
    group = np.arange(count) % groups
    left = np.array([function(*(array[group != g] for array in data)) for g in range(groups)], np.float64)
    left = left[np.isfinite(left)]
    return _lean(left.mean() - left if len(left) else np.zeros(1))


def _lean(gaps: np.ndarray) -> float:
    spread = float((gaps**2).sum())
    return float((gaps**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def sign_flip_test(gap: Values, resamples: int = 2000, seed: int = 0) -> float:
    """The two-sided p-value of paired differences ``gap`` (n,): could their signs be those of coins?

    The share of sign assignments whose mean is at least as far from zero as the observed one: of all of
    them up to 12 differences that are not zero, else of ``resamples`` random ones and the observed.
    """
    data = numbers("gap", gap)
    _resamples(resamples)
    moving = data[data != 0]
    if not len(moving):
        return 1.0
    total, slack = float(moving.sum()), 1e-12 * float(np.abs(moving).sum())
    if len(moving) <= FLIPPED:
        patterns = (np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving))) & 1
        return float((np.abs(2 * patterns @ moving - total) >= abs(total) - slack).mean())
    draws, extreme = np.random.default_rng([seed, 1]), 0  # not the bootstrap's stream
    for start, stop in _chunks(len(moving), resamples):
        shape = (stop - start, -(-len(moving) // 8))
        bits = np.unpackbits(draws.integers(0, 256, shape, dtype=np.uint8), axis=1, count=len(moving))
        extreme += int((np.abs(2 * (bits.astype(np.float64) @ moving) - total) >= abs(total) - slack).sum())
    return (extreme + 1) / (resamples + 1)


def permutation_test(a: Values, b: Values, resamples: int = 2000, seed: int = 0) -> float:
    """The two-sided p-value of a difference of means between two groups, ``a`` (n,) and ``b`` (k,).

    Twice the smaller tail of the ways to deal the values out to groups of the same sizes: of all up to
    20,000 ways, else of ``resamples`` random ones and the observed.
    """
    first, second = numbers("a", a), numbers("b", b)
    _resamples(resamples)
    pool = np.concatenate([first, second])
    total, slack = float(first.sum()), 1e-12 * float(np.abs(pool).sum())
    if math.comb(len(pool), len(first)) <= SPLITS:
        dealt = np.array(list(itertools.combinations(range(len(pool)), len(first))))
        sums = pool[dealt].sum(axis=1)
        tails = [float((sums <= total + slack).mean()), float((sums >= total - slack).mean())]
    else:
        draws = np.random.default_rng([seed, 2])
        sums = np.array([draws.permutation(pool)[: len(first)].sum() for _ in range(resamples)])
        counts = [(sums <= total + slack).sum(), (sums >= total - slack).sum()]
        tails = [(int(count) + 1) / (resamples + 1) for count in counts]
    return min(1.0, 2 * min(tails))


def rows(*arrays: Values) -> list[np.ndarray]:
    """The arrays as they are; ValueError unless they have as many rows each, 2 or more."""
    data = [np.asarray(array) for array in arrays]
    sizes = [len(array) if array.ndim else 0 for array in data]
    if len(set(sizes)) != 1 or sizes[0] < 2:
        raise ValueError(f"the arrays have {sizes} rows; each must have the same number, 2 or more")
    return data


def numbers(name: str, values: Values) -> np.ndarray:
    """``values`` in float64; ValueError unless they are finite numbers in one dimension, 1 or more."""
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not len(data) or not np.isfinite(data).all():
        bad = int((~np.isfinite(data)).sum())
        raise ValueError(f"{name} has shape {data.shape} with {bad} not finite; it must be (n,) and finite")
    return data


def _resamples(resamples: int) -> None:
    if resamples < 100:
        raise ValueError(f"resamples is {resamples}; it must be 100 or more, for example 2000")


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, for example 0.95")
    return level


def _chunks(count: int, resamples: int) -> Iterator[tuple[int, int]]:
    each = max(1, CELLS // count)
    for start in range(0, resamples, each):
        yield start, min(start + each, resamples)


def resampled_means_by_hand(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """One resample after the other: n draws, their sum over n."""
    draws, means = np.random.default_rng(seed), []
    picked = draws.integers(0, len(values), size=(resamples, len(values)), dtype=np.int32)
    for resample in picked.tolist():
        means.append(sum(values[place] for place in resample) / len(values))
    return np.array(means)


def bca_interval_by_hand(values: np.ndarray, drawn: np.ndarray, level: float) -> np.ndarray:
    """For a mean: count, leave out one value at a time, move the percentiles, and read them off."""
    estimate, phi = sum(values) / len(values), NormalDist()
    below = sum(1.0 if mean < estimate else 0.5 if mean == estimate else 0.0 for mean in drawn)
    bias = phi.inv_cdf(below / len(drawn))
    left = [(sum(values) - value) / (len(values) - 1) for value in values]
    middle = sum(left) / len(left)
    cubes = sum((middle - mean) ** 3 for mean in left)
    lean = cubes / (6 * sum((middle - mean) ** 2 for mean in left) ** 1.5)
    ordered, found = sorted(drawn), []
    for end in ((1 - level) / 2, (1 + level) / 2):
        moved = bias + phi.inv_cdf(end)
        place = phi.cdf(bias + moved / (1 - lean * moved)) * (len(ordered) - 1)
        before, part = int(place), place - int(place)
        found.append((1 - part) * ordered[before] + part * ordered[before + 1])
    return np.array(found)


def sign_flip_test_by_hand(gap: np.ndarray) -> np.ndarray:
    """Every way in which n coins can fall."""
    flips = [
        sum(s * g for s, g in zip(signs, gap, strict=True))
        for signs in itertools.product((1, -1), repeat=len(gap))
    ]
    return np.array(sum(abs(flip) >= abs(sum(gap)) - 1e-12 for flip in flips) / len(flips))


def permutation_test_by_hand(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every way to deal the pooled values out to the two groups."""
    pool, seen, gaps = [*a, *b], sum(a) / len(a) - sum(b) / len(b), []
    for chosen in itertools.combinations(range(len(pool)), len(a)):
        ours = [pool[place] for place in chosen]
        theirs = [pool[place] for place in range(len(pool)) if place not in chosen]
        gaps.append(sum(ours) / len(ours) - sum(theirs) / len(theirs))
    less = sum(gap <= seen + 1e-12 for gap in gaps) / len(gaps)
    more = sum(gap >= seen - 1e-12 for gap in gaps) / len(gaps)
    return np.array(min(1.0, 2 * min(less, more)))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: the same draws, or all there are."""
    from fathom.fundamentals.twin import Twin

    a, b = np.array([0.9, 1.7, 2.2, 0.4, 3.1, 1.5]), np.array([0.2, 1.1, 0.7, 2.0, 0.5])
    drawn = resampled_means(a, 400, 3)
    yield Twin("resampled means", lambda x: resampled_means(x, 400, 3),
               lambda x: resampled_means_by_hand(x, 400, 3), (a,), gradients=False)  # fmt: skip
    yield Twin("BCa interval",
               lambda x: np.array(bca_interval(drawn, float(x.mean()), mean_acceleration(x), 0.9)),
               lambda x: bca_interval_by_hand(x, drawn, 0.9), (a,), gradients=False)  # fmt: skip
    yield Twin("sign flips", lambda d: np.array(sign_flip_test(d)), sign_flip_test_by_hand, (a[:5] - b,),
               gradients=False)  # fmt: skip
    yield Twin("permutations", lambda x, y: np.array(permutation_test(x, y)), permutation_test_by_hand,
               (a, b), gradients=False)  # fmt: skip
