"""Average only what counts. You get numbers of shape (n,) and a mask of the same shape, of True and False.
Return the mean of the numbers where the mask is True. At least one is.

In language models sentences are filled up to one length, and the error that is reported must leave out what
was only filled in. This is how.
"""

import numpy as np

from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Answer

HINTS = (
    "A mask picks entries if it stands in square brackets.",
    "values[mask] holds only the entries where the mask is True.",
    "values[mask].mean()",
)
PASSED = "Only what the mask keeps is counted, below the line as well as above it."
FORBIDDEN = {"loop": "the question is to say it for all entries at once"}


def starter(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of the entries of (n,) where mask (n,) is True."""
    raise NotImplementedError


def solution(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of the entries of (n,) where mask (n,) is True."""
    return values[mask].mean()


def wrong_divided_by_all(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """You multiplied by the mask and took the mean.

    Then the masked entries count as zeros. Divide by the number of those that are kept.
    """
    return (values * mask).mean()


def wrong_others(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """You averaged what the mask leaves out. True means: this one counts."""
    return values[~mask].mean()


def wrong_sum(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """That is the sum. Divide by the number of entries that are kept."""
    return values[mask].sum()


def wrong_all(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """You averaged all entries. Only those count where the mask is True."""
    return values.mean()


def case(seed: int) -> tuple[object, ...]:
    return warmup.case("masked_mean", seed)


def observe(answer: Answer, seed: int) -> list[object]:
    return warmup.observe("masked_mean", answer, seed)


def check_hidden_cases(answer: Answer, seed: int) -> None:
    warmup.check("masked_mean", answer, seed)
