"""Cut a table into batches. You get a table of shape (n, d) and a size. Return an array of shape (n // size,
size, d): batch 0 holds the first `size` rows, batch 1 the next ones, and so on. Rows at the end that do
not fill a batch are dropped.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "How many whole batches are there? len(rows) // size.",
    "Cut the rows that are left over off first. Then the number of entries fits.",
    "reshape(whole, size, rows.shape[1]) gives an axis for batches in front.",
)
PASSED = "A reshape keeps the order of the numbers, so neighbours stay in one batch."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(rows: np.ndarray, size: int) -> np.ndarray:
    """(n, d) in batches of size rows, in order: (n // size, size, d)."""
    raise NotImplementedError


def solution(rows: np.ndarray, size: int) -> np.ndarray:
    """(n, d) in batches of size rows, in order: (n // size, size, d)."""
    whole = len(rows) // size
    return rows[: whole * size].reshape(whole, size, rows.shape[1])


def wrong_not_cut(rows: np.ndarray, size: int) -> np.ndarray:
    """You dropped the rows that are left over, but there is no axis for the batches yet.

    Reshape to (n // size, size, d).
    """
    return rows[: len(rows) // size * size]


def wrong_dealt(rows: np.ndarray, size: int) -> np.ndarray:
    """You dealt the rows like cards: neighbours are in different batches. Batch 0 holds the first rows."""
    whole = len(rows) // size
    return rows[: whole * size].reshape(size, whole, rows.shape[1]).swapaxes(0, 1)


def wrong_front_dropped(rows: np.ndarray, size: int) -> np.ndarray:
    """You dropped the first rows. Those at the end are left over."""
    whole = len(rows) // size
    return rows[len(rows) - whole * size :].reshape(whole, size, rows.shape[1])


def wrong_columns(rows: np.ndarray, size: int) -> np.ndarray:
    """Inside each batch rows and columns are exchanged: the shape is (n // size, size, d)."""
    whole = len(rows) // size
    return rows[: whole * size].reshape(whole, size, rows.shape[1]).swapaxes(1, 2)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("batches", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("batches", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("batches", answer, seed)
