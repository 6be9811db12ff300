"""Cut the width into heads.

You get vectors (batch, places, width) and a number of heads that divides the width. Return (batch, heads,
places, width / heads): head 0 gets the first part of every vector, head 1 the next part, and so on.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "First make two axes of the width: heads, and numbers of a head. Which of the two comes first?",
    "x.view(batch, places, heads, width // heads) cuts each vector into consecutive parts.",
    "Then exchange the axes of places and heads: transpose(1, 2).",
)
PASSED = "Each head sees its own part of every vector, at every place."


def starter(x: Tensor, heads: int) -> Tensor:
    """For x (batch, places, width) return (batch, heads, places, width // heads)."""
    raise NotImplementedError


def solution(x: Tensor, heads: int) -> Tensor:
    """For x (batch, places, width) return (batch, heads, places, width // heads)."""
    batch, places, width = x.shape
    return x.reshape(batch, places, heads, width // heads).transpose(1, 2)


def wrong_reshaped(x: Tensor, heads: int) -> Tensor:
    """The shape is right, but places got mixed up: a reshape alone does not exchange axes.

    Cut first, then transpose.
    """
    batch, places, width = x.shape
    return x.reshape(batch, heads, places, width // heads)


def wrong_interleaved(x: Tensor, heads: int) -> Tensor:
    """You dealt out the numbers like cards: head 0 got numbers 0, 2, 4 ...

    Each head gets a consecutive part.
    """
    batch, places, width = x.shape
    return x.reshape(batch, places, width // heads, heads).permute(0, 3, 1, 2)


def wrong_not_exchanged(x: Tensor, heads: int) -> Tensor:
    """The axes of places and heads are still in the old order. Exchange them: transpose(1, 2)."""
    batch, places, width = x.shape
    return x.reshape(batch, places, heads, width // heads)


def wrong_width_of_head(x: Tensor, heads: int) -> Tensor:
    """You made heads of that width. The number says how many heads there are."""
    batch, places, width = x.shape
    return x.reshape(batch, places, width // heads, heads).transpose(1, 2)


def wrong_places_cut(x: Tensor, heads: int) -> Tensor:
    """You cut the places into parts. Every head sees all places, and a part of each vector."""
    batch, places, width = x.shape
    return x.reshape(batch, heads, places // heads, width)


def wrong_whole_width(x: Tensor, heads: int) -> Tensor:
    """Every head got the whole vector. Each gets a part of it, so that the work stays the same."""
    return torch.stack([x] * heads, dim=1)


def case(seed: int) -> tuple[Tensor, int]:
    return torch.randn(2, 6, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), 3


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(
        answer(*case(seed)), (2, 3, 6, 4), "For 2 texts, 6 places, width 12 and 3 heads, the result"
    )


def check_parts(answer: Answer, seed: int) -> None:
    (x, heads), found = case(seed), answer(*case(seed))
    for head in range(heads):
        first = 4 * head
        for place in range(6):
            if not same(found[:, head, place], x[:, place, first : first + 4]):
                wanted = f"numbers {first} to {first + 3} of the vector"
                raise Fail(f"At place {place}, head {head} must get {wanted}.")
