"""Intervals against SciPy, against exact enumeration, and against what a 95 % interval promises."""

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.stats

from fathom.errors import InputError
from fathom.report.intervals import bootstrap_mean, bootstrap_statistic, paired_difference


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a - b) ** 2).mean()))


def rmse_along(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.sqrt(((a - b) ** 2).mean(axis=axis))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_mean_agrees_with_scipy(level):
    values = np.random.default_rng(1).exponential(size=80)
    ours = bootstrap_mean(values, level=level, resamples=20_000, seed=3)
    theirs = scipy.stats.bootstrap((values,), np.mean, confidence_level=level, n_resamples=20_000,
                                   method="BCa", rng=np.random.default_rng(5))  # fmt: skip
    theirs = theirs.confidence_interval
    spread = theirs.high - theirs.low
    assert ours.estimate == pytest.approx(values.mean())
    assert abs(ours.low - theirs.low) < 0.03 * spread
    assert abs(ours.high - theirs.high) < 0.03 * spread


def test_statistic_agrees_with_scipy():
    draws = np.random.default_rng(2)
    truth = draws.normal(size=60)
    guess = truth + draws.standard_t(3, size=60)
    ours = bootstrap_statistic(rmse, truth, guess, resamples=8000, seed=1)
    theirs = scipy.stats.bootstrap((truth, guess), rmse_along, paired=True, n_resamples=8000, method="BCa",
                                   rng=np.random.default_rng(7)).confidence_interval  # fmt: skip
    spread = theirs.high - theirs.low
    assert ours.estimate == rmse(truth, guess)
    assert abs(ours.low - theirs.low) < 0.06 * spread
    assert abs(ours.high - theirs.high) < 0.06 * spread


def test_grouped_jackknife_stays_close_to_the_full_one():
    values = np.random.default_rng(4).exponential(size=1000)
    grouped = bootstrap_statistic(np.mean, values, resamples=3000, seed=0)
    closed = bootstrap_mean(values, resamples=3000, seed=0)
    spread = closed.high - closed.low
    assert abs(grouped.low - closed.low) < 0.1 * spread
    assert abs(grouped.high - closed.high) < 0.1 * spread


@pytest.mark.parametrize(("right", "count"), [(0, 5), (5, 5), (1, 1), (88, 100), (997, 1000)])
def test_proportions_get_wilsons_interval(right, count):
    values = np.arange(count) < right
    ours = bootstrap_mean(values)
    theirs = scipy.stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.high > ours.low  # all correct is not certainty
    assert ours.low <= ours.estimate <= ours.high


def test_many_values_use_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 2, size=150_000)
    ours = bootstrap_mean(values)
    assert ours.method == "normal"
    assert ours.high - ours.low == pytest.approx(2 * 1.959964 * 2 / np.sqrt(150_000), rel=0.01)


def covered(draw, truth: float, interval, trials: int) -> float:
    hits = 0
    for trial in range(trials):
        found = interval(draw(np.random.default_rng([9, trial])))
        hits += found.low <= truth <= found.high
    return hits / trials


def test_the_mean_is_covered_as_often_as_promised():
    share = covered(lambda draws: draws.exponential(size=50), 1.0,
                    lambda values: bootstrap_mean(values, resamples=500), 400)  # fmt: skip
    assert 0.90 < share < 0.98


def test_a_proportion_is_covered_as_often_as_promised():
    share = covered(lambda draws: draws.random(60) < 0.93, 0.93, bootstrap_mean, 1000)
    assert 0.92 < share < 0.985


def test_a_paired_proportion_is_covered_as_often_as_promised():
    def draw(draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        easy = draws.random(80)
        return easy < 0.9, (easy < 0.7) | (easy > 0.95)

    share = covered(draw, 0.9 - 0.75, lambda pair: paired_difference(*pair), 600)
    assert 0.92 < share < 0.99


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=300)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(list(values), seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)
    other = values + np.random.default_rng(1).normal(size=300)
    assert paired_difference(values, other, seed=4) == paired_difference(values, other, seed=4)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (3, 3), (10, 2), (2, 10), (400, 300), (0, 40)])
def test_mcnemar_agrees_with_the_binomial_test(won, lost):
    a = np.repeat([1, 0, 1], [won, lost, 7])
    b = np.repeat([0, 1, 1], [won, lost, 7])
    found = paired_difference(a, b)
    expected = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert found.difference == pytest.approx((won - lost) / (won + lost + 7))
    assert found.low <= found.difference <= found.high
    assert (found.method, found.n) == ("exact McNemar", won + lost + 7)


def test_sign_flips_are_enumerated_when_few():
    draws = np.random.default_rng(3)
    a, b = draws.normal(0.6, 1, size=8), draws.normal(size=8)
    gap = a - b
    flips = [abs(np.dot(signs, gap)) for signs in itertools.product((1, -1), repeat=8)]
    expected = np.mean([flip >= abs(gap.sum()) - 1e-9 for flip in flips])
    assert paired_difference(a, b).p_value == pytest.approx(expected)
    theirs = scipy.stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples")
    assert paired_difference(a, b).p_value == pytest.approx(theirs.pvalue)


def test_random_sign_flips_agree_with_scipy():
    draws = np.random.default_rng(6)
    a, b = draws.normal(0.25, 1, size=60), draws.normal(size=60)
    ours = paired_difference(a, b, resamples=20_000)
    theirs = scipy.stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples",
                                          n_resamples=20_000, rng=np.random.default_rng(0))  # fmt: skip
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.015)
    assert ours.low <= ours.difference <= ours.high


def test_false_alarms_are_as_rare_as_promised():
    alarms = 0
    for trial in range(400):
        draws = np.random.default_rng([5, trial])
        a, b = draws.exponential(size=25), draws.exponential(size=25)
        alarms += paired_difference(a, b, resamples=200).p_value < 0.05
    assert 0.02 < alarms / 400 < 0.085


def test_equal_scores_and_constant_gaps():
    same = paired_difference([0.5, 0.25, 2.0], [0.5, 0.25, 2.0])
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    shifted = paired_difference([1.5, 2.5, 3.5], [0.5, 1.5, 2.5])
    assert (shifted.low, shifted.high) == (1, 1)
    mixed = paired_difference([1.5, 2.5, 3.5, 4.5], [0.5, 2.5, 2.5, 4.5])  # gaps of 0 and 1 are no proportion
    assert mixed.method == "sign-flip permutation"
    assert 0 <= mixed.low <= mixed.difference <= mixed.high <= 1


def test_memory_stays_under_200_mb():
    values = np.random.default_rng(0).normal(size=10_000)
    other = values + np.random.default_rng(1).normal(size=10_000)
    tracemalloc.start()
    bootstrap_mean(values)
    paired_difference(values, other)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_resamples_without_a_value_are_left_out_or_refused():
    labels, scores = np.repeat([0, 1], [40, 3]), np.random.default_rng(0).normal(size=43)

    def gap(y: np.ndarray, x: np.ndarray) -> float:
        return float(x[y == 1].mean() - x[y == 0].mean()) if 0 < y.sum() < len(y) else float("nan")

    found = bootstrap_statistic(gap, labels, scores)
    assert found.low < found.estimate < found.high
    with pytest.raises(InputError, match="rows of every class"):
        bootstrap_statistic(gap, np.zeros(43), scores)


@pytest.mark.parametrize(
    ("call", "words"),
    [(lambda: bootstrap_mean([]), "at least one finite number"),
     (lambda: bootstrap_mean([1.0, float("nan")]), "1 not finite"),
     (lambda: bootstrap_mean(np.zeros((2, 2))), "one dimension"),
     (lambda: bootstrap_mean([0.5]), "give at least 2"),
     (lambda: bootstrap_mean([0.5, 1], level=95.0), "between 0 and 1"),
     (lambda: bootstrap_mean([0.5, 1], resamples=10), "at least 100"),
     (lambda: bootstrap_statistic(rmse, [1.0, 2.0], [1.0]), r"arrays of \[2, 1\] rows"),
     (lambda: bootstrap_statistic(np.mean, [1.0]), "at least 2 rows"),
     (lambda: paired_difference([1, 0], [1]), "2 and 1 scores"),
     (lambda: paired_difference([1], [0]), "at least 2 items")],
)  # fmt: skip
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_results_read_well():
    assert str(bootstrap_mean(np.arange(100) < 90)) == "0.9 [0.8256, 0.9448]"
    assert "p = 1, n = 3" in str(paired_difference([1, 0, 1], [1, 0, 1]))
