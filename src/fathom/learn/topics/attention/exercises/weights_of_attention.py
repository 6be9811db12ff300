r"""Who takes how much from whom?

You get queries and keys. Return the shares: row $t$ says how much place $t$ takes from each place. They are
the softmax, along each row, of

$$ \frac{Q K^\top}{\sqrt{e}} $$

where $e$ is the width of a query. The batch has several texts, and each is treated by itself: to turn $K$
on its side, exchange its last two axes.
"""

import math

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "q @ k.transpose(-2, -1) holds the score of every query with every key, also for a batch.",
    "The width is the last axis of q: q.shape[-1].",
    "softmax(dim=-1) goes along a row: one query, all keys.",
)
PASSED = "Every row adds up to 1, and the width does not make it more sure."
FORBIDDEN = {"scaled_dot_product_attention": "the point is to write it yourself"}


def starter(q: Tensor, k: Tensor) -> Tensor:
    """For q and k (batch, places, width) return shares (batch, places, places), rows of which add up to 1."""
    raise NotImplementedError


def solution(q: Tensor, k: Tensor) -> Tensor:
    """For q and k (batch, places, width) return shares (batch, places, places), rows of which add up to 1."""
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)


def wrong_no_root(q: Tensor, k: Tensor) -> Tensor:
    """The scores are not divided by the root of the width, so the softmax is far too sure of itself."""
    return (q @ k.transpose(-2, -1)).softmax(dim=-1)


def wrong_whole_width(q: Tensor, k: Tensor) -> Tensor:
    """You divided by the width. Its root is how large a score typically is."""
    return (q @ k.transpose(-2, -1) / q.shape[-1]).softmax(dim=-1)


def wrong_places(q: Tensor, k: Tensor) -> Tensor:
    """You divided by the root of the number of places. A score adds up over the width: q.shape[-1]."""
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-2])).softmax(dim=-1)


def wrong_columns(q: Tensor, k: Tensor) -> Tensor:
    """Your columns add up to 1. A row is one query, and its shares add up to 1: dim=-1."""
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-2)


def wrong_exchanged(q: Tensor, k: Tensor) -> Tensor:
    """Queries and keys are exchanged: rows belong to queries, so q comes first."""
    return (k @ q.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)


def wrong_scores(q: Tensor, k: Tensor) -> Tensor:
    """These are scores. A softmax makes shares of them."""
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


def wrong_root_after(q: Tensor, k: Tensor) -> Tensor:
    """You divided after the softmax, so the rows add up to less than 1. Divide the scores before it."""
    return (q @ k.transpose(-2, -1)).softmax(dim=-1) / math.sqrt(q.shape[-1])


def case(seed: int, places: int = 4, width: int = 9) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(2, places, width, generator=dice, dtype=torch.float64) for _ in range(2))
    return q, k


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (2, 4, 4), "The shares for 2 texts of 4 places")


def check_rows(answer: Answer, seed: int) -> None:
    for place, total in enumerate(answer(*case(seed))[0].sum(dim=-1)):
        if abs(float(total) - 1) > 1e-9:
            raise Fail(f"The shares of place {place} add up to {float(total):.4f}; it must be 1.")


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    for place in range(4):
        if not same(found[:, place], wanted[:, place]):
            mine, right = (float(shares[0, place, 0]) for shares in (found, wanted))
            raise Fail(f"Place {place} takes {right:.4f} from place 0; yours says {mine:.4f}.")
