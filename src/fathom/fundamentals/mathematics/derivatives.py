"""Derivatives by numbers: two ways to find a gradient, and a check that they agree.

    finite differences  (f(x + h) - f(x - h)) / 2h works for anything and costs two runs a variable. Its error
                        is h^2 f'''(x) / 6 from the curve plus about eps |f| / h from rounding; their sum is
                        least near h = eps^(1/3), about 6e-6, which leaves some ten digits
    autograd            the chain rule on the numbers of one run: exact, all slopes for about three runs

A gradient is the list of partial derivatives: how fast f grows as one variable moves and the others rest.
``gradcheck`` compares the two for every output and every entry of every input. It finds the backward pass
that was written wrongly, and the kink where there is no gradient at all.

Source: Baydin, Pearlmutter, Radul and Siskind, Automatic Differentiation in Machine Learning: a Survey
(2018), sections 2.1 and 3.2. The step h: Press et al., Numerical Recipes (2007), section 5.7.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Derivatives",
    paper="https://arxiv.org/abs/1502.05767",
    year=2018,
    summary="Finds slopes by small steps and by the chain rule, and checks one against the other.",
    rows=("MA03",),
    oracle="torch.autograd, torch.autograd.gradcheck and symbolic slopes on 30 functions; in float64",
)

STEP = torch.finfo(torch.float64).eps ** (1 / 3)


def gradient(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    """The gradient of a scalar function by each of ``inputs``, by autograd; zeros where it ignores one."""
    leaves = _leaves(inputs)
    value = _scalar(function(*leaves))
    if not value.requires_grad:
        return tuple(torch.zeros_like(x) for x in leaves)
    return torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)


def gradient_by_hand(
    function: Callable[..., Tensor], *inputs: Tensor, step: float = STEP
) -> tuple[Tensor, ...]:
    """Central differences, one entry of one input at a time; ``step`` grows with the size of the entry."""
    points = [x.detach().clone(memory_format=torch.contiguous_format) for x in inputs]
    slopes = [torch.zeros(x.shape, dtype=x.dtype) for x in points]
    for point, found in zip(points, slopes, strict=True):
        entries, results = point.view(-1), found.view(-1)
        for i in range(len(entries)):
            here = float(entries[i])
            reach = step * max(1.0, abs(here))
            entries[i] = here + reach
            high, above = float(entries[i]), float(_scalar(function(*points)).detach())
            entries[i] = here - reach
            low, below = float(entries[i]), float(_scalar(function(*points)).detach())
            entries[i] = here
            results[i] = (above - below) / (high - low)  # the steps really taken, after rounding
    return tuple(slopes)


@dataclass(frozen=True)
class GradientReport:
    """Whether autograd agrees with finite differences, and where it disagrees most."""

    passed: bool
    error: float  # largest difference, relative to slopes above 1
    place: str  # for example "output 3 by input 0, entry 7"


def gradcheck(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], *, tolerance: float = 1e-6
) -> GradientReport:
    """Compare the autograd gradient of every output of ``function`` by every input with central differences.

    Inputs must be float64: the differences need its digits. ValueError for another dtype, for inputs that
    are not finite, or for an output that is no floating-point tensor. A kink or a jump within reach of an
    input fails, as it should: there is no gradient to agree on. So does an output that is not finite.
    """
    leaves = _leaves(inputs)
    output = function(*leaves)
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise ValueError(
            f"function returned {type(output).__name__}; it must return one floating-point tensor"
        )
    worst, place = 0.0, "nowhere"
    for row in range(output.numel()):
        entry = partial(_entry, function, row)
        ours = gradient(entry, *leaves)
        theirs = gradient_by_hand(entry, *leaves)
        for number, (exact, rough) in enumerate(zip(ours, theirs, strict=True)):
            if not exact.numel():
                continue
            size = torch.maximum(exact.abs(), rough.abs()).clamp(min=1.0)
            errors = ((exact - rough).abs() / size).nan_to_num(nan=math.inf).flatten()
            if errors.max() > worst:
                worst = float(errors.max())
                place = f"output {row} by input {number}, entry {int(errors.argmax())}"
    return GradientReport(worst <= tolerance, worst, place)


def _leaves(inputs: Sequence[Tensor]) -> list[Tensor]:
    for number, x in enumerate(inputs):
        if x.dtype != torch.float64:
            raise ValueError(f"input {number} has dtype {x.dtype}; it must be torch.float64")
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"input {number} holds NaN or infinity; all entries must be finite")
    return [x.detach().clone().requires_grad_() for x in inputs]


def _scalar(value: Tensor) -> Tensor:
    if value.numel() != 1:
        raise ValueError(
            f"function returned shape {tuple(value.shape)}; a gradient is that of a single number"
        )
    return value.reshape(())


def _entry(function: Callable[..., Tensor], row: int, *inputs: Tensor) -> Tensor:
    return function(*inputs).reshape(-1)[row]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    def bowl(x: Tensor, y: Tensor) -> Tensor:
        return (x.exp() * y).sum() + (x * x).sum() * y[0].sin()

    x, y = torch.tensor([[0.3, -1.2]], dtype=torch.float64), torch.tensor([0.7, 2.0], dtype=torch.float64)
    # At the best step central differences leave about eps^(2/3), 4e-11, times the third derivative.
    yield Twin("gradient", partial(gradient, bowl), partial(gradient_by_hand, bowl), (x, y), 1e-8, False)
