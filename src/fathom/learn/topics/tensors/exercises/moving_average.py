"""Smooth a curve. You get an array of shape (n,) and a width. Return the mean of each run of `width`
neighbours: first that of the entries 0 to width - 1, then that of 1 to width, and so on. There are n -
width + 1 of them.

For `[1, 3, 5, 9]` and the width 2 the answer is `[2, 4, 7]`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.lib.stride_tricks.sliding_window_view(values, width) shows every run as a row.",
    "That view has the shape (n - width + 1, width), and no number was copied for it.",
    "Take its mean along axis=1.",
)
PASSED = "The windows overlap, and still nothing was copied: only the strides are others."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each run of width neighbours in (n,): n - width + 1 of them."""
    raise NotImplementedError


def solution(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each run of width neighbours in (n,): n - width + 1 of them."""
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=1)


def wrong_same_length(values: np.ndarray, width: int) -> np.ndarray:
    """Your answer is as long as the input: at the ends you average with zeros that are not there.

    Only whole runs count.
    """
    return np.convolve(values, np.ones(width) / width, mode="same")


def wrong_sums(values: np.ndarray, width: int) -> np.ndarray:
    """These are sums. Divide by the width, or take the mean."""
    return np.lib.stride_tricks.sliding_window_view(values, width).sum(axis=1)


def wrong_last_run(values: np.ndarray, width: int) -> np.ndarray:
    """The last run is missing. There are n - width + 1 runs."""
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=1)[:-1]


def wrong_blocks(values: np.ndarray, width: int) -> np.ndarray:
    """Your runs do not overlap: you cut the array into blocks. The next run begins one entry further."""
    return values[: len(values) // width * width].reshape(-1, width).mean(axis=1)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("moving_average", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("moving_average", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("moving_average", answer, seed)
