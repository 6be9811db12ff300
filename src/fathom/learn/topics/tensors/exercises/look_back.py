"""Who may see what? A reader goes through `count` words. At place i it has seen the places 0 to i, its own
among them. Return a table of True and False, of shape (count, count): row i, column j says whether place
j was seen at place i.

Language models are trained with this table. It keeps them from looking ahead.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "np.arange(count) holds the places. Make a column of it, and a row.",
    "places[:, None] is a column, places[None, :] a row. Comparing them gives a table.",
    "places[:, None] >= places[None, :]",
)
PASSED = "A column against a row: broadcasting made the whole table."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(count: int) -> np.ndarray:
    """True where column j is not after row i: (count, count)."""
    raise NotImplementedError


def solution(count: int) -> np.ndarray:
    """True where column j is not after row i: (count, count)."""
    places = np.arange(count)
    return places[:, None] >= places[None, :]


def wrong_ahead(count: int) -> np.ndarray:
    """The triangle is upside down: your reader sees what is still to come, and nothing of what was."""
    places = np.arange(count)
    return places[:, None] <= places[None, :]


def wrong_not_itself(count: int) -> np.ndarray:
    """At place i the word i was read as well. The diagonal is True: not larger, but larger or equal."""
    places = np.arange(count)
    return places[:, None] > places[None, :]


def wrong_numbers(count: int) -> np.ndarray:
    """The places are right, but these are numbers.

    A mask is made of True and False, as a comparison gives them.
    """
    return np.tril(np.ones((count, count)))


def wrong_all(count: int) -> np.ndarray:
    """Everything is True: so everybody sees everything.

    Compare the place of the row with that of the column.
    """
    return np.ones((count, count), dtype=np.bool_)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("look_back", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("look_back", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("look_back", answer, seed)
