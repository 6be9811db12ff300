"""Pull outliers in. You get an array of shape (n,) and two limits. Return an array of the same shape: what
lies below `low` becomes `low`, what lies above `high` becomes `high`, and the rest stays. Leave the array
that you were given as it is.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.maximum(values, low) raises what is too low. What lowers what is too high?",
    "There is a method that does both.",
    "values.clip(low, high)",
)
PASSED = "Nothing lies outside any more, and the input is as it was."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(n,) with what is below low raised to low, and what is above high lowered to high."""
    raise NotImplementedError


def solution(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(n,) with what is below low raised to low, and what is above high lowered to high."""
    return values.clip(low, high)


def wrong_dropped(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """You threw the outliers away. They stay, but are pulled to the limit: the shape must not change."""
    return values[(values >= low) & (values <= high)]


def wrong_only_above(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Nothing lies above high any more, but what is below low is still there."""
    return np.minimum(values, high)


def wrong_only_below(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Nothing lies below low any more, but what is above high is still there."""
    return np.maximum(values, low)


def wrong_zeros(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """You set outliers to 0. Set each to the limit that it crossed."""
    return np.where((values < low) | (values > high), 0.0, values)


def wrong_in_place(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The numbers are right, but you wrote them into the array that you were given. Make a new one."""
    values[:] = values.clip(low, high)
    return values


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("clip_outliers", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("clip_outliers", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("clip_outliers", answer, seed)
