r"""Write a leaky ReLU and its slope.

Positive numbers pass unchanged. All others are multiplied by a small number $a$, between 0 and 1. Return the
values and the slopes, entry by entry. At 0 itself the slope is $a$.

Leave the tensor that you were given as it is.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "torch.where(condition, this, that) chooses entry by entry.",
    "The condition is x > 0. The value is x or a x.",
    "The slope is 1 or a: torch.ones_like(x) makes a tensor of ones of the same shape.",
)
PASSED = "Some slope passes back everywhere: a unit with this bend cannot die."


def starter(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """For x of any shape return (the values, their slopes), both of that shape."""
    raise NotImplementedError


def solution(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """For x of any shape return (the values, their slopes), both of that shape."""
    ones = torch.ones_like(x)
    factor = torch.where(x > 0, ones, a * ones)
    return x * factor, factor


def wrong_plain(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """That is a ReLU: the negative side is cut off. Multiply it by a instead."""
    positive = (x > 0).to(x.dtype)
    return x * positive, positive


def wrong_slope_of_relu(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """The values are right, but your slope is 0 on the negative side. It is a there.

    That is why units stay alive.
    """
    return solution(x, a)[0], (x > 0).to(x.dtype)


def wrong_constant(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """On the negative side you return a itself. Multiply x by it."""
    return torch.where(x > 0, x, a * torch.ones_like(x)), solution(x, a)[1]


def wrong_sides(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """The sides are exchanged: it is the positive numbers that pass unchanged."""
    value, slope = solution(-x, a)
    return -value, slope


def wrong_absolute(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """Your curve turns up again on the left: a times x is negative there, and the sign must stay."""
    return solution(x, a)[0].abs(), solution(x, a)[1]


def wrong_minus(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """The slope on the negative side has the wrong sign. To the right the curve always rises: a, not -a."""
    value, slope = solution(x, a)
    return value, torch.where(x > 0, slope, -slope)


def wrong_in_place(x: Tensor, a: float) -> tuple[Tensor, Tensor]:
    """The result is right, but you changed the tensor that you were given (x[...] = and *= do).

    Make a new one.
    """
    slope = solution(x, a)[1]
    x *= slope
    return x, slope


def case(seed: int) -> tuple[Tensor, float]:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, generator=dice, dtype=torch.float64), 0.1 + 0.05 * seed


def observe(answer: Answer, seed: int) -> tuple[Tensor, ...]:
    """The result, and what became of the numbers that were given."""
    x, a = case(seed)
    return (*answer(x, a), x)


def check_pair(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return a pair: (the values, their slopes).")
    must_be_tensor(found[0], (4, 3), "The value")
    must_be_tensor(found[1], (4, 3), "The slope")


def check_numbers(answer: Answer, seed: int) -> None:
    x, a = case(seed)
    for kind, mine, right in zip(("value", "slope"), answer(x.clone(), a), solution(x, a), strict=True):
        for at, m, r in zip(x.flatten(), mine.flatten(), right.flatten(), strict=True):
            if abs(float(m - r)) > 1e-9:
                given = f"With a = {a:g}, the {kind} at {float(at):.3f}"
                raise Fail(f"{given} is {float(r):.4f}; yours is {float(m):.4f}.")


def check_at_zero(answer: Answer, seed: int) -> None:
    value, slope = answer(torch.zeros(1, dtype=torch.float64), 0.2)
    if float(value) != 0 or abs(float(slope) - 0.2) > 1e-9:
        raise Fail(
            f"At 0 the value is 0 and the slope a = 0.2; yours are {float(value):g} and {float(slope):g}."
        )


def check_untouched(answer: Answer, seed: int) -> None:
    if not same(observe(answer, seed)[2], case(seed)[0]):
        raise Fail("The tensor x that you were given has changed.")
