"""Standardize a table of shape (n, d): a row is an example, a column is a measure.

Subtract from each **column** its mean, and divide by its standard deviation: the root of the mean of the
squared differences from the mean. Divide by n there, as `std` does, not by n - 1. Then each column has the
mean 0 and the deviation 1, and measures in metres and in grams can be compared.

A column in which all entries are equal has the deviation 0. Make it zeros. Divided by 0 it
would be `nan`.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "table.mean(axis=0) is one mean for each column, of shape (d,). It is stretched over the rows by itself.",
    "table.std(axis=0) is the standard deviation of each column.",
    "Divide by np.where(spread == 0, 1.0, spread): a constant column is then 0 divided by 1.",
)
PASSED = "Every column has the mean 0, and a constant one breaks nothing."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(table: np.ndarray) -> np.ndarray:
    """Each column of (n, d) less its mean, over its standard deviation; constant ones are 0."""
    raise NotImplementedError


def solution(table: np.ndarray) -> np.ndarray:
    """Each column of (n, d) less its mean, over its standard deviation; constant ones are 0."""
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread == 0, 1.0, spread)


def wrong_rows(table: np.ndarray) -> np.ndarray:
    """You standardized the rows.

    A column is a measure: reduce along axis=0, so that one number is left for each column.
    """
    middle, spread = table.mean(axis=1, keepdims=True), table.std(axis=1, keepdims=True)
    return (table - middle) / spread


def wrong_whole_table(table: np.ndarray) -> np.ndarray:
    """You took one mean and one deviation of the whole table. Each column has its own: axis=0."""
    return (table - table.mean()) / table.std()


def wrong_nan(table: np.ndarray) -> np.ndarray:
    """A constant column gives nan: 0 is divided by 0. Divide by 1 where the deviation is 0."""
    with np.errstate(invalid="ignore"):
        return (table - table.mean(axis=0)) / table.std(axis=0)


def wrong_not_divided(table: np.ndarray) -> np.ndarray:
    """The means are 0, but the columns still have different deviations. Divide by them."""
    return table - table.mean(axis=0)


def wrong_one_less(table: np.ndarray) -> np.ndarray:
    """Your deviation divides by n - 1.

    That is an estimate for more than these rows; here divide by n, as std does by itself.
    """
    spread = table.std(axis=0, ddof=1)
    return (table - table.mean(axis=0)) / np.where(spread == 0, 1.0, spread)


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("standardize", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("standardize", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("standardize", answer, seed)
