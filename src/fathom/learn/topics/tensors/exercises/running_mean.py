"""Keep the average. You get numbers of shape (n,). Return one array of the same shape: at each place, the
mean of all entries up to there.

For `[2, 4, 9]` the answer is `[2, 3, 5]`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.cumsum adds up from the front.",
    "How many entries are in the sum at place 0, at place 1, at place 2?",
    "np.cumsum(values) / np.arange(1, len(values) + 1)",
)
PASSED = "Sum so far, divided by count so far: two arrays, entry by entry."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray) -> np.ndarray:
    """The mean of all entries of (n,) so far, at each place."""
    raise NotImplementedError


def solution(values: np.ndarray) -> np.ndarray:
    """The mean of all entries of (n,) so far, at each place."""
    return np.cumsum(values) / np.arange(1, len(values) + 1)


def wrong_sums(values: np.ndarray) -> np.ndarray:
    """These are the sums so far. Divide each by the number of its entries: 1, 2, 3 and so on."""
    return np.cumsum(values)


def wrong_from_zero(values: np.ndarray) -> np.ndarray:
    """You divide by 0, 1, 2 and so on. At place 0 there is one entry already."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.cumsum(values) / np.arange(len(values))


def wrong_of_all(values: np.ndarray) -> np.ndarray:
    """You wrote the mean of all entries to every place. At each place only the entries up to there count."""
    return np.full_like(values, values.mean())


def wrong_divided_by_all(values: np.ndarray) -> np.ndarray:
    """You divide every sum by n. At place i only i + 1 entries were added up."""
    return np.cumsum(values) / len(values)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("running_mean", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("running_mean", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("running_mean", answer, seed)
