"""Return the numbers doubled.

An exercise for the tests of grader and worker.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Fail, must_be_tensor, same

HINTS = ("Multiply.", "By two.")
PASSED = "Twice as much."
FORBIDDEN = {"autograd": "no slope is needed"}


def starter(x: Tensor) -> Tensor:
    """x: (n,). Return twice each number, (n,)."""
    raise NotImplementedError


def solution(x: Tensor) -> Tensor:
    """x: (n,). Return twice each number, (n,)."""
    return 2 * x


def wrong_square(x: Tensor) -> Tensor:
    """You squared the numbers."""
    return x * x


def wrong_sum(x: Tensor) -> Tensor:
    """You added all numbers up; each is to be doubled by itself."""
    return 2 * x.sum()


def wrong_shape(x: Tensor) -> Tensor:
    """You joined x to itself: that is twice as many numbers, not twice as large ones."""
    return x @ torch.cat([x, x])


def case(seed: int) -> tuple[Tensor]:
    return (torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64),)


def check_shape(answer, seed):  # type: ignore[no-untyped-def]
    (x,) = case(seed)
    must_be_tensor(answer(x), tuple(x.shape), "The answer")


def check_value(answer, seed):  # type: ignore[no-untyped-def]
    (x,) = case(seed)
    if not same(answer(x), 2 * x):
        raise Fail(f"Of {float(x[0]):.3f} you make {float(answer(x)[0]):.3f}.")
