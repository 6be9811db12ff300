"""Distributions of counts and classes: Bernoulli, binomial, categorical, Poisson.

A discrete distribution gives each value a mass P(k), and the masses sum to 1. The first three are one
story: a coin that falls heads with probability p; how often it does in n throws; a die with unequal sides.
The fourth is the limit of the second for many throws of a coin that almost never falls heads.

    Bernoulli     P(1) = p, P(0) = 1 - p
    binomial      P(k) = n! / (k! (n - k)!) p^k (1 - p)^(n - k)      k heads in n throws
    categorical   P(k) = p_k                                         the output of every classifier
    Poisson       P(k) = rate^k exp(-rate) / k!                      events in a unit of time

Factorials overflow at 171, so log n! is the logarithm of the gamma function, lgamma(n + 1). Entropies are
sums over the support, -sum P(k) log P(k), in nats; that of a Poisson with a large rate is summed by its
expansion in 1 / rate (Evans and Boersma 1988).

Axes: c  classes; all others are batch axes, and parameters and values broadcast.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.mathematics.distributions import Parameter, parameters, require, uniform_draws

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Discrete distributions",
    paper="https://luc.devroye.org/rnbookindex.html",
    year=1986,
    summary="Gives each count or class its probability, says how surprising it is on average, and draws it.",
    rows=("MA07",),
    builds_on=("distributions",),
    differs=("A value outside the support is refused, not given a log-probability of minus infinity.",),
    oracle="torch.distributions and scipy.stats: log_prob and entropy in float64; distances of drawn counts",
)

MANY = 1000.0  # from this rate on, the expansion of the Poisson entropy is exact to rounding


def counted(value: Tensor, parameter: Tensor) -> Tensor:
    """``value`` as whole numbers >= 0 in the parameters' type, broadcast with them; else ValueError."""
    try:
        shape = torch.broadcast_shapes(value.shape, parameter.shape)
    except RuntimeError as error:
        ours, theirs = tuple(value.shape), tuple(parameter.shape)
        raise ValueError(
            f"value has shape {ours}; it must broadcast with the parameters' {theirs}"
        ) from error
    count = value.to(torch.promote_types(value.dtype, parameter.dtype))
    require((count >= 0) & (count == count.floor()) & count.isfinite(), "value", value, "a whole number >= 0")
    return count.expand(shape)


def count_times_log(count: Tensor, probability: Tensor) -> Tensor:
    """The product count * log(probability): 0, with a gradient of 0, where the count is 0."""
    return torch.xlogy(count, torch.where(count > 0, probability, 1))


class Bernoulli:
    """One throw of a coin that falls 1 with ``probability`` in [0, 1]."""

    def __init__(self, probability: Parameter) -> None:
        (self.probability,) = parameters(probability=(probability, "in [0, 1]"))

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-probability of each 0 or 1 of ``value``."""
        heads = counted(value, self.probability)
        require(heads <= 1, "value", heads, "0 or 1")
        return count_times_log(heads, self.probability) + count_times_log(1 - heads, 1 - self.probability)

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise in nats: 0 for a sure thing, log 2 for a fair coin."""
        return torch.special.entr(self.probability) + torch.special.entr(1 - self.probability)

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of 0 and 1, of ``shape`` and then the shape of the parameters."""
        return (uniform_draws(self.probability, shape, generator) < self.probability).to(
            self.probability.dtype
        )


class Binomial:
    """How many of ``count`` throws of a coin fall 1, where each does with ``probability``."""

    def __init__(self, count: Parameter, probability: Parameter) -> None:
        self.count, self.probability = parameters(
            count=(count, "0 or more and finite"), probability=(probability, "in [0, 1]")
        )
        require(self.count == self.count.floor(), "count", self.count, "a whole number")

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-probability of ``value`` heads, whole numbers in [0, count]."""
        heads = counted(value, self.count)
        require(heads <= self.count, "value", heads, "at most count")
        return self._log_mass(heads)

    def _log_mass(self, heads: Tensor) -> Tensor:
        tails = self.count - heads
        ways = torch.lgamma(self.count + 1) - torch.lgamma(heads + 1) - torch.lgamma(tails + 1)
        return ways + count_times_log(heads, self.probability) + count_times_log(tails, 1 - self.probability)

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise in nats, summed over the support: memory grows with the largest count."""
        most = int(self.count.detach().max()) if self.count.numel() else 0
        heads = torch.arange(most + 1, dtype=self.count.dtype, device=self.count.device)
        heads = heads.reshape(-1, *(1,) * self.count.ndim)
        log_mass = self._log_mass(torch.minimum(heads, self.count))
        surprise = torch.where(log_mass > -math.inf, -log_mass.exp() * log_mass, 0)
        return torch.where(heads <= self.count, surprise, 0).sum(0)

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of counts, of ``shape`` and then the shape of the parameters."""
        wide = torch.promote_types(self.count.dtype, torch.float32)
        throws, chance = (_wanted(p.to(wide), shape) for p in (self.count, self.probability))
        return torch.binomial(throws, chance, generator=generator).to(self.count.dtype)


class Categorical:
    """One of c classes, where class k has the probability ``probabilities[..., k]``; they sum to 1."""

    def __init__(self, probabilities: Tensor) -> None:
        (self.probabilities,) = parameters(probabilities=(probabilities, "in [0, 1]"))
        if probabilities.ndim < 1 or probabilities.shape[-1] < 1:
            raise ValueError(
                f"probabilities has shape {tuple(probabilities.shape)}; it must be (..., c), c >= 1"
            )
        total = probabilities.sum(-1)
        slack = (
            1e-5 if probabilities.dtype == torch.float64 else 1e-4 + 2 * torch.finfo(probabilities.dtype).eps
        )
        require((total - 1).abs() <= slack, "the sum of probabilities", total, "1")

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-probability of each class of ``value``, whole numbers in [0, c)."""
        if value.is_floating_point() or value.dtype == torch.bool:
            raise ValueError(f"value is of type {value.dtype}; classes are integers")
        classes = self.probabilities.shape[-1]
        require((value >= 0) & (value < classes), "value", value, f"a class in [0, {classes})")
        try:
            shape = torch.broadcast_shapes(value.shape, self.probabilities.shape[:-1])
        except RuntimeError as error:
            ours, theirs = tuple(value.shape), tuple(self.probabilities.shape[:-1])
            raise ValueError(f"value has shape {ours}; it must broadcast with {theirs}") from error
        table = self.probabilities.expand(*shape, classes)
        return table.gather(-1, value.long().expand(shape)[..., None])[..., 0].log()

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise in nats, from 0 to log c."""
        return torch.special.entr(self.probabilities).sum(-1)

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Int[Tensor, "..."]:
        """Draws of classes (int64), of ``shape`` and then the batch axes.

        A uniform number falls into the stretch of the class among the stacked probabilities.
        """
        wide = torch.promote_types(self.probabilities.dtype, torch.float32)
        ends = self.probabilities.to(wide).cumsum(-1)
        ends = ends / ends[..., -1:]  # so that a last class of probability 0 is never drawn
        share = uniform_draws(ends[..., 0], shape, generator)
        return (share[..., None] >= ends[..., :-1]).sum(-1)


class Poisson:
    """How often something happens that happens ``rate`` >= 0 times on average, each time by itself."""

    def __init__(self, rate: Parameter) -> None:
        (self.rate,) = parameters(rate=(rate, "0 or more and finite"))

    def log_prob(self, value: Tensor) -> Float[Tensor, "..."]:
        """The log-probability of ``value`` events, whole numbers >= 0."""
        count = counted(value, self.rate)
        return count_times_log(count, self.rate) - self.rate - torch.lgamma(count + 1)

    def entropy(self) -> Float[Tensor, "..."]:
        """The mean surprise in nats: a sum over 13 standard deviations, or the expansion for large rates."""
        small, large = self.rate.clamp(max=MANY), self.rate.clamp(min=MANY)
        reach = int(MANY + 13 * MANY**0.5) if bool((self.rate > 50).any()) else 160
        count = torch.arange(reach + 1, dtype=self.rate.dtype, device=self.rate.device)
        count = count.reshape(-1, *(1,) * self.rate.ndim)
        log_mass = count_times_log(count, small) - small - torch.lgamma(count + 1)
        summed = torch.where(log_mass > -math.inf, -log_mass.exp() * log_mass, 0).sum(0)
        tail = 1 / (12 * large) + 1 / (24 * large**2) + 19 / (360 * large**3)
        return torch.where(self.rate < MANY, summed, 0.5 * (2 * math.pi * math.e * large).log() - tail)

    @torch.no_grad()
    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draws of counts, of ``shape`` and then the shape of the parameters."""
        wide = torch.promote_types(self.rate.dtype, torch.float32)
        return torch.poisson(_wanted(self.rate.to(wide), shape), generator=generator).to(self.rate.dtype)


def _wanted(parameter: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``parameter`` repeated for every draw."""
    if any(size < 0 for size in shape):
        raise ValueError(f"shape is {shape}; its sizes must be 0 or more")
    return parameter.expand(*shape, *parameter.shape).contiguous()


def bernoulli_mass_by_hand(value: Tensor, probability: Tensor) -> Tensor:
    return torch.where(value == 1, probability, 1 - probability)


def binomial_mass_by_hand(heads: int, count: int, probability: Tensor) -> Tensor:
    """The number of orders in which the heads can fall, times the probability of each order."""
    return math.comb(count, heads) * probability**heads * (1 - probability) ** (count - heads)


def categorical_mass_by_hand(
    value: Int[Tensor, "n"], probabilities: Float[Tensor, "n c"]
) -> Float[Tensor, "n"]:
    return torch.stack([row[k] for row, k in zip(probabilities, value.tolist(), strict=True)])


def poisson_mass_by_hand(count: int, rate: Tensor) -> Tensor:
    mass = torch.exp(-rate)
    for event in range(1, count + 1):
        mass = mass * rate / event
    return mass


def discrete_entropy_by_hand(masses: list[Tensor]) -> Tensor:
    """The definition: surprise -log P(k), weighed by how often k happens."""
    return torch.stack([-mass * mass.log() for mass in masses]).sum(0)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: log-probabilities and entropies."""
    from fathom.fundamentals.twin import Twin

    p = torch.tensor([0.2, 0.5, 0.93], dtype=torch.float64)
    rate = torch.tensor([0.4, 3.0, 11.0], dtype=torch.float64)
    coins, classes = torch.tensor([1, 0, 1]), torch.tensor([2, 0])
    table = torch.tensor([[0.2, 0.3, 0.5], [0.9, 0.06, 0.04]], dtype=torch.float64)
    yield Twin("bernoulli", lambda p: Bernoulli(p).log_prob(coins),
               lambda p: bernoulli_mass_by_hand(coins, p).log(), (p,))  # fmt: skip
    yield Twin("binomial", lambda p: Binomial(9, p).log_prob(torch.tensor(4)),
               lambda p: binomial_mass_by_hand(4, 9, p).log(), (p,))  # fmt: skip
    yield Twin("categorical", lambda t: Categorical(t).log_prob(classes),
               lambda t: categorical_mass_by_hand(classes, t).log(), (table,))  # fmt: skip
    yield Twin("poisson", lambda r: Poisson(r).log_prob(torch.tensor(5)),
               lambda r: poisson_mass_by_hand(5, r).log(), (rate,))  # fmt: skip
    yield Twin("bernoulli entropy", lambda p: Bernoulli(p).entropy(),
               lambda p: discrete_entropy_by_hand([p, 1 - p]), (p,))  # fmt: skip
    yield Twin("binomial entropy", lambda p: Binomial(9, p).entropy(),
               lambda p: discrete_entropy_by_hand([binomial_mass_by_hand(k, 9, p) for k in range(10)]),
               (p,))  # fmt: skip
    yield Twin("categorical entropy", lambda t: Categorical(t).entropy(),
               lambda t: discrete_entropy_by_hand(list(t.T)), (table,))  # fmt: skip
    yield Twin("poisson entropy", lambda r: Poisson(r).entropy(),
               lambda r: discrete_entropy_by_hand([poisson_mass_by_hand(k, r) for k in range(60)]),
               (rate,))  # fmt: skip
