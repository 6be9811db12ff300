"""Entry test, arrays: name the class of new points by their nearest neighbour.

You get a table of shape (n, d), the class of each row as whole numbers of shape (n,), and new rows of shape
(m, d). The columns are measured in different units. So standardize first: subtract from each column the mean
of the **table**, and divide by its standard deviation, in the table as well as in the new rows. No column is
constant.

Then find for each new row the nearest row of the table, by the Euclidean distance. Return the classes of the
nearest rows: whole numbers of shape (m,). Leave what you were given as it is, and write no loop.
"""

import numpy as np

from fathom.learn.engine.grade import Answer, Fail
from fathom.learn.engine.warmup import as_tensor

HINTS = (
    "This is a test of what you know. If you need hints, the page below is the better way.",
    "table.mean(axis=0) is a mean for each column. new[:, None, :] - table[None, :, :] makes all pairs.",
    "argmin(axis=1) finds the nearest row of each new one, and labels[...] its class.",
)
PASSED = "Axes, broadcasting and indices: you know the tool."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The class (m,) of the row of table (n, d) that is nearest to each of new (m, d)."""
    raise NotImplementedError


def solution(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The class (m,) of the row of table (n, d) that is nearest to each of new (m, d)."""
    middle, spread = table.mean(axis=0), table.std(axis=0)
    known, asked = (table - middle) / spread, (new - middle) / spread
    gaps = asked[:, None, :] - known[None, :, :]
    return labels[(gaps**2).sum(axis=2).argmin(axis=1)]


def distances(new: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Squared, of each new row to each of the table; for the twins."""
    return ((new[:, None, :] - table[None, :, :]) ** 2).sum(axis=2)


def scaled(table: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Standardized with the mean and the deviation of ``by``; for the twins."""
    return (table - by.mean(axis=0)) / by.std(axis=0)


def wrong_not_standardized(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The column with the largest numbers decides alone. Standardize each column first, along axis=0."""
    return labels[distances(new, table).argmin(axis=1)]


def wrong_own_statistics(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """You standardized the new rows by their own mean and deviation.

    Then the same point gets other numbers in each table. Use those of the table for both.
    """
    return labels[distances(scaled(new, new), scaled(table, table)).argmin(axis=1)]


def wrong_places(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """You returned the indices of the nearest rows. Their classes are wanted: labels[indices]."""
    return distances(scaled(new, table), scaled(table, table)).argmin(axis=1)


def wrong_farthest(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """You took the row that is farthest away. The nearest has the smallest distance."""
    return labels[distances(scaled(new, table), scaled(table, table)).argmax(axis=1)]


def wrong_in_place(table: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The classes are right, but you changed what you were given (-= and /= do). Make new arrays."""
    found = solution(table, labels, new)
    table -= table.mean(axis=0)
    return found


def case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    units = np.array([1.0, 300.0, 0.01])
    table = (dice.normal(size=(20, 3)) + 5) * units
    return table, dice.integers(0, 6, size=20), (1.5 * dice.normal(size=(25, 3)) + 5.8) * units


def observe(answer: Answer, seed: int) -> list[object]:
    """The classes, and what became of what was given."""
    given = case(seed)
    return [as_tensor(np.asarray(answer(*given))), *map(as_tensor, given)]


def check_shape(answer: Answer, seed: int) -> None:
    found = np.asarray(answer(*case(seed)))
    if found.shape != (25,) or found.dtype.kind not in "iu":
        raise Fail(f"25 whole numbers are wanted; yours has shape {found.shape} and dtype {found.dtype}.")


def check_classes(answer: Answer, seed: int) -> None:
    for other in (seed, seed + 100, seed + 200):
        found, right = np.asarray(answer(*case(other))), solution(*case(other))
        if found.tolist() != right.tolist():
            row = int((found != right).argmax())
            raise Fail(f"New row {row} is nearest to one of class {right[row]}; you say {found[row]}.")


def check_untouched(answer: Answer, seed: int) -> None:
    given = case(seed)
    answer(*given)
    if any(not np.array_equal(mine, before) for mine, before in zip(given, case(seed), strict=True)):
        raise Fail("An array that you were given has changed.")
