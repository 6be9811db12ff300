"""Add up by group. You get numbers of shape (n,), and for each one its group, a whole number from 0 to
`count - 1`. Return the sum of each group, floats of shape (count,). A group without members has the sum
0.

Networks that read a graph, that is points joined by lines, do this in every layer: each point adds up what
its neighbours send.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "sums[groups] += values looks right, and is not: of one group only one number is kept.",
    "np.bincount counts. With weights it adds up something else than ones.",
    "np.bincount(groups, weights=values, minlength=count)",
)
PASSED = "Also a group that occurs ten times is added up ten times."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The sum of (n,) over each of the groups 0 ... count - 1 of groups (n,)."""
    raise NotImplementedError


def solution(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The sum of (n,) over each of the groups 0 ... count - 1 of groups (n,)."""
    return np.bincount(groups, weights=values, minlength=count)


def wrong_only_one_kept(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Of each group only one number is in your sum.

    With an array as index, += reads all entries first and then writes: repeated indices do not add up.
    """
    sums = np.zeros(count)
    sums[groups] += values
    return sums


def wrong_counted(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """You counted the members. Add up their numbers: weights=values."""
    return np.bincount(groups, minlength=count)


def wrong_only_seen(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Your sums stop at the last group that occurs. Give minlength=count."""
    return np.bincount(groups, weights=values)


def wrong_means(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """These are means. The sum of each group is wanted."""
    sums = np.bincount(groups, weights=values, minlength=count)
    return sums / np.maximum(np.bincount(groups, minlength=count), 1)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("group_sums", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("group_sums", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("group_sums", answer, seed)
