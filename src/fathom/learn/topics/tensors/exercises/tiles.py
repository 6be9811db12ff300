"""Cut an image into tiles. You get one of shape (h, w), and a size that divides both. Return the tiles, of
shape (tiles, size, size), in the order of reading: the top row of tiles from left to right, then the next
row.

One kind of network for images, the vision transformer, begins like this: it reads tiles as others read
words.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "One reshape cannot do it: the rows of a tile are not neighbours in memory.",
    "Split both axes first: reshape(h // size, size, w // size, size).",
    "Exchange the two middle axes with swapaxes(1, 2), then reshape(-1, size, size).",
)
PASSED = "Split, exchange, join: three steps that cut any image without a loop."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(image: np.ndarray, size: int) -> np.ndarray:
    """An image (h, w) cut into squares (tiles, size, size), row by row."""
    raise NotImplementedError


def solution(image: np.ndarray, size: int) -> np.ndarray:
    """An image (h, w) cut into squares (tiles, size, size), row by row."""
    height, width = image.shape
    split = image.reshape(height // size, size, width // size, size)
    return split.swapaxes(1, 2).reshape(-1, size, size)


def wrong_not_swapped(image: np.ndarray, size: int) -> np.ndarray:
    """The shape is right, but a tile holds pieces of a row that lie side by side.

    Between the two reshapes the middle axes must be exchanged.
    """
    return image.reshape(-1, size, size)


def wrong_by_columns(image: np.ndarray, size: int) -> np.ndarray:
    """The tiles are right, but their order runs down the columns. Read row by row."""
    height, width = image.shape
    split = image.reshape(height // size, size, width // size, size)
    return split.transpose(2, 0, 1, 3).reshape(-1, size, size)


def wrong_turned(image: np.ndarray, size: int) -> np.ndarray:
    """Every tile is turned: its rows are columns. Only the two middle axes change places."""
    height, width = image.shape
    split = image.reshape(height // size, size, width // size, size)
    return split.transpose(0, 2, 3, 1).reshape(-1, size, size)


def wrong_grid(image: np.ndarray, size: int) -> np.ndarray:
    """The tiles still stand in a grid of four axes. Join the first two: reshape(-1, size, size)."""
    height, width = image.shape
    return image.reshape(height // size, size, width // size, size).swapaxes(1, 2)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("tiles", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("tiles", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("tiles", answer, seed)
