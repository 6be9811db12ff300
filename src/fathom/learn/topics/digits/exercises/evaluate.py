"""Find the worst errors.

One number says how good a network is, and nothing of where it fails. You get the scores of a network for some
pictures, and the labels. Return three things:

- the share of right answers, a number from 0 to 1;
- a table of counts (10, 10): row by the true digit, column by the digit that was said;
- the rows of all wrong answers, as a tensor, with those first of which the network was most sure. How sure it
  was is the probability of what it said: softmax makes probabilities of scores.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described, same

HINTS = (
    "scores.softmax(dim=1).max(dim=1) gives two tensors: how sure the network was, and what it said.",
    "(said != labels).nonzero().flatten() are the rows of the wrong answers.",
    "sure[wrong].argsort(descending=True) is the order in which to take these rows.",
)
PASSED = "Now you see where it fails, and not only how often."


def starter(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """scores: (n, 10), labels: (n,). Return share right, table (10, 10), rows of errors, surest first."""
    raise NotImplementedError


def solution(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """scores: (n, 10), labels: (n,). Return share right, table (10, 10), rows of errors, surest first."""
    sure, said = scores.softmax(dim=1).max(dim=1)
    table = torch.zeros(10, 10, dtype=torch.int64)
    for true, guess in zip(labels.tolist(), said.tolist(), strict=True):
        table[true, guess] += 1
    wrong = (said != labels).nonzero().flatten()
    return float((said == labels).float().mean()), table, wrong[sure[wrong].argsort(descending=True)]


def wrong_table_turned(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """Your table is turned: rows are the true digits, columns what was said."""
    share, table, rows = solution(scores, labels)
    return share, table.T, rows


def wrong_least_sure_first(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """Your errors begin with the one the network was least sure of. Those are excusable.

    The worst are where it was sure and wrong: sort descending.
    """
    share, table, rows = solution(scores, labels)
    return share, table, rows.flip(0)


def wrong_by_score(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """You sort by the highest score. A score says nothing alone: all ten of a picture may be high.

    Take the probability: softmax first.
    """
    share, table, rows = solution(scores, labels)
    return share, table, rows[scores[rows].amax(dim=1).argsort(descending=True)]


def wrong_right_ones_too(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """Your rows contain right answers. Keep those where what was said is not the label."""
    share, table, _ = solution(scores, labels)
    return share, table, scores.softmax(dim=1).amax(dim=1).argsort(descending=True)


def wrong_percent(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """Your share is a hundred times too large. It is a number from 0 to 1; who prints it writes percent."""
    share, table, rows = solution(scores, labels)
    return 100 * share, table, rows


def wrong_mean_of_digits(scores: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """You took the mean of the ten digits' shares, so rare digits count for more.

    Count right answers, and divide by the number of all.
    """
    _, table, rows = solution(scores, labels)
    return float((table.diagonal() / table.sum(dim=1)).mean()), table, rows


def case(seed: int, count: int = 400) -> tuple[Tensor, Tensor]:
    """Scores that are mostly right, each picture with a level of its own; low digits are frequent."""
    dice = torch.Generator().manual_seed(seed)
    labels = (10 * torch.rand(count, generator=dice) ** 2).long()
    labels[:10] = torch.arange(10)
    scores = 2 * torch.randn(count, 10, generator=dice, dtype=torch.float64)
    scores[torch.arange(count), labels] += 3.0
    return scores + 20 * torch.randn(count, 1, generator=dice, dtype=torch.float64), labels


def parts(answer: Answer, seed: int) -> tuple[float, Tensor, Tensor]:
    made = answer(*case(seed))
    if not isinstance(made, tuple | list) or len(made) != 3:
        raise Fail(f"Three things are wanted: share, table, rows; what you return is {described(made)}")
    return made[0], made[1], made[2]


def check_share(answer: Answer, seed: int) -> None:
    share, wanted = parts(answer, seed)[0], solution(*case(seed))[0]
    if not isinstance(share, float | int) or abs(share - wanted) > 1e-6:
        raise Fail(f"Of 400 answers {wanted:.2%} are right, so the share is {wanted:.4f}; yours is {share}.")


def check_table(answer: Answer, seed: int) -> None:
    table, wanted = parts(answer, seed)[1], solution(*case(seed))[1]
    if not isinstance(table, Tensor) or tuple(table.shape) != (10, 10):
        raise Fail("The table is a tensor of shape (10, 10).")
    if not same(table.double(), wanted.double()):
        true, said = (table != wanted).nonzero()[0].tolist()
        raise Fail(
            f"A {true} was taken for a {said} {int(wanted[true, said])} times; your table has"
            f" {table[true, said].item():g} there."
        )


def check_worst(answer: Answer, seed: int) -> None:
    rows, wanted = parts(answer, seed)[2], solution(*case(seed))[2]
    if not isinstance(rows, Tensor) or rows.dim() != 1:
        raise Fail("The rows are a tensor of one axis.")
    if len(rows) != len(wanted):
        raise Fail(f"There are {len(wanted)} wrong answers; you return {len(rows)} rows.")
    if rows.tolist() != wanted.tolist():
        raise Fail(
            f"The network is surest, and wrong, in row {int(wanted[0])}; yours begin with {int(rows[0])}."
        )
