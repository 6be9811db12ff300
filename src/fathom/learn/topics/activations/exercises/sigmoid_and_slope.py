r"""Write the sigmoid and its slope.

$$ \operatorname{sigmoid}(x) = \frac{1}{1 + e^{-x}} $$

Return both, entry by entry. The slope must be right for very large and very small numbers too: at $x = 1000$
and at $x = -1000$ it is 0, not `nan`.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same, slope

HINTS = (
    "torch.exp(-x) is the power. Write the value as in the formula.",
    "The slope can be computed from the value alone: no second power is needed.",
    "With y for the value, the slope is y (1 - y).",
)
PASSED = "Value and slope agree with small steps, and nothing breaks at plus or minus 1000."
FORBIDDEN = {
    "sigmoid": "the point is to write it yourself",
    "autograd": "the point is to find the slope yourself",
    "backward": "the point is to find the slope yourself",
}


def starter(x: Tensor) -> tuple[Tensor, Tensor]:
    """For x of any shape return (the sigmoid of each entry, its slope there), both of that shape."""
    raise NotImplementedError


def solution(x: Tensor) -> tuple[Tensor, Tensor]:
    """For x of any shape return (the sigmoid of each entry, its slope there), both of that shape."""
    y = 1 / (1 + torch.exp(-x))
    return y, y * (1 - y)


def wrong_sign(x: Tensor) -> tuple[Tensor, Tensor]:
    """The curve falls: large numbers come out near 0. The power is that of -x, not of x."""
    y = 1 / (1 + torch.exp(x))
    return y, y * (1 - y)


def wrong_overflow(x: Tensor) -> tuple[Tensor, Tensor]:
    """Right for ordinary numbers, but nan at -1000.

    There the power is infinite, and infinity by infinity is no number.

    Compute the slope from the value instead: y (1 - y).
    """
    power = torch.exp(-x)
    return 1 / (1 + power), power / (1 + power) ** 2


def wrong_half_the_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """The slope is only 1 - y. It lacks the other factor, y."""
    y = 1 / (1 + torch.exp(-x))
    return y, 1 - y


def wrong_twice(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sigmoid was applied again to its own value. In y (1 - y) the y is already the value."""
    y = 1 / (1 + torch.exp(-x))
    again = 1 / (1 + torch.exp(-y))
    return y, again * (1 - again)


def wrong_slope_of_tanh(x: Tensor) -> tuple[Tensor, Tensor]:
    """1 - y squared is the slope of tanh. That of the sigmoid is y (1 - y)."""
    y = 1 / (1 + torch.exp(-x))
    return y, 1 - y * y


def wrong_with_x(x: Tensor) -> tuple[Tensor, Tensor]:
    """You wrote x where the value belongs: the slope is y (1 - y), with the same y twice."""
    y = 1 / (1 + torch.exp(-x))
    return y, y * (1 - x)


def case(seed: int) -> tuple[Tensor]:
    return (torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2,)


FAR = (-1000.0, -50.0, 50.0, 1000.0)


def observe(answer: Answer, seed: int) -> tuple[Tensor, ...]:
    """Ordinary numbers, and those far out."""
    return (*answer(*case(seed)), *answer(torch.tensor(FAR, dtype=torch.float64)))


def check_pair(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return a pair: (the values, their slopes).")
    must_be_tensor(found[0], (3, 4), "The value")
    must_be_tensor(found[1], (3, 4), "The slope")


def check_value(answer: Answer, seed: int) -> None:
    (x,) = case(seed)
    found = answer(x.clone())[0]
    for at, mine in zip(x.flatten(), found.flatten(), strict=True):
        wanted = float(solution(at)[0])
        if abs(float(mine) - wanted) > 1e-9:
            raise Fail(f"The sigmoid of {float(at):.3f} is {wanted:.4f}; yours is {float(mine):.4f}.")


def check_slope(answer: Answer, seed: int) -> None:
    (x,) = case(seed)
    found, right = answer(x.clone())[1], slope(lambda t: solution(t)[0].sum(), x)
    if not same(found, right, 1e-5, 1e-7):
        place = int((found - right).abs().argmax())
        at, wanted, mine = (float(t.flatten()[place]) for t in (x, right, found))
        raise Fail(f"At {at:.3f} the curve rises at the rate {wanted:.4f}; your slope says {mine:.4f}.")


def check_far_out(answer: Answer, seed: int) -> None:
    far = torch.tensor(FAR, dtype=torch.float64)
    for at, mine, right in zip(FAR, answer(far)[1], solution(far)[1], strict=True):
        if not abs(float(mine - right)) < 1e-9:
            raise Fail(f"At {at:g} the slope is 0 to all digits; yours is {float(mine):g}.")
