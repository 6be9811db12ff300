"""Bias and variance beside the closed form of a projection, and fits beside NumPy's."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fathom.fundamentals.networks.bias_variance import decomposition, fit_polynomial, polynomial_experiment


@pytest.mark.parametrize("degree", [0, 1, 3, 5, 9])
def test_polynomials_have_the_bias_and_variance_of_a_projection(degree: int) -> None:
    """A least-squares fit H y has variance s^2 d / n at its inputs and misses what (1 - H) leaves of f."""
    inputs = np.linspace(-1, 1, 30)
    truth = np.sin(np.pi * inputs)
    powers = np.vander(inputs, degree + 1)
    hat = powers @ np.linalg.pinv(powers)
    found = polynomial_experiment(degree, samples=30, noise=0.3, resamples=3000)
    count = degree + 1
    assert found.variance == pytest.approx(0.09 * count / 30, rel=5 * math.sqrt(2 / (3000 * count)))
    expected = float(((truth - hat @ truth) ** 2).mean())
    assert found.bias == pytest.approx(expected, abs=5 * 0.09 * count / 30 / 3000 + 0.02 * expected)
    assert found.noise == pytest.approx(0.09, rel=5 * math.sqrt(2 / 90_000))


def test_the_parts_add_up_to_the_error() -> None:
    """But for noise times prediction error, whose mean is zero: within four standard errors of that."""
    for degree in range(0, 13, 2):
        found = polynomial_experiment(degree, resamples=400, seed=degree)
        total = found.bias + found.variance + found.noise
        spread = 2 * math.sqrt(found.noise * (found.bias + found.variance) / (400 * 30))
        assert abs(found.error - total) < 4 * spread
        # The same sum without chance: the error against the truth has no cross term.
        dice = np.random.default_rng(degree)
        predictions, truth = dice.standard_normal((6, 5)), dice.standard_normal(5)
        exact = decomposition(predictions, truth, np.tile(truth, (6, 1)))
        assert exact.noise == 0 and exact.error == pytest.approx(exact.bias + exact.variance, rel=1e-12)


def test_variance_rises_and_bias_falls_with_the_degree() -> None:
    found = [polynomial_experiment(degree) for degree in (0, 1, 3, 5, 7, 9, 13)]
    assert all(a.variance < b.variance for a, b in itertools.pairwise(found))
    fitted = found[:4]  # from degree 5 on there is no bias left to lose
    assert all(a.bias > b.bias for a, b in itertools.pairwise(fitted))
    assert max(f.bias for f in found[4:]) < 2e-3 < found[2].bias
    errors = [f.error for f in found]
    assert errors.index(min(errors)) in (2, 3, 4) and errors[0] > min(errors) < errors[-1]


def test_more_data_lower_the_variance_and_leave_the_bias() -> None:
    few, many = (polynomial_experiment(1, samples=n, resamples=1000) for n in (40, 400))
    assert few.variance == pytest.approx(10 * many.variance, rel=0.15)
    assert few.bias == pytest.approx(many.bias, rel=0.15)


def test_fits_match_numpy() -> None:
    inputs, targets = np.linspace(-1, 1, 40), np.random.default_rng(0).standard_normal((3, 40))
    for degree in (0, 2, 8):
        ours = fit_polynomial(inputs, targets, degree)
        for row, target in zip(ours, targets, strict=True):
            theirs = np.polynomial.Polynomial.fit(inputs, target, degree)(inputs)
            np.testing.assert_allclose(row, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: decomposition(np.zeros((1, 3)), np.zeros(3), np.zeros((1, 3))), "2 models or more"),
        (lambda: decomposition(np.zeros((2, 3)), np.zeros(4), np.zeros((2, 3))), r"truth \(4,\)"),
        (lambda: decomposition(np.zeros((2, 3)), np.zeros(3), np.zeros((3, 3))), r"targets have shape \(3"),
        (lambda: decomposition(np.full((2, 3), np.nan), np.zeros(3), np.zeros((2, 3))), "not finite"),
        (lambda: fit_polynomial(np.zeros(3), np.zeros((1, 4)), 1), r"inputs have shape \(3,\)"),
        (lambda: fit_polynomial(np.zeros(3), np.zeros((1, 3)), 2), "degree is 2; with 3 inputs"),
        (lambda: polynomial_experiment(-1), "degree is -1"),
        (lambda: polynomial_experiment(1, samples=0), "degree is 1; with 0 inputs"),
        (lambda: polynomial_experiment(1, noise=-0.1), "noise is -0.1; it must be 0 or more"),
        (lambda: polynomial_experiment(1, resamples=1), "resamples is 1; it must be 2 or more"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
