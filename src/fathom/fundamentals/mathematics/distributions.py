"""Distributions of real numbers: normal, Laplace, uniform, exponential, and the normal of vectors.

A density p(x) >= 0 encloses an area of 1; the probability of an interval is the area above it. Learning
works with log p(x): products of many small numbers become sums that neither overflow nor vanish. The
entropy H = -integral of p log p, in nats, is the mean surprise -log p of a draw (Shannon 1948, section 20).

    normal        p(x) = exp(-(x - m)^2 / (2 s^2)) / (s sqrt(2 pi))            H = log(s sqrt(2 pi e))
    Laplace       p(x) = exp(-|x - m| / s) / (2 s)                             H = 1 + log(2 s)
    uniform       p(x) = 1 / (high - low) between low and high                 H = log(high - low)
    exponential   p(x) = rate exp(-rate x) for x >= 0                          H = 1 - log(rate)
    normal of d   p(x) = exp(-(x - m)' C^-1 (x - m) / 2) / sqrt(det(2 pi C))   H = log(det(2 pi e C)) / 2

Draws are made of uniform ones by turning the cumulative distribution around (Devroye 1986, section II.2):
-log(1 - u) is exponential, the difference of two exponentials is Laplace. A generator is always given, so
a draw depends on nothing else.

Axes: d  dimensions of a vector; all others are batch axes, and parameters and values broadcast.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Continuous distributions",
    paper="https://luc.devroye.org/rnbookindex.html",
    year=1986,
    summary="Says how likely each real number is, how surprising it is on average, and draws such numbers.",
    rows=("MA07",),
    differs=(
        "A value outside the support is refused, not given a log-density of minus infinity.",
        "The uniform density holds at both of its ends, because rounding can draw either.",
    ),
    oracle="torch.distributions: log_prob and entropy in float64; scipy.stats: Kolmogorov-Smirnov of draws",
)

Parameter = Tensor | float | int
LOG_TWO_PI = math.log(2 * math.pi)
ALLOWED: dict[str, Callable[[Tensor], Tensor]] = {
    "finite": torch.isfinite,
    "positive and finite": lambda x: (x > 0) & x.isfinite(),
    "0 or more and finite": lambda x: (x >= 0) & x.isfinite(),
    "in [0, 1]": lambda x: (x >= 0) & (x <= 1),
}


def require(ok: Tensor, name: str, value: Tensor, allowed: str) -> None:
    """Raise ValueError with the first entry of ``value`` at which ``ok`` is false."""
    if not bool(ok.all()):
        raise ValueError(f"{name} holds {value.detach().expand_as(ok)[~ok][0].item()}; it must be {allowed}")


def parameters(**given: tuple[Parameter, str]) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape, type and device; each comes with what it must be.

    Raises ValueError for a tensor of integers, a value that is not allowed, or shapes that do not broadcast.
    """
    tensors = {name: value for name, (value, _) in given.items() if isinstance(value, Tensor)}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name} is of type {tensor.dtype}; it must be a floating-point tensor")
    dtypes = [tensor.dtype for tensor in tensors.values()] or [torch.get_default_dtype()]
    dtype = reduce(torch.promote_types, dtypes)
    device = next((tensor.device for tensor in tensors.values()), None)
    found = {name: torch.as_tensor(value, dtype=dtype, device=device) for name, (value, _) in given.items()}
    for name, (_, allowed) in given.items():
        require(ALLOWED[allowed](found[name]), name, found[name], allowed)
    try:
        return tuple(torch.broadcast_tensors(*found.values()))
    except RuntimeError as error:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in found.items())
        raise ValueError(f"the parameters have shapes {shapes}; they must broadcast") from error


def observed(value: Tensor, parameter: Tensor) -> Tensor:
    """``value`` in the shape that it takes together with the parameters; finite, or ValueError."""
    if not value.is_floating_point():
        raise ValueError(f"value is of type {value.dtype}; it must be a floating-point tensor")
    try:
        shape = torch.broadcast_shapes(value.shape, parameter.shape)
    except RuntimeError as error:
        ours, theirs = tuple(value.shape), tuple(parameter.shape)
        raise ValueError(
            f"value has shape {ours}; it must broadcast with the parameters' {theirs}"
        ) from error
    require(value.isfinite(), "value", value, "finite")
    return value.expand(shape)


def uniform_draws(like: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform in [0, 1), of ``shape`` and then that of ``like``; float32 or finer, so that tails exist."""
    if any(size < 0 for size in shape):
        raise ValueError(f"shape is {shape}; its sizes must be 0 or more")
    dtype = torch.promote_types(like.dtype, torch.float32)
    drawn = torch.rand((*shape, *like.shape), generator=generator, dtype=dtype, device=generator.device)
    return drawn.to(like.device)


def normal_draws(like: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal, of ``shape`` and then that of ``like``."""
    if any(size < 0 for size in shape):
        raise ValueError(f"shape is {shape}; its sizes must be 0 or more")
    dtype = torch.promote_types(like.dtype, torch.float32)
    drawn = torch.randn((*shape, *like.shape), generator=generator, dtype=dtype, device=generator.device)
    return drawn.to(like.device)


class Normal:
    """The bell curve with mean ``mean`` and standard deviation ``std`` > 0."""

    def __init__(self, mean: Parameter = 0.0, std: Parameter = 1.0) -> None:
        self.mean, self.std = parameters(mean=(mean, "finite"), std=(std, "positive and finite"))

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value``, any finite number."""
        z = (observed(value, self.mean) - self.mean) / self.std
        return -0.5 * z.square() - self.std.log() - 0.5 * LOG_TWO_PI

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        return 0.5 + 0.5 * LOG_TWO_PI + self.std.log()

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        return (self.mean + self.std * normal_draws(self.mean, shape, generator)).to(self.mean.dtype)


class Laplace:
    """Two exponentials back to back at ``mean``, each falling e-fold over ``scale`` > 0."""

    def __init__(self, mean: Parameter = 0.0, scale: Parameter = 1.0) -> None:
        self.mean, self.scale = parameters(mean=(mean, "finite"), scale=(scale, "positive and finite"))

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value``, any finite number."""
        return -(observed(value, self.mean) - self.mean).abs() / self.scale - (2 * self.scale).log()

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        return 1 + (2 * self.scale).log()

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        up, down = (-torch.log1p(-uniform_draws(self.mean, shape, generator)) for _ in range(2))
        return (self.mean + self.scale * (up - down)).to(self.mean.dtype)


class Uniform:
    """Every number from ``low`` to ``high`` alike."""

    def __init__(self, low: Parameter = 0.0, high: Parameter = 1.0) -> None:
        self.low, self.high = parameters(low=(low, "finite"), high=(high, "finite"))
        require(self.high > self.low, "high", self.high, "above low")

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value`` in [low, high]."""
        x = observed(value, self.low)
        require((x >= self.low) & (x <= self.high), "value", x, "between low and high")
        return -(self.high - self.low).log() + 0 * x

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats; below 0 where the interval is shorter than 1."""
        return (self.high - self.low).log()

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        share = uniform_draws(self.low, shape, generator)
        return (self.low + (self.high - self.low) * share).to(self.low.dtype)


class Exponential:
    """The waiting time for an event that happens ``rate`` > 0 times per unit, with no memory."""

    def __init__(self, rate: Parameter = 1.0) -> None:
        (self.rate,) = parameters(rate=(rate, "positive and finite"))

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density at ``value`` >= 0."""
        x = observed(value, self.rate)
        require(x >= 0, "value", x, "0 or more")
        return self.rate.log() - self.rate * x

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        return 1 - self.rate.log()

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of ``shape`` and then the shape of the parameters, without gradient."""
        return (-torch.log1p(-uniform_draws(self.rate, shape, generator)) / self.rate).to(self.rate.dtype)


class MultivariateNormal:
    """The normal distribution of vectors: ``mean`` (..., d), ``covariance`` (..., d, d), positive definite.

    Raises ValueError when the shapes do not fit or the covariance is not symmetric or not positive definite.
    """

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        (self.mean,) = parameters(mean=(mean, "finite"))
        (self.covariance,) = parameters(covariance=(covariance, "finite"))
        if mean.ndim < 1 or covariance.ndim < 2 or covariance.shape[-2:] != (mean.shape[-1],) * 2:
            given = f"{tuple(covariance.shape)} for a mean of {tuple(mean.shape)}"
            raise ValueError(f"covariance has shape {given}; it must be (..., d, d) for a mean of (..., d)")
        gap, size = (covariance - covariance.mT).abs(), covariance.abs()
        slack = 1e-5 * size.amax(dim=(-2, -1), keepdim=True)
        require(gap <= slack, "covariance - its transpose", gap, "0: a covariance is symmetric")
        self.factor, failed = torch.linalg.cholesky_ex(covariance)
        if bool(failed.any()):
            raise ValueError(
                f"covariance has a leading minor {int(failed.max())} <= 0; it must be positive definite"
            )

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-density of each vector of ``value`` (..., d), in the shape of the batch axes."""
        if value.ndim < 1 or value.shape[-1] != self.mean.shape[-1]:
            wanted = f"(..., {self.mean.shape[-1]})"
            raise ValueError(f"value has shape {tuple(value.shape)}; it must be {wanted}")
        gap = observed(value, self.mean) - self.mean
        z = torch.linalg.solve_triangular(self.factor, gap[..., None], upper=False)[..., 0]
        return -0.5 * (z.square().sum(-1) + gap.shape[-1] * LOG_TWO_PI) - self._log_volume()

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise, in nats."""
        return 0.5 * self.mean.shape[-1] * (1 + LOG_TWO_PI) + self._log_volume()

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws (*shape, ..., d) without gradient: the Cholesky factor turns a round cloud into this one."""
        batch = torch.broadcast_shapes(self.mean.shape[:-1], self.factor.shape[:-2])
        mean = self.mean.expand(*batch, self.mean.shape[-1])
        z = normal_draws(mean, shape, generator)
        return (mean + (self.factor.to(z.dtype) @ z[..., None])[..., 0]).to(mean.dtype)

    def _log_volume(self) -> Tensor:
        """Half the log-determinant of the covariance, read off its Cholesky factor."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def normal_density_by_hand(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return torch.exp(-((x - mean) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))


def laplace_density_by_hand(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return torch.exp(-(x - mean).abs() / scale) / (2 * scale)


def uniform_density_by_hand(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.where((low <= x) & (x <= high), 1 / (high - low), 0.0)


def exponential_density_by_hand(x: Tensor, rate: Tensor) -> Tensor:
    return torch.where(x >= 0, rate * torch.exp(-rate * x), 0.0)


def multivariate_normal_density_by_hand(
    x: Float[Tensor, "d"], mean: Float[Tensor, "d"], covariance: Float[Tensor, "d d"]
) -> Float[Tensor, ""]:
    """One vector: the inverse measures distance in units of the spread, the determinant the volume."""
    distance = (x - mean) @ torch.linalg.inv(covariance) @ (x - mean)
    return torch.exp(-distance / 2) / torch.linalg.det(2 * math.pi * covariance).sqrt()


def integrate_by_hand(function: Callable[[Tensor], Tensor], *ends: Tensor | float) -> Tensor:
    """The area below ``function`` from the first end to the last, by 200 Gauss-Legendre points a piece.

    Ends stand where the function is not smooth: no rule of quadrature likes a kink inside a piece.
    """
    places, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(200))
    total = torch.zeros((), dtype=torch.float64)
    for left, right in itertools.pairwise(ends):
        middle, half = (left + right) / 2, (right - left) / 2
        total = total + (half * weights * function(middle + half * places)).sum()
    return total


def entropy_by_hand(density: Callable[[Tensor], Tensor], *ends: Tensor | float) -> Tensor:
    """The definition: surprise -log p(x), weighed by how often x happens."""
    return integrate_by_hand(lambda x: -density(x) * density(x).log(), *ends)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: log-densities, and entropies as areas."""
    from fathom.fundamentals.twin import Twin

    def real(*numbers: float | int) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64)

    def bell(s: Tensor) -> Tensor:
        return entropy_by_hand(lambda x: normal_density_by_hand(x, one, s), one - 11 * s, one + 11 * s)

    def tent(s: Tensor) -> Tensor:
        return entropy_by_hand(lambda x: laplace_density_by_hand(x, one, s), one - 45 * s, one, one + 45 * s)

    def block(low: Tensor, high: Tensor) -> Tensor:
        return entropy_by_hand(lambda x: uniform_density_by_hand(x, low, high), low, high)

    def decay(rate: Tensor) -> Tensor:
        return entropy_by_hand(lambda x: exponential_density_by_hand(x, rate), 0 * rate, 45 / rate)

    x, m, s, one = real(-2.5, 0.1, 3), real(0.5, -1, 2), real(0.3, 1, 4), real(0.7)
    yield Twin("normal", lambda x, m, s: Normal(m, s).log_prob(x),
               lambda x, m, s: normal_density_by_hand(x, m, s).log(), (x, m, s))  # fmt: skip
    yield Twin("laplace", lambda x, m, s: Laplace(m, s).log_prob(x),
               lambda x, m, s: laplace_density_by_hand(x, m, s).log(), (x, m, s))  # fmt: skip
    yield Twin("uniform", lambda low, high: Uniform(low, high).log_prob(x),
               lambda low, high: uniform_density_by_hand(x, low, high).log(), (x - s, x + s))  # fmt: skip
    yield Twin("exponential", lambda x, rate: Exponential(rate).log_prob(x),
               lambda x, rate: exponential_density_by_hand(x, rate).log(), (x.abs(), s))  # fmt: skip
    yield Twin("normal entropy", lambda s: Normal(one, s).entropy().sum(), bell, (one,))
    yield Twin("laplace entropy", lambda s: Laplace(one, s).entropy().sum(), tent, (one,))
    yield Twin("uniform entropy", lambda low, high: Uniform(low, high).entropy().sum(), block, (-one, one))
    yield Twin("exponential entropy", lambda rate: Exponential(rate).entropy().sum(), decay, (one,))
    root = torch.stack([real(1, 0.2, 0), real(-0.4, 1.5, 0.1), real(0.3, 0, 0.8)])
    yield Twin("multivariate normal", lambda x, m, r: MultivariateNormal(m, r @ r.T).log_prob(x),
               lambda x, m, r: multivariate_normal_density_by_hand(x, m, r @ r.T).log(),
               (x, m, root))  # fmt: skip
