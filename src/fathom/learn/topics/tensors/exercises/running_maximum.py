"""Keep the record. You get an array of shape (n,). Return one of the same shape: at each place, the largest
entry up to there.

For `[1, 3, 2, 5]` the answer is `[1, 3, 3, 5]`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.cumsum adds up from the front. Its relative keeps the maximum.",
    "Every operation of two numbers, such as np.maximum, has a method accumulate.",
    "np.maximum.accumulate(values)",
)
PASSED = "A loop that is hidden in one word, and runs in C."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray) -> np.ndarray:
    """The largest entry of (n,) so far, at each place."""
    raise NotImplementedError


def solution(values: np.ndarray) -> np.ndarray:
    """The largest entry of (n,) so far, at each place."""
    return np.maximum.accumulate(values)


def wrong_minimum(values: np.ndarray) -> np.ndarray:
    """You kept the smallest entry. The largest one so far is wanted."""
    return np.minimum.accumulate(values)


def wrong_from_the_back(values: np.ndarray) -> np.ndarray:
    """You walked from the back: at each place you know what is still to come.

    Only what came before counts.
    """
    return np.maximum.accumulate(values[::-1])[::-1]


def wrong_of_all(values: np.ndarray) -> np.ndarray:
    """You wrote the largest entry of all to every place.

    At each place, only the entries up to there count.
    """
    return np.full_like(values, values.max())


def wrong_from_zero(values: np.ndarray) -> np.ndarray:
    """Your record begins at 0, so it is wrong as long as all entries are negative.

    Begin with the first entry.
    """
    return np.maximum.accumulate(np.maximum(values, 0.0))


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("running_maximum", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("running_maximum", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("running_maximum", answer, seed)
