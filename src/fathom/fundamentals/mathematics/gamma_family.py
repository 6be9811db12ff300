"""The gamma family: gamma, beta, Dirichlet and Student's t, all made of gamma-distributed draws.

A gamma number is the waiting time for ``a`` events at a constant rate, for any real a > 0. Divide
one of two gamma numbers by their sum and the share is beta-distributed; the shares of c of them are
Dirichlet-distributed; a normal number over the root of one is Student's t. As priors, the first three make
Bayes' theorem a matter of adding counts (``bayes``).

    gamma       p(x) = r^a x^(a - 1) exp(-r x) / G(a)                    G is the gamma function
    beta        p(x) = x^(a - 1) (1 - x)^(b - 1) G(a + b) / (G(a) G(b))
    Dirichlet   p(x) = G(sum a) prod_k x_k^(a_k - 1) / G(a_k)            over shares that sum to 1
    Student     p(x) = G((v + 1) / 2) / (G(v / 2) sqrt(v pi) s) (1 + ((x - m) / s)^2 / v)^(-(v + 1) / 2)

Gamma draws are by rejection (Marsaglia and Tsang 2000): d (1 + c z)^3 with d = a - 1/3, c = 1 / sqrt(9 d)
and z normal is nearly right, and a coin decides which draws to repeat. Below a = 1 a draw for a + 1
is scaled by u^(1 / a) (their section 6). The draws are kept as logarithms: for a = 0.001 nearly all are
smaller than any float, and shares of them are still exact.

Axes: c  parts of a whole; all others are batch axes, and parameters and values broadcast.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.mathematics.distributions import (
    Parameter,
    entropy_by_hand,
    integrate_by_hand,
    normal_draws,
    observed,
    parameters,
    require,
    uniform_draws,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Gamma, beta, Dirichlet and Student's t",
    paper="https://doi.org/10.1145/358407.358414",
    year=2000,
    summary="Describes waiting times, unknown probabilities and heavy tails, and draws them by rejection.",
    rows=("MA07",),
    builds_on=("distributions",),
    differs=("A draw that no float can hold is replaced by the nearest one that lies in the support.",),
    oracle="torch.distributions: log_prob and entropy in float64; scipy.stats: Kolmogorov-Smirnov of draws",
)


def log_gamma_draws(concentration: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Logarithms of gamma draws at rate 1, of ``shape`` and then that of ``concentration``."""
    first = uniform_draws(concentration, shape, generator)
    a = concentration.to(first.dtype).expand(first.shape).flatten()
    boost = torch.where(a < 1, torch.log1p(-first.flatten()) / a, 0)
    d = torch.where(a < 1, a + 1, a) - 1 / 3
    c, found, waiting = (9 * d).rsqrt(), torch.empty_like(d), torch.arange(len(d), device=d.device)
    while len(waiting):
        here = d[waiting]
        z, coin = normal_draws(here, (), generator), uniform_draws(here, (), generator)
        cube = (1 + c[waiting] * z) ** 3
        log_cube = cube.clamp(min=torch.finfo(d.dtype).tiny).log()
        limit = 0.5 * z.square() + here * (1 - cube + log_cube)  # Marsaglia and Tsang, step 4
        good = (cube > 0) & (torch.log1p(-coin) < limit)
        found[waiting[good]] = here[good].log() + log_cube[good]
        waiting = waiting[~good]
    return (found + boost).reshape(first.shape)


def log_beta_function(a: Tensor, b: Tensor) -> Tensor:
    """log(G(a) G(b) / G(a + b)), the area below x^(a - 1) (1 - x)^(b - 1)."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


class Gamma:
    """The waiting time for ``concentration`` > 0 events that happen ``rate`` > 0 times per unit."""

    def __init__(self, concentration: Parameter, rate: Parameter = 1.0) -> None:
        self.concentration, self.rate = parameters(
            concentration=(concentration, "positive and finite"), rate=(rate, "positive and finite")
        )

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value`` >= 0; infinite at 0 where the concentration is below 1."""
        x, a = observed(value, self.rate), self.concentration
        require(x >= 0, "value", x, "0 or more")
        return a * self.rate.log() + torch.xlogy(a - 1, x) - self.rate * x - torch.lgamma(a)

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        a = self.concentration
        return a - self.rate.log() + torch.lgamma(a) + (1 - a) * torch.digamma(a)

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        drawn = (log_gamma_draws(self.concentration, shape, generator) - self.rate.log()).exp()
        limits = torch.finfo(self.rate.dtype)
        return drawn.clamp(limits.tiny, limits.max).to(self.rate.dtype)


class Beta:
    """An unknown share of a whole, as after ``alpha`` - 1 hits and ``beta`` - 1 misses; both above 0."""

    def __init__(self, alpha: Parameter, beta: Parameter) -> None:
        self.alpha, self.beta = parameters(
            alpha=(alpha, "positive and finite"), beta=(beta, "positive and finite")
        )

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value`` in [0, 1]."""
        x = observed(value, self.alpha)
        require((x >= 0) & (x <= 1), "value", x, "in [0, 1]")
        inside = torch.xlogy(self.alpha - 1, x) + torch.special.xlog1py(self.beta - 1, -x)
        return inside - log_beta_function(self.alpha, self.beta)

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats: 0 for the uniform one, below it for all others."""
        a, b = self.alpha, self.beta
        known = (a - 1) * torch.digamma(a) + (b - 1) * torch.digamma(b) - (a + b - 2) * torch.digamma(a + b)
        return log_beta_function(a, b) - known

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        hits, misses = (log_gamma_draws(p, shape, generator) for p in (self.alpha, self.beta))
        limits = torch.finfo(self.alpha.dtype)
        return torch.sigmoid(hits - misses).clamp(limits.tiny, 1 - limits.eps).to(self.alpha.dtype)


class Dirichlet:
    """Unknown shares of c parts that sum to 1; ``concentration`` (..., c) above 0, as counts plus a prior."""

    def __init__(self, concentration: Tensor) -> None:
        (self.concentration,) = parameters(concentration=(concentration, "positive and finite"))
        if concentration.ndim < 1 or concentration.shape[-1] < 2:
            raise ValueError(
                f"concentration has shape {tuple(concentration.shape)}; it must be (..., c), c >= 2"
            )

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density of the shares ``value`` (..., c), in the shape of the batch axes."""
        x, a = observed(value, self.concentration), self.concentration
        require(x >= 0, "value", x, "0 or more")
        slack = 1e-5 if x.dtype == torch.float64 else 1e-4 + 2 * torch.finfo(x.dtype).eps
        require((x.sum(-1) - 1).abs() <= slack, "the sum of value", x.sum(-1), "1")
        return torch.xlogy(a - 1, x).sum(-1) - self._log_volume()

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        a, total, parts = self.concentration, self.concentration.sum(-1), self.concentration.shape[-1]
        known = (total - parts) * torch.digamma(total) - ((a - 1) * torch.digamma(a)).sum(-1)
        return self._log_volume() + known

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws (*shape, ..., c) without gradient."""
        shares = log_gamma_draws(self.concentration, shape, generator).softmax(-1)
        return shares.clamp(min=torch.finfo(self.concentration.dtype).tiny).to(self.concentration.dtype)

    def _log_volume(self) -> Tensor:
        return torch.lgamma(self.concentration).sum(-1) - torch.lgamma(self.concentration.sum(-1))


class StudentT:
    """A normal with an uncertain spread: tails fall like a power, the slower the fewer ``degrees`` > 0."""

    def __init__(self, degrees: Parameter, mean: Parameter = 0.0, scale: Parameter = 1.0) -> None:
        self.degrees, self.mean, self.scale = parameters(
            degrees=(degrees, "positive and finite"),
            mean=(mean, "finite"),
            scale=(scale, "positive and finite"),
        )

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value``, any finite number."""
        v = self.degrees
        z = (observed(value, self.mean) - self.mean) / self.scale
        peak = torch.lgamma((v + 1) / 2) - torch.lgamma(v / 2) - 0.5 * (v * math.pi).log() - self.scale.log()
        return peak - 0.5 * (v + 1) * torch.log1p(z.square() / v)

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        v, half = self.degrees, torch.full_like(self.degrees, 0.5)
        tails = 0.5 * (v + 1) * (torch.digamma((v + 1) / 2) - torch.digamma(v / 2))
        return tails + 0.5 * v.log() + log_beta_function(v / 2, half) + self.scale.log()

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        z = normal_draws(self.mean, shape, generator)
        log_variance = log_gamma_draws(self.degrees / 2, shape, generator) - (self.degrees / 2).log()
        most = torch.finfo(self.mean.dtype).max
        drawn = self.mean + self.scale * z * (-0.5 * log_variance).exp()
        return drawn.clamp(-most, most).to(self.mean.dtype)


def gamma_function_by_hand(a: Tensor) -> Tensor:
    """Euler's integral of t^(a - 1) exp(-t) over t > 0, with t = exp(s): smooth, and gone at both ends."""
    return integrate_by_hand(lambda s: torch.exp(a * s - torch.exp(s)), -36 / a, 1.0, 5.0)


def gamma_density_by_hand(x: Tensor, a: Tensor, rate: Tensor) -> Tensor:
    return rate**a * x ** (a - 1) * torch.exp(-rate * x) / gamma_function_by_hand(a)


def beta_density_by_hand(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The area that makes it a density is measured, not looked up."""
    area = integrate_by_hand(lambda t: t ** (a - 1) * (1 - t) ** (b - 1), 0.0, 1.0)
    return x ** (a - 1) * (1 - x) ** (b - 1) / area


def dirichlet_density_by_hand(x: Float[Tensor, "c"], a: Float[Tensor, "c"]) -> Float[Tensor, ""]:
    density = gamma_function_by_hand(a.sum())
    for share, concentration in zip(x, a, strict=True):
        density = density * share ** (concentration - 1) / gamma_function_by_hand(concentration)
    return density


def student_t_density_by_hand(x: Tensor, degrees: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """A mixture of normals: average exp(-w z^2 / 2) sqrt(w) over the gamma-distributed precision w."""
    half, z = degrees / 2, (x - mean) / scale

    def mixed(s: Tensor) -> Tensor:  # w = exp(s)
        w = torch.exp(s)
        weight = half**half * torch.exp(half * s - half * w) / gamma_function_by_hand(half)
        return weight * torch.sqrt(w / (2 * math.pi)) * torch.exp(-w * z**2 / 2) / scale

    return integrate_by_hand(mixed, -36 / half, 0.0, 5.0)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares. By hand every constant is an integral, hence 1e-10."""
    from fathom.fundamentals.twin import Twin

    def real(number: float) -> Tensor:
        return torch.tensor(number, dtype=torch.float64)

    def gamma_entropy(a: Tensor, rate: Tensor) -> Tensor:
        return entropy_by_hand(lambda x: gamma_density_by_hand(x, a, rate), 0.0, 8 / rate, 60 / rate)

    def beta_entropy(a: Tensor, b: Tensor) -> Tensor:
        return entropy_by_hand(lambda x: beta_density_by_hand(x, a, b), 0.0, 1.0)

    shares = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    counts = torch.tensor([2.5, 1.2, 4.0], dtype=torch.float64)
    yield Twin("gamma", lambda x, a, r: Gamma(a, r).log_prob(x),
               lambda x, a, r: gamma_density_by_hand(x, a, r).log(),
               (real(1.7), real(2.5), real(0.8)), tolerance=1e-10)  # fmt: skip
    yield Twin("beta", lambda x, a, b: Beta(a, b).log_prob(x),
               lambda x, a, b: beta_density_by_hand(x, a, b).log(),
               (real(0.3), real(4.0), real(6.0)), tolerance=1e-10)  # fmt: skip
    yield Twin("dirichlet", lambda x, a: Dirichlet(a).log_prob(x),
               lambda x, a: dirichlet_density_by_hand(x, a).log(),
               (shares, counts), tolerance=1e-10)  # fmt: skip
    yield Twin("student t", lambda x, v, m, s: StudentT(v, m, s).log_prob(x),
               lambda x, v, m, s: student_t_density_by_hand(x, v, m, s).log(),
               (real(1.3), real(6.0), real(-0.4), real(0.9)), tolerance=1e-10)  # fmt: skip
    yield Twin("gamma entropy", lambda a, r: Gamma(a, r).entropy(), gamma_entropy,
               (real(4.0), real(1.5)), tolerance=1e-9)  # fmt: skip
    yield Twin("beta entropy", lambda a, b: Beta(a, b).entropy(), beta_entropy,
               (real(4.0), real(6.0)), tolerance=1e-9)  # fmt: skip
