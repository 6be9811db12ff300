"""Mirror images. You get n of them, of shape (n, h, w): image, row, column. Return them with left and right
exchanged, each in its place. Leave what you were given as it is.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "Which of the three axes runs from left to right?",
    "A slice with the step -1 turns an axis around, and a lone colon keeps one.",
    "images[:, :, ::-1]",
)
PASSED = "A view again: the same numbers in memory, walked through the other way."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(images: np.ndarray) -> np.ndarray:
    """Each image of (n, h, w) with left and right exchanged."""
    raise NotImplementedError


def solution(images: np.ndarray) -> np.ndarray:
    """Each image of (n, h, w) with left and right exchanged."""
    return images[:, :, ::-1]


def wrong_upside_down(images: np.ndarray) -> np.ndarray:
    """You stood the images on their heads. Left and right are the last axis."""
    return images[:, ::-1, :]


def wrong_order(images: np.ndarray) -> np.ndarray:
    """You turned the order of the images around.

    Each image stays in its place, and its last axis is turned.
    """
    return images[::-1]


def wrong_both(images: np.ndarray) -> np.ndarray:
    """You turned two axes around: that is half a turn. Only left and right are exchanged."""
    return images[:, ::-1, ::-1]


def wrong_in_place(images: np.ndarray) -> np.ndarray:
    """The result is right, but you wrote it into the images that you were given.

    Return a new array, or a view.
    """
    images[:] = images[:, :, ::-1].copy()
    return images


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("mirror", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("mirror", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("mirror", answer, seed)
