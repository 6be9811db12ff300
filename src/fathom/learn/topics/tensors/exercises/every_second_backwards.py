"""Walk through an array of shape (n,) from its end to its front, and take every second entry. Begin with the
last one.

For `[1, 2, 3, 4]` the answer is `[4, 2]`. For `[1, 2, 3]` it is `[3, 1]`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "A slice has three parts: values[start:stop:step].",
    "A negative step walks backwards, and then an empty start means the end.",
    "values[::-2]",
)
PASSED = "A slice is a view: not one number was copied."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray) -> np.ndarray:
    """The last of (n,), then the one two places before it, and so on."""
    raise NotImplementedError


def solution(values: np.ndarray) -> np.ndarray:
    """The last of (n,), then the one two places before it, and so on."""
    return values[::-2]


def wrong_from_the_front(values: np.ndarray) -> np.ndarray:
    """You walk forwards. The answer begins with the last entry: the step must be negative."""
    return values[::2]


def wrong_turned_around(values: np.ndarray) -> np.ndarray:
    """You took every second entry from the front, and turned these around.

    If n is even, the last entry is not among them. Step backwards at once.
    """
    return values[::2][::-1]


def wrong_last_left_out(values: np.ndarray) -> np.ndarray:
    """You began one place before the last entry. An empty start begins at the end: values[::-2]."""
    return values[-2::-2]


def wrong_every_one(values: np.ndarray) -> np.ndarray:
    """You turned the array around, but took every entry. The step is -2."""
    return values[::-1]


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("every_second_backwards", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("every_second_backwards", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("every_second_backwards", answer, seed)
