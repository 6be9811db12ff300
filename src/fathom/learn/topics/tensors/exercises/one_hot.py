"""Turn labels into rows. You get whole numbers of shape (n,), each from 0 to `classes - 1`. Return floats of
shape (n, classes): row i is all zeros, but for a 1 at the place that label i names.

For the labels `[2, 0]` and 3 classes the answer is `[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "The row for label 2 is row 2 of a well-known square table.",
    "np.eye(classes) has ones on its diagonal. What does it give if it is indexed by an array?",
    "np.eye(classes)[labels]",
)
PASSED = "An array of indices picks a row for each of them. An embedding is the same, with other rows."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(labels: np.ndarray, classes: int) -> np.ndarray:
    """For labels (n,) rows (n, classes): all zeros, but a 1.0 at the label."""
    raise NotImplementedError


def solution(labels: np.ndarray, classes: int) -> np.ndarray:
    """For labels (n,) rows (n, classes): all zeros, but a 1.0 at the label."""
    return np.eye(classes)[labels]


def wrong_turned(labels: np.ndarray, classes: int) -> np.ndarray:
    """Your columns belong to the labels. Each label is a row: the shape is (n, classes)."""
    return np.eye(classes)[labels].T


def wrong_as_many_as_seen(labels: np.ndarray, classes: int) -> np.ndarray:
    """Your table has a column for each label up to the largest that occurs.

    A class may be missing from the data: take as many columns as `classes` says.
    """
    return np.eye(labels.max() + 1)[labels]


def wrong_whole_numbers(labels: np.ndarray, classes: int) -> np.ndarray:
    """The ones are where they should be, but they are whole numbers. Networks take floats: 0.0, 1.0."""
    return np.eye(classes, dtype=np.int64)[labels]


def wrong_label_itself(labels: np.ndarray, classes: int) -> np.ndarray:
    """You wrote the label where a 1 belongs."""
    return np.eye(classes)[labels] * labels[:, None]


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("one_hot", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("one_hot", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("one_hot", answer, seed)
