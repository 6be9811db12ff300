"""Count the classes. You get labels, whole numbers of shape (n,), each from 0 to `classes - 1`. Return how
often each class occurs, whole numbers of shape (classes,). A class that never occurs has the count 0.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.bincount counts whole numbers.",
    "It stops at the largest number that occurs. An argument makes it longer.",
    "np.bincount(labels, minlength=classes)",
)
PASSED = "Classes that never occur are counted too. Look at these counts before you trust an accuracy."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each of 0 ... classes - 1 stands in labels (n,): (classes,)."""
    raise NotImplementedError


def solution(labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each of 0 ... classes - 1 stands in labels (n,): (classes,)."""
    return np.bincount(labels, minlength=classes)


def wrong_only_seen(labels: np.ndarray, classes: int) -> np.ndarray:
    """Your counts stop at the largest class that occurs.

    The last classes may be missing from the data: give minlength.
    """
    return np.bincount(labels)


def wrong_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """These are shares. Counts are wanted: whole numbers."""
    return np.bincount(labels, minlength=classes) / len(labels)


def wrong_present(labels: np.ndarray, classes: int) -> np.ndarray:
    """You say whether a class occurs. Say how often."""
    return (np.bincount(labels, minlength=classes) > 0).astype(np.int64)


def wrong_sorted(labels: np.ndarray, classes: int) -> np.ndarray:
    """You sorted the counts. Each must stay at the place of its class."""
    return np.sort(np.bincount(labels, minlength=classes))[::-1]


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("class_counts", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("class_counts", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("class_counts", answer, seed)
