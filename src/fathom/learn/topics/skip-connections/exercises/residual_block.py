r"""Write a residual block.

You get inputs `x` with a row for each example, and two tables of weights. Inside the block stand a dense
layer with the weights `first`, a ReLU, and a dense layer with the weights `second`, all without biases.
Together they are $F$. Return

$$ y = \operatorname{relu}(x + F(x)) $$

The slopes must be right as well: they are taken by torch.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "A dense layer without biases is x @ first.T. There is a row of weights for each unit.",
    "F(x) is second applied to the ReLU of first applied to x. It may be negative.",
    "There are two ReLUs in all: one inside of F, and one around the sum.",
)
PASSED = "The block of 2015, without its norms. Its gradient has a way that passes no weight."


def starter(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """For x (n, d), first (k, d) and second (d, k) return (n, d)."""
    raise NotImplementedError


def solution(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """For x (n, d), first (k, d) and second (d, k) return (n, d)."""
    added = torch.relu(x @ first.T) @ second.T
    return torch.relu(x + added)


def change(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """F alone, for the twins."""
    return torch.relu(x @ first.T) @ second.T


def wrong_no_skip(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The way past is missing: this is a plain block. Add x before the last ReLU."""
    return torch.relu(change(x, first, second))


def wrong_added_after(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """You added x after the last ReLU.

    So what is added is never negative, and the block can never take anything away. Add first, then take
    the ReLU of the sum.
    """
    return x + torch.relu(change(x, first, second))


def wrong_clipped_twice(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """There is a ReLU too many, around F: it may be negative. Only the sum is clipped."""
    return torch.relu(x + torch.relu(change(x, first, second)))


def wrong_not_clipped(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The sum is right, and the ReLU around it is missing."""
    return x + change(x, first, second)


def wrong_straight_inside(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The ReLU between the two dense layers is missing.

    Without it they are one layer: a product of two tables is a table.
    """
    return torch.relu(x + x @ first.T @ second.T)


def wrong_clipped_input(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """You clipped x before it goes past. It goes past as it is."""
    return torch.relu(torch.relu(x) + change(x, first, second))


def wrong_mean(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """You took the mean of x and F(x).

    Then each block halves what goes past, and thirty blocks leave a billionth. Add them.
    """
    return torch.relu((x + change(x, first, second)) / 2)


def wrong_cut_off(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The values are right, but the gradient does not come back past the layers.

    x was cut off, by detach or by a copy of its numbers.
    """
    return torch.relu(x.detach() + change(x, first, second))


def case(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    shapes = ((6, 4), (5, 4), (4, 5))
    x, first, second = (torch.randn(shape, generator=dice, dtype=torch.float64) for shape in shapes)
    return x, first, second


def with_slopes(answer: Answer, seed: int) -> tuple[Tensor, Tensor]:
    """What the answer returns, and the slope of the sum of its squares in x."""
    x, first, second = case(seed)
    x.requires_grad_()
    found = must_be_tensor(answer(x, first, second), (6, 4), "The output")
    if not found.requires_grad:
        raise Fail("Torch cannot walk back through your output. Compute it from x by torch's own functions.")
    (slopes,) = torch.autograd.grad((found**2).sum(), x)
    return found.detach(), slopes


def observe(answer: Answer, seed: int) -> tuple[Tensor, Tensor]:
    """Values and slopes."""
    return with_slopes(answer, seed)


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = with_slopes(answer, seed)[0], solution(*case(seed))
    if not same(found, wanted):
        i, j = divmod(int((found - wanted).abs().argmax()), 4)
        raise Fail(
            f"In row {i}, column {j} the block puts out {float(wanted[i, j]):.4f}; yours puts out"
            f" {float(found[i, j]):.4f}."
        )


def check_slopes(answer: Answer, seed: int) -> None:
    if not same(with_slopes(answer, seed)[1], with_slopes(solution, seed)[1]):
        raise Fail("The values are right, and the slopes in x that torch finds for them are not.")


def check_untouched(answer: Answer, seed: int) -> None:
    given = case(seed)
    answer(*given)
    if not same(given, case(seed)):
        raise Fail("Your function changed what it was given. Avoid in-place operations such as x += ...")
