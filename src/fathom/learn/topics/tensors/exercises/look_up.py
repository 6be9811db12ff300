"""Look words up. You get a table of shape (v, d), a row for each word of a vocabulary, and tokens of shape
(b, t): whole numbers that say which word stands where. Return the row of each token, in shape (b, t, d).

This is an embedding, the first layer of every language model.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "An array of whole numbers in square brackets picks rows.",
    "The answer has the shape of the numbers, and the rest of the table behind it.",
    "table[tokens]",
)
PASSED = "An index of shape (b, t) into rows of length d gives (b, t, d)."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The row of table (v, d) for each of tokens (b, t): (b, t, d)."""
    raise NotImplementedError


def solution(table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The row of table (v, d) for each of tokens (b, t): (b, t, d)."""
    return table[tokens]


def wrong_flat(table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The rows are right, but the sentences are gone. Index by tokens as they are, and their shape stays."""
    return table[tokens.reshape(-1)]


def wrong_from_one(table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """You took the row before. Tokens count from 0."""
    return table[tokens - 1]


def wrong_turned(table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The last two axes are exchanged: each token has its row behind it, (b, t, d)."""
    return table[tokens].swapaxes(1, 2)


def wrong_added_up(table: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """You added up the rows of each sentence. Every token keeps its own."""
    return table[tokens].sum(axis=1)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("look_up", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("look_up", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("look_up", answer, seed)
