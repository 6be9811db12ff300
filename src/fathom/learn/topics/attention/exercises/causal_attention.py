"""Write causal attention.

You get queries, keys and values. Each place takes the values of the places that it may see, in the shares of
the exercise before. Place t may see the places 0 to t: itself, and what came earlier.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "Scores first. Which of them belong to a place that comes later?",
    "torch.ones(n, n, dtype=torch.bool).triu(1) is True above the diagonal: there s is later than t.",
    "scores.masked_fill(later, -torch.inf), then softmax, then times the values.",
)
PASSED = "Equal to torch's scaled_dot_product_attention(q, k, v, is_causal=True)."
FORBIDDEN = {"scaled_dot_product_attention": "the point is to write it yourself"}


def starter(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """For q, k and v (batch, places, width) return (batch, places, width); place t sees 0 to t."""
    raise NotImplementedError


def solution(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """For q, k and v (batch, places, width) return (batch, places, width); place t sees 0 to t."""
    places = q.shape[-2]
    later = torch.ones(places, places, dtype=torch.bool).triu(1)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1) @ v


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    hide: Callable[[Tensor], Tensor],
    width: float | None = None,
    dim: int = -1,
) -> Tensor:
    """With one thing changed, for the twins. ``hide`` gets a square of True and returns what is hidden."""
    places = q.shape[-2]
    hidden = hide(torch.ones(places, places, dtype=torch.bool))
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1] if width is None else width)
    return scores.masked_fill(hidden, -torch.inf).softmax(dim=dim) @ v


def wrong_no_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Places see what comes later. Set these scores to minus infinity before the softmax."""
    return attention(q, k, v, lambda square: ~square)


def wrong_no_root(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The scores are not divided by the root of the width."""
    return attention(q, k, v, lambda square: square.triu(1), width=1.0)


def wrong_places(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """You divided by the root of the number of places. A score adds up over the width."""
    return attention(q, k, v, lambda square: square.triu(1), width=q.shape[-2])


def wrong_hidden_too_late(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """You set shares to 0 after the softmax, so rows no longer add up to 1. Hide the scores before it."""
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1).tril() @ v


def wrong_zero_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """You set the hidden scores to 0. A score of 0 still gets a share: set them to minus infinity."""
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).tril().softmax(dim=-1) @ v


def wrong_itself(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Your mask hides a place from itself, so place 0 sees nothing and becomes nan. Hide what is above.

    Take triu(1).
    """
    return attention(q, k, v, lambda square: square.triu(0))


def wrong_triangle(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The triangle is upside down: you hide what came before and show what comes later."""
    return attention(q, k, v, lambda square: square.tril(-1))


def wrong_columns(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The softmax runs over the queries. Each query shares out 1 among the keys: dim=-1."""
    return attention(q, k, v, lambda square: square.triu(1), dim=-2)


def case(seed: int, places: int = 5, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, places, width, generator=dice, dtype=torch.float64) for _ in range(3))
    return q, k, v


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (2, 5, 8), "The result for 2 texts of 5 places")


def check_first_place(answer: Answer, seed: int) -> None:
    _, _, v = case(seed)
    if not same(answer(*case(seed))[:, 0], v[:, 0]):
        raise Fail("Place 0 sees only itself, so its answer is its own value, v[:, 0].")


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    if not same(found, wanted):
        place = int((found - wanted).abs().amax((0, 2)).argmax())
        raise Fail(f"Place 0 is right, but the answer at place {place} is not.")


def check_no_peeking(answer: Answer, seed: int) -> None:
    q, k, v = case(seed)
    other_k, other_v = k.clone(), v.clone()
    other_k[:, 3:] += 9
    other_v[:, 3:] -= 9
    if not same(answer(q, k, v)[:, :3], answer(q, other_k, other_v)[:, :3]):
        raise Fail("Changing places 3 and 4 changed the answers at places 0 to 2: what comes later leaks.")


def check_slopes(answer: Answer, seed: int) -> None:
    given = [tensor.requires_grad_() for tensor in case(seed, 3, 2)]
    if not torch.autograd.gradcheck(answer, given, raise_exception=False):
        raise Fail("Slopes and small steps disagree: something cuts the graph (.data, .item(), numpy).")
