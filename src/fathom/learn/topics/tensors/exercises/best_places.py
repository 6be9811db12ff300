"""Find the best. You get numbers of shape (n,). Return the **indices** of the `count` largest, the largest
first. Of equal numbers, the smaller index comes first.

For `[5, 9, 9, 1]` and `count = 2` the answer is `[1, 2]`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.argsort gives indices, sorted by the entry there, the smallest first.",
    "Sort the negative values, and the largest come first.",
    'kind="stable" keeps equal ones in their order. Then cut off the first count.',
)
PASSED = "Equal numbers keep their order, so the answer is the same each time."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the count largest entries of (n,), largest first."""
    raise NotImplementedError


def solution(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the count largest entries of (n,), largest first."""
    return np.argsort(-values, kind="stable")[:count]


def wrong_entries(values: np.ndarray, count: int) -> np.ndarray:
    """You returned the entries. Their indices are wanted: argsort."""
    return np.sort(values)[::-1][:count]


def wrong_smallest(values: np.ndarray, count: int) -> np.ndarray:
    """These are the indices of the smallest. The largest come first."""
    return np.argsort(values, kind="stable")[:count]


def wrong_later_first(values: np.ndarray, count: int) -> np.ndarray:
    """Of equal numbers you take the later one first: you sorted upwards and turned around.

    Sort the negative values instead.
    """
    return np.argsort(values, kind="stable")[::-1][:count]


def wrong_all(values: np.ndarray, count: int) -> np.ndarray:
    """You returned all indices. Cut off the first count."""
    return np.argsort(-values, kind="stable")


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("best_places", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("best_places", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("best_places", answer, seed)
