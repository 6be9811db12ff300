r"""Prove a gradient right, or wrong.

Somebody claims to know the slopes of a function in every entry of $x$. Measure each slope with a step to
both sides of that entry alone, all other entries at rest; here $h$ is the length of the step. Return the
largest distance between a claimed slope and the measured one, as a number.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "Go through the entries one by one. For each, make a copy of x in which only this entry is moved.",
    "x.clone() makes a copy. With copy.view(-1)[i] += h you move entry i, whatever the shape.",
    "Collect abs(measured - claimed) of all entries, and return the largest one.",
)
PASSED = "With these few lines you need not believe anybody's backward pass, not even your own."
FORBIDDEN = {
    "autograd": "measure it: this check must share no idea with what it checks",
    "backward": "measure it: this check must share no idea with what it checks",
}


def starter(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """For a function of x that gives one number, and claimed slopes (the shape of x), the worst distance."""
    raise NotImplementedError


def solution(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """For a function of x that gives one number, and claimed slopes (the shape of x), the worst distance."""
    worst = 0.0
    for i in range(x.numel()):
        right, left = x.clone(), x.clone()
        right.view(-1)[i] += h
        left.view(-1)[i] -= h
        measured = float(function(right) - function(left)) / (2 * h)
        worst = max(worst, abs(measured - float(claimed.reshape(-1)[i])))
    return worst


def measured(function: Callable[[Tensor], Tensor], x: Tensor, h: float, sides: str = "both") -> Tensor:
    """All slopes, for the twins."""
    found = []
    for i in range(x.numel()):
        right, left = x.clone(), x.clone()
        right.view(-1)[i] += h
        if sides == "both":
            left.view(-1)[i] -= h
        found.append((function(right) - function(left)) / (2 * h if sides == "both" else h))
    return torch.stack(found).reshape(x.shape)


def wrong_one_side(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """You measured with a step to one side. Its own error is so large that right slopes look wrong."""
    return float((measured(function, x, h, "right") - claimed).abs().max())


def wrong_divided_by_h(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """Your measured slopes are twice too large: the two places are 2 h apart."""
    return float((2 * measured(function, x, h) - claimed).abs().max())


def wrong_no_absolute(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """A claim that is too large goes unnoticed: take the size of each difference, without its sign."""
    return float((measured(function, x, h) - claimed).max())


def wrong_mean(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """You took the mean. One wrong slope among a million right ones would hide in it: take the largest."""
    return float((measured(function, x, h) - claimed).abs().mean())


def wrong_all_at_once(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """You moved all entries at once. That measures the sum of all slopes: move one, let the others rest."""
    together = (function(x + h) - function(x - h)) / (2 * h)
    return float((together - claimed).abs().max())


def wrong_not_put_back(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """You did not put an entry back before you moved the next one. Work on a copy for each entry."""
    moved, worst = x.clone(), 0.0
    for i in range(x.numel()):
        moved.view(-1)[i] += h
        above = float(function(moved))
        moved.view(-1)[i] -= 2 * h
        worst = max(worst, abs((above - float(function(moved))) / (2 * h) - float(claimed.reshape(-1)[i])))
    return worst


def wrong_first_row(function: Callable[[Tensor], Tensor], claimed: Tensor, x: Tensor, h: float) -> float:
    """You looked at the first row only. Go through all entries: x.numel() says how many there are."""
    return float((measured(function, x, h) - claimed)[0].abs().max())


def bumpy(x: Tensor) -> Tensor:
    """A curve in each entry, tied to its neighbour: exp and a product."""
    return (x.exp() * torch.arange(1, x.numel() + 1).reshape(x.shape)).sum() + (x[0] * x[1] ** 2).sum()


def slopes_of_bumpy(x: Tensor) -> Tensor:
    tied = torch.stack([x[1] ** 2, 2 * x[0] * x[1]])
    return x.exp() * torch.arange(1, x.numel() + 1).reshape(x.shape) + tied


Case = tuple[Callable[[Tensor], Tensor], Tensor, Tensor, float]


def case(seed: int) -> Case:
    """A claim with two mistakes.

    One slope is too large, and another one, in the last row, a little too small.
    """
    dice = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(2, 3, generator=dice, dtype=torch.float64)
    claimed = slopes_of_bumpy(x)
    claimed[1, 2] += 0.5
    claimed[1, 0] -= 0.25
    return bumpy, claimed, x, 1e-2


def check_number(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if isinstance(found, Tensor) and found.numel() == 1:
        raise Fail("Return a number of Python: float(...) makes one of a tensor.")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Fail(f"Return a number; yours is {described(found)}")


def check_right_claim(answer: Answer, seed: int) -> None:
    function, _, x, _ = case(seed)
    found = answer(function, slopes_of_bumpy(x), x.clone(), 1e-5)
    if not abs(found) < 1e-6:
        raise Fail(f"Here all claimed slopes are right, so the distance is nearly 0; you found {found:.4g}.")


def check_wrong_claim(answer: Answer, seed: int) -> None:
    function, claimed, x, h = case(seed)
    found, wanted = answer(function, claimed.clone(), x.clone(), h), solution(function, claimed, x, h)
    if not abs(found - wanted) < 1e-6:
        raise Fail(
            f"One slope is claimed 0.5 too large; the largest distance is {wanted:.4f}, yours {found:.4f}."
        )


def check_untouched(answer: Answer, seed: int) -> None:
    function, claimed, x, h = case(seed)
    before = x.clone()
    answer(function, claimed, x, h)
    if not torch.equal(x, before):
        raise Fail("The tensor x that you were given has changed: move a copy.")
