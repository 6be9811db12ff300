"""How far is each point from each other one? You get n points in a table of shape (n, d), and m points in
one of shape (m, d). Return the table of shape (n, m) of all distances: entry (i, j) is the distance from
left point i to right point j.

The distance is the root of the sum of the squared differences.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "Two axes of size 1 are enough: (n, 1, d) minus (1, m, d) has the shape (n, m, d).",
    "left[:, None, :] has a new axis of size 1 in the middle.",
    "Square the differences, sum along axis=2, and take np.sqrt.",
)
PASSED = "All n times m pairs, and no loop: two stretched axes made the pairs."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The Euclidean distance of each row of (n, d) to each row of (m, d): (n, m)."""
    raise NotImplementedError


def solution(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The Euclidean distance of each row of (n, d) to each row of (m, d): (n, m)."""
    gaps = left[:, None, :] - right[None, :, :]
    return np.sqrt((gaps**2).sum(axis=2))


def wrong_squared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """These are the squared distances. The root is missing."""
    gaps = left[:, None, :] - right[None, :, :]
    return (gaps**2).sum(axis=2)


def wrong_turned(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rows and columns are exchanged. A row belongs to a left point: the shape is (n, m)."""
    gaps = right[:, None, :] - left[None, :, :]
    return np.sqrt((gaps**2).sum(axis=2))


def wrong_around_the_corner(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """You added the sizes of the differences: the way around the corner.

    The straight way is the root of the sum of squares.
    """
    return np.abs(left[:, None, :] - right[None, :, :]).sum(axis=2)


def wrong_largest_gap(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """You took the largest difference of each pair. All of them count: sum their squares."""
    return np.abs(left[:, None, :] - right[None, :, :]).max(axis=2)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("pairwise_distances", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("pairwise_distances", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("pairwise_distances", answer, seed)
