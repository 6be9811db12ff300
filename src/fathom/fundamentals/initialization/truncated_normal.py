"""Truncated normal: a normal distribution without its tails, so that no weight begins as an outlier.

    density ~ e^(-((x - mean) / std)^2 / 2) for low <= x <= high, 0 elsewhere

It is drawn by turning the distribution function round (Burkardt, "The Truncated Normal Distribution", 2014,
section 3.4). With P the standard normal distribution function:

    u ~ U(P(l), P(h)),  x = mean + std P^-1(u),   l = (low - mean) / std,  h = (high - mean) / std

Every draw is used, where redrawing until a value lies inside needs a loop of unknown length.

Two conventions are in use, and they differ a lot. In `truncated_normal_`, torch's and timm's, ``low`` and
``high`` are values: with std = 0.02 the usual bounds of -2 and 2 lie a hundred deviations out and cut
nothing. In `scaled_truncated_normal_`, that of TensorFlow and JAX, they are counted in deviations. What is
cut off makes the true deviation smaller, 0.88 std for bounds at two deviations; `truncated_std` says by how
much.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Truncated normal initialisation",
    paper="https://people.sc.fsu.edu/~jburkardt/presentations/truncated_normal.pdf",
    year=2014,
    summary="Normal random weights with the tails cut off: what Vision Transformers start from.",
    rows=("IN04",),
    oracle="timm.layers.trunc_normal_ and trunc_normal_tf_, bit for bit; scipy.stats.truncnorm's moments",
)


@torch.no_grad()
def truncated_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill ``tensor``, of any shape, from N(mean, std^2) cut to [low, high], which are values; return it.

    Half precision is drawn in float32 and rounded. Draws from ``generator``, or torch's global one. Raises
    ValueError unless the tensor is floating-point, std is positive, low < high, all are finite, and the
    mean lies at most two deviations outside [low, high]: further out, too few floating-point numbers stand
    for the tail.
    """
    _check(tensor, mean, std, low, high)
    half = tensor.dtype not in (torch.float32, torch.float64)
    draws = torch.empty_like(tensor, dtype=torch.float32) if half else tensor
    # 2 P(z) - 1 = erf(z / sqrt 2): erfinv takes the doubled, centred form of u.
    first, last = (2 * _below((x - mean) / std) - 1 for x in (low, high))
    draws.uniform_(first, last, generator=generator).erfinv_().mul_(std * math.sqrt(2.0)).add_(mean)
    draws.clamp_(low, high)
    return tensor.copy_(draws) if half else tensor


@torch.no_grad()
def scaled_truncated_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill ``tensor`` from N(0, 1) cut to [low, high], times std, plus mean; return it.

    The bounds are in deviations. Otherwise as `truncated_normal_`.
    """
    _finite(mean, std)
    return truncated_normal_(tensor, 0.0, 1.0, low, high, generator).mul_(std).add_(mean)


def truncated_std(low: float = -2.0, high: float = 2.0) -> float:
    """The standard deviation of N(0, 1) cut to [low, high]: 0.8796 for two deviations on each side.

    Raises ValueError where `truncated_normal_` does for these bounds.
    """
    _bounds(0.0, 1.0, low, high)
    if high - low < 3e-3:  # uniform to six digits; the formula would take nearly equal numbers apart
        return (high - low) / math.sqrt(12)
    mass = _below(high) - _below(low)
    shift = (_density(low) - _density(high)) / mass
    return math.sqrt(1 + (low * _density(low) - high * _density(high)) / mass - shift**2)


def truncated_normal_by_hand(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """New draws of the shape of ``tensor``: for each u, halve the interval until P(x) = u is found.

    P rises, so the half that holds the answer is known at each step; seventy halvings reach the last digit.
    """
    first, last = _below((low - mean) / std), _below((high - mean) / std)
    draws = torch.rand(tensor.shape, dtype=tensor.dtype, generator=generator)
    wanted = first + (last - first) * draws
    left, right = torch.full_like(wanted, low), torch.full_like(wanted, high)
    for _ in range(70):
        middle = (left + right) / 2
        below = (1 + torch.erf((middle - mean) / (std * math.sqrt(2)))) / 2
        left, right = torch.where(below < wanted, middle, left), torch.where(below < wanted, right, middle)
    return (left + right) / 2


def truncated_std_by_hand(low: float = -2.0, high: float = 2.0) -> float:
    """The same from sums over narrow strips, each taken at its middle: mass, mean, mean square."""
    width = (high - low) / 200_000
    x = low + width * (torch.arange(200_000, dtype=torch.float64) + 0.5)
    weights = torch.exp(-x * x / 2)
    weights = weights / weights.sum()
    return math.sqrt(float((weights * x * x).sum() - (weights * x).sum() ** 2))


def _below(z: float) -> float:
    """P: the share of a standard normal distribution below z."""
    return (1.0 + math.erf(z / math.sqrt(2.0))) / 2.0


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _check(tensor: Tensor, mean: float, std: float, low: float, high: float) -> None:
    if not tensor.is_floating_point():
        raise ValueError(f"tensor has dtype {tensor.dtype}; weights must be floating-point numbers")
    _finite(mean, std)
    _bounds(mean, std, low, high)


def _finite(mean: float, std: float) -> None:
    if not math.isfinite(mean):
        raise ValueError(f"mean is {mean}; it must be finite")
    if not (math.isfinite(std) and std > 0):
        raise ValueError(f"std is {std}; it must be positive and finite")


def _bounds(mean: float, std: float, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low is {low} and high is {high}; both must be finite, and low below high")
    if not low - 2 * std <= mean <= high + 2 * std:
        raise ValueError(
            f"mean is {mean} with std {std}; it must lie at most two deviations outside [{low}, {high}]"
        )


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: equal draws from generators in the same state."""
    from fathom.fundamentals.twin import Twin

    def dice() -> torch.Generator:
        return torch.Generator().manual_seed(7)

    weight = torch.zeros(5, 8, dtype=torch.float64)
    for low, high in ((-2.0, 2.0), (-0.1, 1.5)):
        yield Twin(
            f"truncated_normal_ in [{low}, {high}]",
            lambda t, a=low, b=high: truncated_normal_(t.clone(), 0.3, 0.9, a, b, dice()),
            lambda t, a=low, b=high: truncated_normal_by_hand(t, 0.3, 0.9, a, b, dice()),
            (weight,),
            gradients=False,
        )
    yield Twin(
        "truncated_std",
        lambda t: torch.tensor(truncated_std(), dtype=t.dtype),
        lambda t: torch.tensor(truncated_std_by_hand(), dtype=t.dtype),
        (weight,),
        tolerance=1e-9,  # of the sum over strips
        gradients=False,
    )
