"""Bayes' theorem: what to believe after seeing data, given what was believed before.

    P(h | data) = P(data | h) P(h) / P(data)           posterior = likelihood x prior / evidence

The evidence P(data) is the sum of the numerator over all hypotheses h, or its integral where h is a number.
That integral is what makes Bayesian inference hard. It vanishes for pairs in which prior and posterior
are of one family (conjugate, Raiffa and Schlaifer 1961): there, learning is adding to the parameters
(Gelman et al., Bayesian Data Analysis, 3rd edition, sections 2.4 to 2.6 and 3.4).

    prior                     data                        posterior
    Beta(a, b)                h hits, m misses            Beta(a + h, b + m)
    Normal(m, s)              n values, noise e           precision 1/s^2 + n/e^2, mean weighed by precision
    Gamma(a, rate r)          n Poisson counts            Gamma(a + sum, rate r + n)
    Dirichlet(a_1 .. a_c)     n_k of each class k         Dirichlet(a_k + n_k)

So a prior reads as data seen before: Beta(3, 2) as two hits and one miss more than the flat Beta(1, 1).

Axes: h  hypotheses     n  observations     c  classes; all others are batch axes and broadcast.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.mathematics.distributions import (
    Normal,
    Parameter,
    integrate_by_hand,
    normal_density_by_hand,
    parameters,
    require,
)
from fathom.fundamentals.mathematics.gamma_family import (
    Beta,
    Dirichlet,
    Gamma,
    beta_density_by_hand,
    dirichlet_density_by_hand,
    gamma_density_by_hand,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Bayes' theorem and conjugate priors",
    paper="https://doi.org/10.1098/rstl.1763.0053",
    year=1763,
    summary="Turns a prior belief and data into a posterior belief; for conjugate pairs by adding counts.",
    rows=("MA08",),
    builds_on=("distributions", "gamma_family"),
    oracle="posterior = prior x likelihood / evidence, with scipy.stats densities and scipy.integrate.quad",
)


def bayes_rule(prior: Tensor, log_likelihood: Tensor) -> Float[Tensor, "... h"]:
    """The posterior (..., h) of a finite number of hypotheses.

    ``prior`` (..., h) sums to 1; ``log_likelihood`` (..., h) is log P(data | h), at most minus infinity
    for the impossible. Logarithms, because the likelihood of a thousand observations is below any float.
    Raises ValueError when the prior is no distribution or no hypothesis can explain the data.
    """
    (given,) = parameters(prior=(prior, "in [0, 1]"))
    if given.ndim < 1 or log_likelihood.shape != given.shape:
        shapes = f"{tuple(given.shape)} and log_likelihood {tuple(log_likelihood.shape)}"
        raise ValueError(f"prior has shape {shapes}; both must be (..., h)")
    slack = 1e-5 if given.dtype == torch.float64 else 1e-4 + 2 * torch.finfo(given.dtype).eps
    require((given.sum(-1) - 1).abs() <= slack, "the sum of prior", given.sum(-1), "1")
    require(log_likelihood < math.inf, "log_likelihood", log_likelihood, "below infinity")
    joint = given.log() + log_likelihood
    best = joint.amax(-1)
    require(best > -math.inf, "log evidence", best, "finite: some hypothesis must allow the data")
    return joint.softmax(-1)


def beta_binomial(prior: Beta, hits: Parameter, misses: Parameter) -> Beta:
    """The belief about a probability after ``hits`` successes and ``misses`` failures, each 0 or more."""
    return Beta(
        prior.alpha + tally("hits", hits, prior.alpha), prior.beta + tally("misses", misses, prior.alpha)
    )


def normal_normal(prior: Normal, values: Tensor, noise: Parameter) -> Normal:
    """The belief about a mean after ``values`` (n, ...) measured with a known standard deviation ``noise``.

    Precisions, 1 / variance, add; the mean is weighed by them. Without values the prior is returned.
    """
    observations("values", values)
    require(values.isfinite(), "values", values, "finite")
    # Beside the prior's spread, a plain number for the noise takes its precision.
    spread, around = parameters(noise=(noise, "positive and finite"), std=(prior.std, "positive and finite"))
    before, seen = around**-2, len(values) * spread**-2
    mean = (before * prior.mean + spread**-2 * values.sum(0)) / (before + seen)
    return Normal(mean, (before + seen).rsqrt())


def gamma_poisson(prior: Gamma, counts: Tensor) -> Gamma:
    """The belief about a rate after ``counts`` (n, ...) of events, each in one unit of time."""
    observations("counts", counts)
    seen = tally("counts", counts, prior.rate)
    return Gamma(prior.concentration + seen.sum(0), prior.rate + len(seen))


def dirichlet_multinomial(prior: Dirichlet, counts: Tensor) -> Dirichlet:
    """The belief about the shares of c classes after ``counts`` (..., c) of each."""
    if counts.ndim < 1 or counts.shape[-1] != prior.concentration.shape[-1]:
        wanted = f"(..., {prior.concentration.shape[-1]})"
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be {wanted}")
    return Dirichlet(prior.concentration + tally("counts", counts, prior.concentration))


def observations(name: str, values: Tensor) -> None:
    if values.ndim < 1:
        raise ValueError(f"{name} has no axes; it must be (n, ...), one row per observation")


def tally(name: str, count: Parameter, like: Tensor) -> Tensor:
    """Counts in the type of the prior; ValueError where they are not 0 or more."""
    seen = torch.as_tensor(count, dtype=like.dtype, device=like.device)
    require((seen >= 0) & seen.isfinite(), name, seen, "0 or more and finite")
    return seen


def bayes_rule_by_hand(
    prior: Float[Tensor, "... h"], likelihood: Float[Tensor, "... h"]
) -> Float[Tensor, "... h"]:
    evidence = (prior * likelihood).sum(-1, keepdim=True)
    return prior * likelihood / evidence


def posterior_density_by_hand(
    prior: Callable[[Tensor], Tensor],
    likelihood: Callable[[Tensor], Tensor],
    x: Tensor,
    *ends: Tensor | float,
) -> Tensor:
    """The theorem for a number: no family, no addition of counts, only the integral of the evidence."""
    evidence = integrate_by_hand(lambda t: prior(t) * likelihood(t), *ends)
    return prior(x) * likelihood(x) / evidence


def beta_binomial_by_hand(x: Tensor, alpha: Tensor, beta: Tensor, hits: int, misses: int) -> Tensor:
    return posterior_density_by_hand(
        lambda p: beta_density_by_hand(p, alpha, beta), lambda p: p**hits * (1 - p) ** misses, x, 0.0, 1.0
    )


def normal_normal_by_hand(x: Tensor, mean: Tensor, std: Tensor, values: Tensor, noise: Tensor) -> Tensor:
    def likelihood(m: Tensor) -> Tensor:
        return normal_density_by_hand(values[:, None], m, noise).prod(0)

    ends = [mean + step * std for step in (-11.0, -1.0, 1.0, 11.0)]
    return posterior_density_by_hand(lambda m: normal_density_by_hand(m, mean, std), likelihood, x, *ends)


def gamma_poisson_by_hand(x: Tensor, concentration: Tensor, rate: Tensor, counts: list[int]) -> Tensor:
    def likelihood(r: Tensor) -> Tensor:
        chance = torch.ones_like(r)
        for count in counts:
            chance = chance * r**count * torch.exp(-r) / math.factorial(count)
        return chance

    return posterior_density_by_hand(
        lambda r: gamma_density_by_hand(r, concentration, rate), likelihood, x, 0.0, 8.0, 60.0
    )


def dirichlet_multinomial_by_hand(
    x: Float[Tensor, "c"], concentration: Float[Tensor, "c"], classes: list[int]
) -> Float[Tensor, ""]:
    """The evidence, one draw at a time: the chance of a class is its share of prior and draws so far."""
    likelihood, evidence, seen = torch.ones_like(x[0]), torch.ones_like(x[0]), concentration
    for k in classes:
        likelihood, evidence = likelihood * x[k], evidence * seen[k] / seen.sum()
        seen = seen + torch.nn.functional.one_hot(torch.tensor(k), len(seen))
    return dirichlet_density_by_hand(x, concentration) * likelihood / evidence


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: log-densities of posteriors. By hand they are integrals."""
    from fathom.fundamentals.twin import Twin

    def real(*numbers: float) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64).squeeze()

    def scaled(prior: Tensor, log_likelihood: Tensor) -> Tensor:  # perturbed priors must still sum to 1
        return bayes_rule(prior / prior.sum(), log_likelihood)

    p, rates, shares = real(0.2, 0.5, 0.9), real(0.7, 1.5, 4.0), real(0.2, 0.5, 0.3)
    seen, classes = real(0.4, 1.9, 1.1, 0.2), [0, 2, 2, 1, 2]
    yield Twin("bayes rule", scaled,
               lambda prior, ll: bayes_rule_by_hand(prior / prior.sum(), torch.exp(ll)),
               (shares, real(-1.0, -2.5, 0.0)))  # fmt: skip
    yield Twin("beta binomial", lambda a, b: beta_binomial(Beta(a, b), 5, 3).log_prob(p),
               lambda a, b: beta_binomial_by_hand(p, a, b, 5, 3).log(),
               (real(2.5), real(3.0)), tolerance=1e-10)  # fmt: skip
    yield Twin("normal normal", lambda m, s, e: normal_normal(Normal(m, s), seen, e).log_prob(p),
               lambda m, s, e: normal_normal_by_hand(p, m, s, seen, e).log(),
               (real(0.3), real(1.4), real(0.8)), tolerance=1e-10)  # fmt: skip
    yield Twin("gamma poisson",
               lambda a, r: gamma_poisson(Gamma(a, r), torch.tensor([1, 0, 4])).log_prob(rates),
               lambda a, r: gamma_poisson_by_hand(rates, a, r, [1, 0, 4]).log(),
               (real(2.5), real(1.5)), tolerance=1e-10)  # fmt: skip
    yield Twin("dirichlet multinomial",
               lambda a: dirichlet_multinomial(Dirichlet(a), torch.tensor([1, 1, 3])).log_prob(shares),
               lambda a: dirichlet_multinomial_by_hand(shares, a, classes).log(),
               (real(2.5, 1.2, 4.0),), tolerance=1e-10)  # fmt: skip
