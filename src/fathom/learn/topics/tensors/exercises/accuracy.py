"""How often is a network right? You get its scores, of shape (n, classes), and the right labels, whole
numbers of shape (n,). The scores of a row belong to the classes 0, 1, 2 and so on, and its label is
the number of the right class. A row is right if its largest score stands at its label. Return the share of
right rows, a number from 0 to 1.

For scores `[[0.1, 0.9], [0.8, 0.2]]` and labels `[1, 1]` it is 0.5: only the first row is right.

If two scores of a row are equally large, the first one counts.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "scores.argmax(axis=1) is the index of the largest score of each row.",
    "== compares entry by entry, and gives True and False.",
    "The mean of True and False is the share of True.",
)
PASSED = "This is the accuracy that every page of the curriculum reports."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share of rows of scores (n, classes) whose largest entry is at the label."""
    raise NotImplementedError


def solution(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share of rows of scores (n, classes) whose largest entry is at the label."""
    return (scores.argmax(axis=1) == labels).mean()


def wrong_count(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """You counted the right rows. A share is wanted: divide by their number, or take the mean."""
    return (scores.argmax(axis=1) == labels).sum()


def wrong_wrong_ones(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """That is the share of rows that are wrong."""
    return (scores.argmax(axis=1) != labels).mean()


def wrong_smallest(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """You took the smallest score of each row. The network says what has the largest."""
    return (scores.argmin(axis=1) == labels).mean()


def wrong_percent(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """These are percents. A share is a number from 0 to 1."""
    return 100 * (scores.argmax(axis=1) == labels).mean()


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("accuracy", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("accuracy", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("accuracy", answer, seed)
