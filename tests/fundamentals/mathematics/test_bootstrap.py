"""The bootstrap against scipy on the very same resamples; permutation tests where scipy enumerates."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats

from fathom.fundamentals.mathematics.bootstrap import (
    acceleration,
    bca_interval,
    bootstrap_interval,
    mean_acceleration,
    percentile_interval,
    permutation_test,
    resampled,
    resampled_means,
    sign_flip_test,
)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def slope_along(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    gap = x - x.mean(axis, keepdims=True)
    return (gap * (y - y.mean(axis, keepdims=True))).sum(axis) / (gap**2).sum(axis)


def test_intervals_of_a_mean_equal_scipy() -> None:
    """Given scipy's own resamples, both intervals are scipy's."""
    for seed in range(20):
        dice = np.random.default_rng(seed)
        values, level = dice.exponential(size=int(dice.integers(5, 80))), float(dice.uniform(0.6, 0.99))
        for method in ("percentile", "BCa"):
            theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=999, confidence_level=level,
                                           method=method, rng=np.random.default_rng(seed))  # fmt: skip
            drawn = theirs.bootstrap_distribution
            if method == "BCa":
                ours = bca_interval(drawn, float(values.mean()), mean_acceleration(values), level)
            else:
                ours = percentile_interval(drawn, level)
            interval = theirs.confidence_interval
            assert ours == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_intervals_of_any_statistic_equal_scipy() -> None:
    for seed in range(10):
        dice = np.random.default_rng(seed)
        x = dice.normal(size=40)
        y = 0.5 * x + dice.standard_t(4, size=40)
        theirs = scipy.stats.bootstrap((x, y), slope_along, paired=True, n_resamples=999, method="BCa",
                                       rng=np.random.default_rng(seed))  # fmt: skip
        ours = bca_interval(theirs.bootstrap_distribution, slope(x, y), acceleration(slope, (x, y)))
        assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_the_whole_interval_equals_scipy() -> None:
    """The generator of one seed draws the same rows for both, so nothing is left to chance."""
    for seed in range(5):
        dice = np.random.default_rng([1, seed])
        x = dice.normal(size=60)
        y = 0.5 * x + dice.standard_t(4, size=60)
        theirs = scipy.stats.bootstrap((x, y), slope_along, paired=True, n_resamples=500, method="BCa",
                                       rng=np.random.default_rng(seed))  # fmt: skip
        ours = bootstrap_interval(slope, x, y, resamples=500, seed=seed)
        assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)
        assert ours == bootstrap_interval(slope, x, y, resamples=500, seed=seed)
        assert ours != bootstrap_interval(slope, x, y, resamples=500, seed=seed + 1)


def test_the_acceleration_of_a_mean_needs_no_loop() -> None:
    for count in (2, 17, 200):
        values = np.random.default_rng(count).exponential(size=count)
        assert acceleration(np.mean, [values]) == pytest.approx(mean_acceleration(values), abs=1e-10)


def test_resampled_means_are_means_of_resamples() -> None:
    values = np.random.default_rng(0).normal(size=50)
    means = resampled_means(values, 4000, 0)
    assert abs(means.mean() - values.mean()) < 4 * values.std() / math.sqrt(50 * 4000)
    assert means.std() == pytest.approx(values.std() / math.sqrt(50), rel=0.05)
    general = resampled(np.mean, [values], 4000, 1)
    assert scipy.stats.ks_2samp(means, general).pvalue > 0.01


def test_the_truth_is_covered_as_often_as_promised() -> None:
    hits = 0
    for trial in range(200):
        values = np.random.default_rng([4, trial]).exponential(size=40)
        low, high = bca_interval(
            resampled_means(values, 400, 0), float(values.mean()), mean_acceleration(values)
        )
        hits += low <= 1 <= high
    assert 0.88 < hits / 200 < 0.99


def test_sign_flips_equal_scipy_where_all_are_tried() -> None:
    for seed in range(10):
        gap = np.random.default_rng(seed).normal(0.4, 1, size=2 + seed % 9)
        theirs = scipy.stats.permutation_test((gap, np.zeros_like(gap)), lambda x, y: np.mean(x - y),
                                              permutation_type="samples", n_resamples=10_000)  # fmt: skip
        assert sign_flip_test(gap) == pytest.approx(theirs.pvalue, abs=1e-12)
        assert sign_flip_test(np.append(gap, [0.0, 0.0])) == sign_flip_test(gap)  # a tie has no sign


def test_permutations_equal_scipy_where_all_are_tried() -> None:
    def gap(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return x.mean(axis) - y.mean(axis)

    for seed in range(12):
        dice = np.random.default_rng(seed)
        a, b = dice.normal(0.5, 1, size=2 + seed % 5), dice.exponential(size=3 + seed % 4)
        theirs = scipy.stats.permutation_test((a, b), gap, vectorized=True, n_resamples=np.inf)
        assert permutation_test(a, b) == pytest.approx(theirs.pvalue, abs=1e-12)
        rounded = np.round(a), np.round(b)  # with ties
        theirs = scipy.stats.permutation_test(rounded, gap, vectorized=True, n_resamples=np.inf)
        assert permutation_test(*rounded) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_random_permutations_approach_the_t_test() -> None:
    dice = np.random.default_rng(6)
    a, b = dice.normal(0.35, 1, size=60), dice.normal(size=50)
    expected = scipy.stats.ttest_ind(a, b).pvalue
    assert permutation_test(a, b, 4000) == pytest.approx(expected, abs=0.02)
    paired = scipy.stats.ttest_rel(a[:50], b).pvalue
    assert sign_flip_test(a[:50] - b, 8000) == pytest.approx(paired, abs=0.02)


def test_few_and_equal_values() -> None:
    assert sign_flip_test([0.0, 0.0]) == 1
    assert sign_flip_test([1.0]) == 1
    assert sign_flip_test([1e4] * 10) == pytest.approx(2 / 2**10)
    assert permutation_test([1.0, 1.0], [1.0]) == 1
    assert mean_acceleration([2.0, 2.0]) == 0
    assert bca_interval(np.full(100, 2.0), 2.0, 0.0) == (2, 2)
    one_side = bca_interval(np.arange(101.0), -5.0, 0.1, 0.9)  # no resample below the estimate
    assert one_side == percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    assert resampled_means([True, True], 100, 0).tolist() == [1] * 100


def test_memory_stays_bounded() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    tracemalloc.start()
    resampled_means(values, 200, 0)
    sign_flip_test(values, 200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_bad_input_is_refused() -> None:
    cases = [
        (lambda: bootstrap_interval(np.mean, [1.0]), r"the arrays have \[1\] rows"),
        (lambda: bootstrap_interval(slope, [1.0, 2.0], [1.0]), r"the arrays have \[2, 1\] rows"),
        (lambda: bootstrap_interval(np.mean, [1.0, math.nan]), "function is nan, and finite on"),
        (lambda: bootstrap_interval(np.mean, [1.0, 2.0], level=1.0), "level is 1.0; it must lie between"),
        (lambda: bootstrap_interval(np.mean, [1.0, 2.0], resamples=10), "resamples is 10; it must be 100"),
        (lambda: resampled_means([], 100, 0), r"values has shape \(0,\)"),
        (lambda: resampled_means(np.zeros((2, 2)), 100, 0), r"values has shape \(2, 2\)"),
        (lambda: percentile_interval([1.0, math.inf]), r"drawn has shape \(2,\) with 1 not finite"),
        (lambda: percentile_interval([1.0], 0.0), "level is 0.0"),
        (lambda: bca_interval([1.0, 2.0], 1.5, 0.0, 2.0), "level is 2.0"),
        (lambda: mean_acceleration([math.nan]), "values has shape"),
        (lambda: sign_flip_test([]), r"gap has shape \(0,\)"),
        (lambda: sign_flip_test([1.0], 5), "resamples is 5"),
        (lambda: permutation_test([1.0], [math.nan]), r"b has shape \(1,\) with 1 not finite"),
        (lambda: permutation_test([1.0], [1.0], 99), "resamples is 99"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
