r"""Write the softmax.

You get scores in a table: a row for each example, a column for each class. Return a table of the same shape.
In each **row** the shares are positive and add up to 1:

$$ p_j = \frac{e^{s_j}}{e^{s_1} + \dots + e^{s_k}} $$

Scores may be as large as 1000.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor

HINTS = (
    "scores.exp() are the powers. What must each row be divided by?",
    "sum(dim=1, keepdim=True) adds up each row, and keeps a column that you can divide by.",
    "Subtract the largest score of each row before the power: scores.amax(dim=1, keepdim=True).",
)
PASSED = "Every row adds up to 1, also where the scores are as large as 1000."
FORBIDDEN = {
    "softmax": "the point is to write it yourself",
    "log_softmax": "the point is to write it yourself",
    "logsumexp": "the point is to write it yourself",
}


def starter(scores: Tensor) -> Tensor:
    """For scores (n, k) return shares (n, k), whose rows add up to 1."""
    raise NotImplementedError


def solution(scores: Tensor) -> Tensor:
    """For scores (n, k) return shares (n, k), whose rows add up to 1."""
    powers = (scores - scores.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def wrong_overflow(scores: Tensor) -> Tensor:
    """Right for small scores, nan for large ones: e to the 1000 is too large.

    Subtract the largest score of each row.
    """
    powers = scores.exp()
    return powers / powers.sum(dim=1, keepdim=True)


def wrong_columns(scores: Tensor) -> Tensor:
    """Your columns add up to 1. A row is an example, and its classes share 1: sum along dim=1."""
    powers = (scores - scores.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sum(dim=0, keepdim=True)


def wrong_all(scores: Tensor) -> Tensor:
    """The whole table adds up to 1. Each row must do so by itself: sum along dim=1."""
    powers = (scores - scores.amax()).exp()
    return powers / powers.sum()


def wrong_largest_of_all(scores: Tensor) -> Tensor:
    """You subtract the largest score of the whole table.

    In a row of far smaller scores all powers are 0, and 0 / 0 is nan.

    Take the largest of each row.
    """
    powers = (scores - scores.amax()).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def wrong_no_power(scores: Tensor) -> Tensor:
    """You divided the scores themselves by their sum. Then shares may be negative: take powers of e first."""
    return scores / scores.sum(dim=1, keepdim=True)


def wrong_not_divided(scores: Tensor) -> Tensor:
    """These are powers, not shares: the rows do not add up to 1. Divide by the sum of each row."""
    return (scores - scores.amax(dim=1, keepdim=True)).exp()


def wrong_winner(scores: Tensor) -> Tensor:
    """The winner takes all. A share says how sure we are, so close scores must have close shares."""
    return (scores == scores.amax(dim=1, keepdim=True)).to(scores.dtype)


def case(seed: int) -> tuple[Tensor]:
    return (torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2,)


LARGE = [[1000.0, 999.0, -1000.0], [1.0, 2.0, 3.0]]


def observe(answer: Answer, seed: int) -> tuple[Tensor, Tensor]:
    """Ordinary scores, and large ones."""
    return answer(*case(seed)), answer(torch.tensor(LARGE, dtype=torch.float64))


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (4, 3), "The result")


def check_rows(answer: Answer, seed: int) -> None:
    for row, total in enumerate(answer(*case(seed)).sum(dim=1)):
        if abs(float(total) - 1) > 1e-9:
            raise Fail(f"The shares of row {row} add up to {float(total):.4f}; it must be 1.")


def check_shares(answer: Answer, seed: int) -> None:
    (scores,) = case(seed)
    found, right = answer(scores.clone()), solution(scores)
    row = int((found - right).abs().amax(1).argmax())
    if not bool(torch.allclose(found, right, 1e-6, 1e-9)):
        given, wanted, mine = ([round(v, 3) for v in t[row].tolist()] for t in (scores, right, found))
        raise Fail(f"The scores {given} have the shares {wanted}; yours are {mine}.")


def check_large(answer: Answer, seed: int) -> None:
    large = torch.tensor(LARGE, dtype=torch.float64)
    found, right = answer(large), solution(large)
    if not bool(torch.allclose(found, right, 1e-6, 1e-9)):
        raise Fail(f"1000, 999 and -1000 have the shares 0.731, 0.269 and 0; yours are {found[0].tolist()}.")
