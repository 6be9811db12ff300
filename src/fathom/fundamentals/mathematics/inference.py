"""Statistical inference: is the difference there, or would chance alone show as much?

A p-value is the probability of a difference at least as large as the one seen if there were none; a
confidence interval holds the values that the data do not contradict. In closed form, for the common cases:

    paired t       t = mean(d) / (sd(d) / sqrt(n)), n - 1 degrees of freedom        Student 1908
    Welch          t = (mean(a) - mean(b)) / sqrt(va/na + vb/nb), unequal spreads   Welch 1947
    McNemar        of won + lost items on which two models disagree, won is         McNemar 1947
                   binomial with 1/2: ties say nothing about who is better
    Wilson         the shares p with |share - p| <= z sqrt(p (1 - p) / n)           Wilson 1927
    corrections    of m tests at 0.05, m / 20 succeed by chance: Holm 1979 keeps    Benjamini and
                   the probability of one false alarm, BH the share of them         Hochberg 1995

The t distribution is a regularised incomplete beta function I_x(a, b), here from its continued fraction
(NIST Digital Library of Mathematical Functions, equation 8.17.22). Where no formula fits, resample:
``bootstrap``. Reports take their intervals and tests from both files.

Axes: n  items, on which two scores are paired     m  tests
"""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Tests and intervals in closed form",
    paper="https://doi.org/10.1093/biomet/6.1.1",
    year=1908,
    summary="Tells a difference from chance: t tests, McNemar, Wilson's interval, many tests at once.",
    rows=("MA09",),
    oracle="scipy.stats (ttest_rel, ttest_ind, binomtest, t) and statsmodels (mcnemar, multipletests)",
)

LARGE = 1e6  # degrees of freedom from which Student's t is a scaled normal to ten digits
Values = Sequence[float] | Sequence[int] | Sequence[bool] | np.ndarray


class TTest(NamedTuple):
    """A mean difference with its confidence interval, t statistic and two-sided p-value."""

    difference: float
    low: float
    high: float
    statistic: float
    degrees: float
    p_value: float


def paired_t_test(a: Values, b: Values, *, level: float = 0.95) -> TTest:
    """Is the mean of ``a`` - ``b`` over the same n items 0? Both (n,), in the same order, n >= 2.

    Differences that are all the same have no spread: an infinite statistic, or p = 1 where they are 0.
    """
    first, second = sample("a", a), sample("b", b)
    if len(first) != len(second):
        raise ValueError(f"a and b hold {len(first)} and {len(second)} values; a paired test needs pairs")
    gap = first - second
    error = float(gap.std(ddof=1)) / math.sqrt(len(gap)) if np.ptp(gap) else 0.0
    return _t_test(float(gap.mean()), error, float(len(gap) - 1), level)


def welch_t_test(a: Values, b: Values, *, level: float = 0.95) -> TTest:
    """Have ``a`` (n,) and ``b`` (k,), measured on different items, the same mean? At least 2 values each."""
    first, second = sample("a", a), sample("b", b)
    parts = [float(x.var(ddof=1)) / len(x) if np.ptp(x) else 0.0 for x in (first, second)]
    error = math.sqrt(sum(parts))
    squares = sum(part**2 / (len(x) - 1) for part, x in zip(parts, (first, second), strict=True))
    degrees = sum(parts) ** 2 / squares if squares else float(len(first) + len(second) - 2)
    return _t_test(float(first.mean() - second.mean()), error, degrees, level)


def _t_test(difference: float, error: float, degrees: float, level: float) -> TTest:
    reach = student_t_quantile(_level(level), degrees) * error
    if error:
        statistic = difference / error
    else:
        statistic = math.copysign(math.inf, difference) if difference else 0.0
    p_value = student_t_tails(statistic, degrees)
    return TTest(difference, difference - reach, difference + reach, statistic, degrees, p_value)


def student_t_tails(statistic: float | int, degrees: float | int) -> float:
    """The probability that Student's t of ``degrees`` > 0 lies beyond +- ``statistic``."""
    if not degrees > 0:
        raise ValueError(f"degrees is {degrees}; it must be positive")
    squared = statistic * statistic
    if degrees > LARGE and squared < math.inf:
        z = abs(statistic) * (1 - 1 / (4 * degrees)) / math.sqrt(1 + squared / (2 * degrees))
        return math.erfc(z / math.sqrt(2))  # Abramowitz and Stegun 1964, equation 26.7.8
    if squared > degrees:
        return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + squared)) if squared < math.inf else 0.0
    return 1 - incomplete_beta(0.5, degrees / 2, squared / (degrees + squared))


def student_t_quantile(level: float, degrees: float | int) -> float:
    """The t that encloses ``level`` of the probability between -t and t.

    Newton's method from the normal quantile: the tails are convex and above those of the normal, so that
    it climbs to the solution and never passes it.
    """
    target, t = 1 - _level(level), NormalDist().inv_cdf(0.5 + level / 2)
    ends = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    peak = math.exp(ends) / math.sqrt(degrees * math.pi)
    for _ in range(200):
        density = peak * math.exp(-(degrees + 1) / 2 * math.log1p(t * t / degrees))
        step = (student_t_tails(t, degrees) - target) / (2 * density)
        t += step
        if step <= 1e-13 * t:  # a step back is rounding
            break
    return t


def incomplete_beta(a: float | int, b: float | int, x: float | int) -> float:
    """The share of the area below u^(a - 1) (1 - u)^(b - 1) that lies left of ``x`` in [0, 1]; a, b > 0."""
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise ValueError(f"a, b and x are {a}, {b} and {x}; a and b must be positive and x in [0, 1]")
    if x in (0, 1):
        return float(x)
    if x > (a + 1) / (a + b + 2):  # from here on the fraction converges faster from the other side
        return 1 - incomplete_beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    tail = 0.0  # the fraction from the back: d_1 / (1 + d_2 / (1 + ...))
    for place in range(_terms(a, b), 0, -1):
        m = place // 2
        if place % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        tail = d / (1 + tail)
    return math.exp(scale) / (a * (1 + tail))


def _terms(a: float | int, b: float | int) -> int:
    """As many terms as convergence needs: their number grows like the root of the larger parameter."""
    return 60 + 2 * int(8 * math.sqrt(max(a, b, 1.0)))


def mcnemar_test(won: int, lost: int, *, exact: bool = True) -> float:
    """The two-sided p-value for two models that disagree on ``won`` + ``lost`` items, 0 or more each.

    ``exact``: twice the binomial tail. Otherwise chi-squared with the continuity correction of Edwards
    (1948), which is close from about 25 disagreements on.
    """
    if won < 0 or lost < 0:
        raise ValueError(f"won and lost are {won} and {lost}; counts are 0 or more")
    flips, fewer = won + lost, min(won, lost)
    if not exact:
        return math.erfc(math.sqrt((abs(won - lost) - 1) ** 2 / flips / 2)) if flips else 1.0
    if won == lost:
        return 1.0
    steps = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((flips - steps + 1) / steps))])
    return min(1.0, 2 * float(np.exp(logs - flips * math.log(2)).sum()))


def wilson_interval(share: float | int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a proportion of which ``share`` in [0, 1] was seen among ``count`` >= 1 items."""
    if not 0 <= share <= 1 or count < 1:
        raise ValueError(f"share is {share} of count {count}; a share lies in [0, 1], a count is 1 or more")
    z = NormalDist().inv_cdf(0.5 + _level(level) / 2)
    scale = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / scale
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / scale
    # At 0 and 1 the bound is exact; rounding would put it a hair beside the estimate.
    return (0.0 if share == 0 else centre - reach), (1.0 if share == 1 else centre + reach)


def bonett_price_interval(won: int, lost: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Of a difference of proportions on the same ``count`` items (Bonett and Price 2012, equation 5)."""
    if won < 0 or lost < 0 or won + lost > count:
        raise ValueError(f"won and lost are {won} and {lost} of count {count}; together at most the count")
    z = NormalDist().inv_cdf(0.5 + _level(level) / 2)
    up, down = (won + 1) / (count + 2), (lost + 1) / (count + 2)
    reach = z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    return max(-1.0, up - down - reach), min(1.0, up - down + reach)


def bonferroni(p_values: Values) -> np.ndarray:
    """``p_values`` (m,) times m: below 0.05, the probability of any false alarm is below 0.05."""
    found = probabilities(p_values)
    return np.minimum(1, len(found) * found)


def holm(p_values: Values) -> np.ndarray:
    """The same promise as ``bonferroni``, and never larger: the k-th smallest of m is times m - k + 1."""
    found = probabilities(p_values)
    order = np.argsort(found, kind="stable")
    steps = found[order] * np.arange(len(found), 0, -1)
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def benjamini_hochberg(p_values: Values) -> np.ndarray:
    """Below 0.05, the share of false alarms among alarms is expected below 0.05: k-th smallest x m / k."""
    found = probabilities(p_values)
    order = np.argsort(-found, kind="stable")
    steps = found[order] * len(found) / np.arange(len(found), 0, -1)
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(steps))
    return adjusted


def sample(name: str, values: Values) -> np.ndarray:
    """``values`` in float64; ValueError unless they are 2 or more finite numbers in one dimension."""
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or len(data) < 2 or not np.isfinite(data).all():
        bad = int((~np.isfinite(data)).sum())
        raise ValueError(
            f"{name} has shape {data.shape} with {bad} not finite; it must be 2 or more finite numbers"
        )
    return data


def probabilities(p_values: Values) -> np.ndarray:
    found = np.asarray(p_values, dtype=np.float64)
    if found.ndim != 1 or not ((found >= 0) & (found <= 1)).all():
        raise ValueError(f"p_values is {found.tolist()}; it must be numbers in [0, 1], in one dimension")
    return found


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, for example 0.95")
    return level


def t_test_by_hand(gap: np.ndarray) -> np.ndarray:
    """Statistic and p-value of differences: the tails of the density, by Simpson's rule, t = tan(angle)."""
    mean = sum(gap) / len(gap)
    variance = sum((value - mean) ** 2 for value in gap) / (len(gap) - 1)
    statistic, v = mean / math.sqrt(variance / len(gap)), len(gap) - 1
    start, pieces = math.atan(abs(statistic)), 2000
    width = (math.pi / 2 - start) / pieces
    area = 0.0
    for piece in range(pieces):  # at a right angle t is infinite and the density 0
        ends = [_density_by_hand(math.tan(start + width * (piece + half)), v) for half in (0.0, 0.5)]
        last = _density_by_hand(math.tan(start + width * (piece + 1)), v) if piece < pieces - 1 else 0.0
        area += width / 6 * (ends[0] + 4 * ends[1] + last)
    return np.array([statistic, 2 * area])


def _density_by_hand(t: float, v: int) -> float:
    """Student's density per angle: 1 + t^2 is the stretch of the tangent."""
    peak = math.gamma((v + 1) / 2) / (math.sqrt(v * math.pi) * math.gamma(v / 2))
    return peak * (1 + t * t / v) ** (-(v + 1) / 2) * (1 + t * t)


def mcnemar_test_by_hand(won: int, lost: int) -> float:
    """Of all ways in which fair coins can fall, the share that is at least as one-sided as this."""
    flips = won + lost
    return sum(math.comb(flips, heads) for heads in range(flips + 1)
               if abs(heads - flips / 2) >= abs(won - flips / 2)) / 2**flips  # fmt: skip


def wilson_interval_by_hand(share: float, count: int, level: float) -> tuple[float, float]:
    """Halve from the share to 0, and to 1, for the last proportion that the data do not contradict."""
    z = NormalDist().inv_cdf((1 + level) / 2)

    def believable(p: float) -> bool:
        return (share - p) ** 2 <= z**2 * p * (1 - p) / count

    found = []
    for outside in (0.0, 1.0):
        inside = share
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if believable(middle) else (inside, middle)
        found.append(inside)
    return found[0], found[1]


def holm_by_hand(p_values: np.ndarray) -> np.ndarray:
    """Step down: from the smallest p-value on, each is judged among those that are left."""
    adjusted, floor = {}, 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return np.array([adjusted[place] for place in range(len(p_values))])


def benjamini_hochberg_by_hand(p_values: np.ndarray) -> np.ndarray:
    """For each: the smallest expected share of false alarms at any threshold that lets it through."""
    m = len(p_values)
    shares = {limit: m * limit / sum(p <= limit for p in p_values) for limit in p_values}
    return np.array([min(1.0, *(shares[limit] for limit in p_values if limit >= p)) for p in p_values])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    def numbers(function: Callable[..., object]) -> Callable[..., np.ndarray]:
        return lambda *inputs: np.array(function(*inputs))

    gap = np.array([0.3, -0.1, 0.8, 0.4, 0.2, -0.3, 0.9])
    p_values = np.array([0.01, 0.2, 0.03, 0.004, 0.03, 0.9])
    yield Twin("paired t test", lambda d: np.array(paired_t_test(d, np.zeros(7)))[[3, 5]], t_test_by_hand,
               (gap,), tolerance=1e-10, gradients=False)  # fmt: skip
    yield Twin("mcnemar", numbers(mcnemar_test), numbers(mcnemar_test_by_hand), (9, 3), gradients=False)
    yield Twin("wilson", numbers(wilson_interval), numbers(wilson_interval_by_hand), (0.85, 20, 0.9),
               gradients=False)  # fmt: skip
    yield Twin("holm", holm, holm_by_hand, (p_values,), gradients=False)
    yield Twin("benjamini-hochberg", benjamini_hochberg, benjamini_hochberg_by_hand, (p_values,),
               gradients=False)  # fmt: skip
