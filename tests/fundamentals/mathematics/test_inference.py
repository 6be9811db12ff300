"""Tests and intervals in closed form against scipy and statsmodels."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from fathom.fundamentals.mathematics.inference import (
    benjamini_hochberg,
    bonett_price_interval,
    bonferroni,
    holm,
    incomplete_beta,
    mcnemar_test,
    paired_t_test,
    student_t_quantile,
    student_t_tails,
    welch_t_test,
    wilson_interval,
)


def test_paired_t_equals_scipy() -> None:
    for seed in range(50):
        dice = np.random.default_rng(seed)
        a = dice.normal(size=int(dice.integers(2, 80))) * 10 ** dice.uniform(-3, 3)
        b = a * 0.9 + dice.normal(0.2, 1, size=len(a))
        level = float(dice.uniform(0.5, 0.999))
        ours, theirs = paired_t_test(a, b, level=level), scipy.stats.ttest_rel(a, b)
        low, high = theirs.confidence_interval(level)
        assert ours.degrees == theirs.df == len(a) - 1
        assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
        assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-8)
        assert ours.difference == pytest.approx((a - b).mean())


def test_welch_equals_scipy() -> None:
    for seed in range(50):
        dice = np.random.default_rng(seed)
        a = dice.normal(0.3, 3, size=int(dice.integers(2, 60)))
        b = dice.normal(size=int(dice.integers(2, 60)))
        ours, theirs = welch_t_test(a, b, level=0.9), scipy.stats.ttest_ind(a, b, equal_var=False)
        low, high = theirs.confidence_interval(0.9)
        assert (ours.statistic, ours.degrees) == pytest.approx((theirs.statistic, theirs.df), rel=1e-9)
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-8)
        assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-8)


def test_student_t_equals_scipy() -> None:
    for degrees in (0.7, 1, 2, 3.5, 10, 99, 1e3, 1e5, 1e6, 1e7, 1e9):
        for t in (0.0, 1e-3, 0.5, 1.0, 2.0, 5.0, 12.0):
            expected = 2 * scipy.stats.t(degrees).sf(t)
            assert student_t_tails(t, degrees) == pytest.approx(expected, rel=1e-7, abs=1e-12)
            assert student_t_tails(-t, degrees) == student_t_tails(t, degrees)
        for level in (0.1, 0.5, 0.95, 0.9999):
            expected = scipy.stats.t(degrees).ppf(0.5 + level / 2)
            assert student_t_quantile(level, degrees) == pytest.approx(expected, rel=1e-7)
    assert student_t_tails(1e4, 3) == pytest.approx(2 * scipy.stats.t(3).sf(1e4), rel=1e-9)
    assert student_t_tails(math.inf, 3) == 0


def test_incomplete_beta_equals_scipy() -> None:
    dice = np.random.default_rng(0)
    for _ in range(300):
        a, b = (float(10 ** dice.uniform(-2, 4)) for _ in range(2))
        x = float(dice.beta(a, b)) if dice.random() < 0.7 else float(dice.random())
        assert incomplete_beta(a, b, x) == pytest.approx(scipy.special.betainc(a, b, x), rel=1e-8, abs=1e-12)
    assert (incomplete_beta(2, 3, 0), incomplete_beta(2, 3, 1)) == (0, 1)


def test_exact_mcnemar_equals_scipy() -> None:
    for won, lost in ((0, 0), (1, 0), (3, 3), (10, 2), (2, 10), (400, 300), (0, 40), (5000, 5200)):
        expected = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
        assert mcnemar_test(won, lost) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_mcnemar_equals_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    for won, lost in ((1, 0), (3, 3), (10, 2), (60, 31), (400, 300)):
        table = [[7, won], [lost, 5]]
        assert mcnemar_test(won, lost) == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
        theirs = mcnemar(table, exact=False, correction=True).pvalue
        assert mcnemar_test(won, lost, exact=False) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.slow
def test_corrections_equal_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    for seed in range(30):
        dice = np.random.default_rng(seed)
        p_values = np.round(dice.random(1 + seed) ** 3, 2)  # with ties
        for ours, name in ((bonferroni, "bonferroni"), (holm, "holm"), (benjamini_hochberg, "fdr_bh")):
            theirs = multipletests(p_values, method=name)[1]
            np.testing.assert_allclose(ours(p_values), theirs, rtol=1e-12, atol=1e-15)


def test_wilson_equals_scipy() -> None:
    for right, count in ((0, 5), (5, 5), (1, 1), (88, 100), (997, 1000), (3, 17)):
        for level in (0.8, 0.95, 0.999):
            theirs = scipy.stats.binomtest(right, count).proportion_ci(level, method="wilson")
            ours = wilson_interval(right / count, count, level)
            assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.slow
def test_wilson_equals_statsmodels() -> None:
    from statsmodels.stats.proportion import proportion_confint

    for right, count in ((0, 5), (5, 5), (88, 100), (3, 17)):
        theirs = proportion_confint(right, count, 0.05, method="wilson")
        assert wilson_interval(right / count, count) == pytest.approx(theirs, abs=1e-12)


def test_bonett_price_is_walds_interval_with_one_more_of_each() -> None:
    """Their equation 5 is the interval of Wald for a paired difference, of counts to which 1 was added."""
    z = scipy.stats.norm.ppf(0.975)
    for won, lost, count in ((3, 9, 40), (20, 1, 60), (0, 0, 30)):
        up, down, n = won + 1, lost + 1, count + 2
        reach = z * math.sqrt(up + down - (up - down) ** 2 / n) / n
        expected = ((up - down) / n - reach, (up - down) / n + reach)
        assert bonett_price_interval(won, lost, count) == pytest.approx(expected, abs=1e-12)
    low, high = bonett_price_interval(2, 0, 2)
    assert -1 <= low < high <= 1


def test_false_alarms_are_as_rare_as_promised() -> None:
    dice, alarms = np.random.default_rng(3), 0
    for _ in range(1000):
        a, b = dice.normal(size=(2, 8))
        alarms += welch_t_test(a, b).p_value < 0.05
    assert 0.03 < alarms / 1000 < 0.07


def test_without_spread() -> None:
    same = paired_t_test([0.5, 0.25, 2.0], [0.5, 0.25, 2.0])
    assert (same.difference, same.low, same.high, same.statistic, same.p_value) == (0, 0, 0, 0, 1)
    shifted = paired_t_test([1.5, 2.5, 3.5], [0.5, 1.5, 2.5])
    assert (shifted.low, shifted.high, shifted.statistic, shifted.p_value) == (1, 1, math.inf, 0)
    apart = welch_t_test([1, 1], [2, 2])
    assert (apart.statistic, apart.p_value, apart.degrees) == (-math.inf, 0, 2)
    far = paired_t_test([1e4, -1e4, 1e4], [0.0, 0.0, 1e-4])
    assert 0 < far.p_value < 1 and math.isfinite(far.statistic)
    assert holm([]).tolist() == []
    assert benjamini_hochberg([0.3]).tolist() == [0.3]


def test_bad_input_is_refused() -> None:
    cases = [
        (lambda: paired_t_test([1.0, 2.0], [1.0, 2.0, 3.0]), "a and b hold 2 and 3 values"),
        (lambda: paired_t_test([1.0], [2.0]), r"a has shape \(1,\) with 0 not finite"),
        (lambda: welch_t_test([1.0, 2.0], [math.nan, 1.0]), r"b has shape \(2,\) with 1 not finite"),
        (lambda: welch_t_test(np.zeros((2, 2)), [1.0, 2.0]), r"a has shape \(2, 2\)"),
        (lambda: paired_t_test([1.0, 2.0], [0.0, 3.0], level=95.0), "level is 95.0; it must lie between"),
        (lambda: student_t_tails(1.0, 0), "degrees is 0; it must be positive"),
        (lambda: student_t_quantile(1.0, 3), "level is 1.0"),
        (lambda: incomplete_beta(-1, 2, 0.5), "a, b and x are -1, 2 and 0.5"),
        (lambda: incomplete_beta(1, 2, 1.5), "x in"),
        (lambda: mcnemar_test(-1, 3), "won and lost are -1 and 3"),
        (lambda: wilson_interval(1.5, 3), "share is 1.5 of count 3"),
        (lambda: wilson_interval(0.5, 0), "share is 0.5 of count 0"),
        (lambda: bonett_price_interval(3, 3, 5), "won and lost are 3 and 3 of count 5"),
        (lambda: bonferroni([0.5, 1.5]), r"p_values is \[0.5, 1.5\]"),
        (lambda: holm([math.nan]), r"p_values is \[nan\]"),
        (lambda: benjamini_hochberg(np.zeros((2, 2))), "in one dimension"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
