"""Walk down any loss.

You get a function `slope_at`, which gives the gradient of a loss at any point, a start, a learning rate and a
number of steps. Return the place where you end **and** the whole path: one row for the start and one for the
place after each step.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "Keep a list of places. Begin with the start in it.",
    "Ask for the slope again before each step: it is another one at every place.",
    "torch.stack makes one tensor of a list of tensors, a row for each.",
)
PASSED = "The same walk, row for row, as the library's own gradient descent."


def starter(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """From start, shape (n,), return (the last place (n,), the path (steps + 1, n)).

    slope_at takes a place (n,) and returns the gradient there, (n,).
    """
    raise NotImplementedError


def solution(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """From start, shape (n,), return (the last place (n,), the path (steps + 1, n)).

    slope_at takes a place (n,) and returns the gradient there, (n,).
    """
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - rate * slope_at(path[-1]))
    return path[-1], torch.stack(path)


def wrong_slope_of_the_start(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """You asked for the slope once, at the start, and walked straight on. Ask again at each place."""
    return solution(lambda w: slope_at(start), start, rate, steps)


def wrong_uphill(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """You walk uphill: subtract the slope, do not add it."""
    return solution(lambda w: -slope_at(w), start, rate, steps)


def wrong_one_step_less(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """You took one step too few. With steps = 3 you stand at four places: the start and three more."""
    return solution(slope_at, start, rate, steps - 1)


def wrong_no_start(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """The path does not begin at the start: its first row is the place after the first step."""
    last, path = solution(slope_at, start, rate, steps)
    return last, path[1:]


def wrong_same_row(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """All rows of your path are the last place: you kept the same tensor and changed it (-= does).

    Make a new one at each step, or keep a clone.
    """
    last, path = solution(slope_at, start, rate, steps)
    return last, last.expand_as(path)


def wrong_returns_the_start(
    slope_at: Callable[[Tensor], Tensor], start: Tensor, rate: float, steps: int
) -> tuple[Tensor, Tensor]:
    """The path is right, but the place that you return with it is the start. Return the last one."""
    return start, solution(slope_at, start, rate, steps)[1]


def valley(seed: int) -> Tensor:
    """The curvature of a bowl that is steeper in one direction than in the other."""
    dice = torch.Generator().manual_seed(seed)
    return torch.tensor([1.0, 3.0], dtype=torch.float64) + torch.rand(2, generator=dice, dtype=torch.float64)


def case(seed: int) -> tuple[Callable[[Tensor], Tensor], Tensor, float, int]:
    curvature = valley(seed)
    return lambda w: curvature * w, torch.tensor([2.0, -1.0], dtype=torch.float64), 0.2, 4


def check_shapes(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return a pair: (the last place, the path).")
    must_be_tensor(found[0], (2,), "The last place")
    must_be_tensor(found[1], (5, 2), "The path of four steps")


def check_first_step(answer: Answer, seed: int) -> None:
    slope_at, start, rate, _ = case(seed)
    _, path = answer(slope_at, start.clone(), rate, 1)
    if not same(path, torch.stack([start, start - rate * slope_at(start)])):
        raise Fail(
            f"From {start.tolist()} with slope {slope_at(start).tolist()} and rate {rate}, one step does not"
            f" make the path {path.tolist()}."
        )


def check_path(answer: Answer, seed: int) -> None:
    slope_at, start, rate, steps = case(seed)
    last, path = answer(slope_at, start.clone(), rate, steps)
    wanted_last, wanted = solution(slope_at, start, rate, steps)
    for row in range(len(wanted)):
        if not same(path[row], wanted[row]):
            raise Fail(
                f"Row {row} of the path should be {wanted[row].tolist()}; yours is {path[row].tolist()}."
            )
    if not same(last, wanted_last):
        raise Fail(
            f"The path ends at {wanted[-1].tolist()}, and you return {last.tolist()} as the last place."
        )


def check_no_steps(answer: Answer, seed: int) -> None:
    slope_at, start, rate, _ = case(seed)
    last, path = answer(slope_at, start.clone(), rate, 0)
    if not same((last, path), (start, start[None])):
        raise Fail("With steps = 0 you stay where you are, and the path has one row: the start.")
