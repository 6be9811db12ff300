"""Move an axis. Files hold a colour image as (h, w, c): for each point a red, a green and a blue number.
Networks in torch read (c, h, w): one grey image for each colour.

You get n images of shape (n, h, w, c). Return them as (n, c, h, w).
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "The numbers stay, and the axes change their order.",
    "transpose takes the old axes in their new order.",
    "images.transpose(0, 3, 1, 2)",
)
PASSED = "The axes moved, and every number still belongs to its point and colour."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(images: np.ndarray) -> np.ndarray:
    """(n, h, w, c), as files hold images, to (n, c, h, w), as torch reads them."""
    raise NotImplementedError


def solution(images: np.ndarray) -> np.ndarray:
    """(n, h, w, c), as files hold images, to (n, c, h, w), as torch reads them."""
    return images.transpose(0, 3, 1, 2)


def wrong_reshaped(images: np.ndarray) -> np.ndarray:
    """The shape is right, and the numbers are mixed up.

    A reshape keeps the order in memory; to move axes, take transpose.
    """
    n, h, w, c = images.shape
    return images.reshape(n, c, h, w)


def wrong_width_first(images: np.ndarray) -> np.ndarray:
    """Height and width are exchanged as well: the images lie on their sides. The order is 0, 3, 1, 2."""
    return images.transpose(0, 3, 2, 1)


def wrong_channels_of_all(images: np.ndarray) -> np.ndarray:
    """You put the colours before the images. The first axis, n, stays where it is."""
    return images.transpose(3, 0, 1, 2)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("channels_first", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("channels_first", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("channels_first", answer, seed)
