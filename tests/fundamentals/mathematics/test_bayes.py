"""Bayes' theorem against prior x likelihood / evidence, with densities and integrals of scipy."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from fathom.fundamentals.mathematics.bayes import (
    bayes_rule,
    beta_binomial,
    dirichlet_multinomial,
    gamma_poisson,
    normal_normal,
)
from fathom.fundamentals.mathematics.distributions import Normal
from fathom.fundamentals.mathematics.gamma_family import Beta, Dirichlet, Gamma

DOUBLE = torch.float64


def test_a_rare_disease_and_a_good_test() -> None:
    """1 % are ill, the test finds 90 % of them and alarms 9 % of the healthy: an alarm means 9 % ill."""
    found = bayes_rule(
        torch.tensor([0.01, 0.99], dtype=DOUBLE), torch.tensor([0.9, 0.09], dtype=DOUBLE).log()
    )
    assert float(found[0]) == pytest.approx(0.01 * 0.9 / (0.01 * 0.9 + 0.99 * 0.09), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    some.lists(
        some.tuples(some.floats(0.01, 1), some.floats(-40, 0), some.floats(-40, 0)), min_size=2, max_size=6
    )
)
def test_the_order_of_evidence_does_not_matter(rows: list[tuple[float, float, float]]) -> None:
    table = torch.tensor(rows, dtype=DOUBLE)
    prior = table[:, 0] / table[:, 0].sum()
    first, second = table[:, 1], table[:, 2]
    once = bayes_rule(prior, first + second)
    torch.testing.assert_close(bayes_rule(bayes_rule(prior, first), second), once, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(bayes_rule(bayes_rule(prior, second), first), once, rtol=1e-9, atol=1e-12)
    assert float(once.sum()) == pytest.approx(1)


def test_likelihoods_below_any_float() -> None:
    found = bayes_rule(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([-1e4, -1e4 + 1, 0.0]))
    torch.testing.assert_close(found, torch.tensor([1 / (1 + math.e), math.e / (1 + math.e), 0.0]))
    assert bayes_rule(torch.tensor([1.0]), torch.tensor([-1e4])).tolist() == [1]
    half = bayes_rule(torch.tensor([0.5, 0.5], dtype=torch.bfloat16), torch.tensor([0.0, -1e4]).bfloat16())
    assert half.tolist() == [1, 0]


def posterior(prior, likelihood, points, low: float, high: float, middle: float) -> np.ndarray:
    """The definition, by adaptive quadrature around where the posterior lies."""
    parts = [scipy.integrate.quad(lambda t: prior(t) * likelihood(t), *ends, epsabs=0, epsrel=1e-11)[0]
             for ends in ((low, middle), (middle, high))]  # fmt: skip
    return np.array([prior(t) * likelihood(t) for t in points]) / sum(parts)


def test_conjugate_updates_equal_the_theorem() -> None:
    shares, rates, means = np.array([0.2, 0.4, 0.75]), np.array([0.5, 2.0, 4.0]), np.array([-1.0, 0.6, 2.0])
    counts, values = np.array([2, 0, 5, 3]), np.array([0.3, 1.9, 0.7])
    cases = [
        (beta_binomial(Beta(torch.tensor(2.5, dtype=DOUBLE), 1.5), 7, 4), shares,
         posterior(scipy.stats.beta(2.5, 1.5).pdf, lambda p: p**7 * (1 - p) ** 4, shares, 0, 1, 0.6)),
        (gamma_poisson(Gamma(torch.tensor(1.5, dtype=DOUBLE), 0.5), torch.tensor(counts)), rates,
         posterior(scipy.stats.gamma(1.5, scale=2).pdf, lambda r: scipy.stats.poisson(r).pmf(counts).prod(),
                   rates, 0, 40, 2.5)),
        (normal_normal(Normal(torch.tensor(-0.5, dtype=DOUBLE), 2.0), torch.tensor(values), 1.3), means,
         posterior(scipy.stats.norm(-0.5, 2).pdf, lambda m: scipy.stats.norm(m, 1.3).pdf(values).prod(),
                   means, -20, 20, 0.7)),
    ]  # fmt: skip
    for found, points, expected in cases:
        density = found.log_prob(torch.tensor(points)).exp().numpy()
        np.testing.assert_allclose(density, expected, rtol=1e-9)


def test_dirichlet_update_equals_the_closed_form() -> None:
    """Prior x multinomial / Dirichlet-multinomial evidence, the last two from scipy."""
    alpha, counts, shares = np.array([0.7, 2.0, 3.5]), np.array([4, 0, 2]), np.array([0.55, 0.15, 0.3])
    prior = scipy.stats.dirichlet(alpha).pdf(shares)
    likelihood = scipy.stats.multinomial(6, shares).pmf(counts)
    evidence = scipy.stats.dirichlet_multinomial(alpha, 6).pmf(counts)
    found = dirichlet_multinomial(Dirichlet(torch.tensor(alpha)), torch.tensor(counts))
    density = float(found.log_prob(torch.tensor(shares)).exp())
    assert density == pytest.approx(prior * likelihood / evidence, rel=1e-9)


def test_two_classes_are_a_coin() -> None:
    coin = beta_binomial(Beta(2.0, 3.0), 5, 1)
    die = dirichlet_multinomial(Dirichlet(torch.tensor([2.0, 3.0])), torch.tensor([5, 1]))
    assert die.concentration.tolist() == [float(coin.alpha), float(coin.beta)] == [7, 4]


def test_learning_one_by_one_or_all_at_once() -> None:
    values = torch.tensor([0.3, 1.9, 0.7, -0.4], dtype=DOUBLE)
    together = normal_normal(Normal(torch.tensor(0.5, dtype=DOUBLE), 2.0), values, 0.8)
    single = Normal(torch.tensor(0.5, dtype=DOUBLE), 2.0)
    for value in values:
        single = normal_normal(single, value[None], 0.8)
    torch.testing.assert_close(single.mean, together.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(single.std, together.std, rtol=1e-12, atol=1e-12)
    nothing = normal_normal(Normal(0.5, 2.0), torch.zeros(0), 0.8)
    assert (float(nothing.mean), float(nothing.std)) == pytest.approx((0.5, 2.0))
    assert float(gamma_poisson(Gamma(2.0, 3.0), torch.zeros(0)).rate) == 3


def test_batches_and_extremes() -> None:
    many = beta_binomial(Beta(torch.ones(3), 1.0), torch.tensor([0, 10_000, 5]), torch.tensor([0, 0, 10_000]))
    assert many.alpha.tolist() == [1, 10_001, 6]
    far = normal_normal(Normal(torch.tensor([-1e4, 1e4], dtype=DOUBLE), 1e-4), torch.zeros(5, 2), 1e4)
    assert far.mean.isfinite().all() and far.std.gt(0).all()
    torch.testing.assert_close(far.mean, torch.tensor([-1e4, 1e4], dtype=DOUBLE))


def test_bad_input_is_refused() -> None:
    half = torch.tensor([0.5, 0.5])
    cases = [
        (lambda: bayes_rule(torch.tensor([0.5, 0.6]), half.log()), "the sum of prior holds 1.1"),
        (lambda: bayes_rule(torch.tensor([1.5, -0.5]), half.log()), "prior holds 1.5"),
        (lambda: bayes_rule(half, torch.zeros(3)), r"prior has shape \(2,\) and log_likelihood \(3,\)"),
        (lambda: bayes_rule(half, torch.tensor([0.0, math.inf])), "log_likelihood holds inf"),
        (
            lambda: bayes_rule(torch.tensor([1.0, 0.0]), torch.tensor([-math.inf, 0.0])),
            "some hypothesis must",
        ),
        (lambda: beta_binomial(Beta(1.0, 1.0), -1, 0), "hits holds -1.0; it must be 0 or more"),
        (lambda: beta_binomial(Beta(1.0, 1.0), 0, math.nan), "misses holds nan"),
        (lambda: normal_normal(Normal(), torch.tensor(1.0), 1.0), "values has no axes"),
        (lambda: normal_normal(Normal(), torch.tensor([math.nan]), 1.0), "values holds nan"),
        (lambda: normal_normal(Normal(), torch.zeros(2), 0.0), "noise holds 0.0"),
        (lambda: gamma_poisson(Gamma(1.0), torch.tensor([1, -2])), "counts holds -2.0"),
        (lambda: gamma_poisson(Gamma(1.0), torch.tensor(3)), "counts has no axes"),
        (lambda: dirichlet_multinomial(Dirichlet(torch.ones(2)), torch.ones(3)), r"counts has shape \(3,\)"),
        (lambda: dirichlet_multinomial(Dirichlet(torch.ones(2)), torch.tensor([1, -1])), "counts holds -1.0"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
