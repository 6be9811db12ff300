"""Return the squares of the whole numbers from 0 on. There are `count` of them.

For `count = 4` that is `[0, 1, 4, 9]`. For `count = 0` it is an array without entries.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.arange(count) makes 0, 1, ... count - 1.",
    "A power of an array is taken of each entry.",
    "np.arange(count) ** 2",
)
PASSED = "One expression, and no entry was touched by a loop."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(count: int) -> np.ndarray:
    """The squares of 0, 1, ... count - 1, as whole numbers, of shape (count,)."""
    raise NotImplementedError


def solution(count: int) -> np.ndarray:
    """The squares of 0, 1, ... count - 1, as whole numbers, of shape (count,)."""
    return np.arange(count) ** 2


def wrong_from_one(count: int) -> np.ndarray:
    """You began at 1. The first number is 0, and the last one is count - 1."""
    return np.arange(1, count + 1) ** 2


def wrong_doubled(count: int) -> np.ndarray:
    """These are twice the numbers, not their squares. The power is `**`, and `*` multiplies."""
    return np.arange(count) * 2


def wrong_one_too_many(count: int) -> np.ndarray:
    """There is one number too many. np.arange(count) stops before count, and that is what is wanted."""
    return np.arange(count + 1) ** 2


def wrong_floats(count: int) -> np.ndarray:
    """The numbers are right, but they are floats. Whole numbers in, whole numbers out: give arange an int."""
    return np.arange(float(count)) ** 2


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("squares", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("squares", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("squares", answer, seed)
