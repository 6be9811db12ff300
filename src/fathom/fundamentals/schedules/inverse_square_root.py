"""Inverse square root: a schedule that needs no end, because it never comes down for good.

Averaging n noisy gradients shrinks their noise by sqrt(n); a rate that falls as 1 / sqrt(k) is the classic
choice of stochastic optimization when nobody knows how long the run will be. Vaswani et al. (2017, equation
3) put a straight warm-up before it and scale it by the width of the model, for which the annotated
transformer is named "Noam", after one of the authors.

    inverse square root   f(k) = k / W                          for k < W
                          f(k) = sqrt(T / (k - W + T))          after, T = W unless given
    noam                  rate = s d^-1/2 min(k^-1/2, k W^-3/2), with k = 1 at the first step

Axes used below
    k  optimizer steps that were made before this one      W  steps of the warm-up
    T  time scale, in steps                                d  width of the model      s  scale
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Inverse square root, and Noam",
    paper="https://arxiv.org/abs/1706.03762",
    year=2017,
    summary="Warms up, then lowers the learning rate as one over the square root of the step, with no end.",
    rows=("SC05",),
    differs=(
        "noam(0) is noam(1): the formula has no step 0, and the annotated transformer is asked for it.",
        "Without a warm-up a timescale must be given; transformers then takes 10,000 steps.",
    ),
    oracle="transformers' get_inverse_sqrt_schedule; the formula of the annotated transformer, which is no"
    " package, written out again under torch.optim.lr_scheduler.LambdaLR; every step",
)


def inverse_square_root(
    step: float | int, warmup: float | int, timescale: float | int | None = None
) -> float:
    """The factor on the learning rate at ``step`` (0 or more): 1 at ``warmup``, then ever slower down.

    It is halved ``3 * timescale`` after the warm-up. ``warmup`` is 0 or more; ``timescale`` is positive,
    None means ``warmup``, and must be given where that is 0. Raises ``ValueError`` outside these ranges.
    """
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not warmup >= 0:
        raise ValueError(f"warmup is {warmup}; it must be 0 or more")
    scale = warmup if timescale is None else timescale
    if not scale > 0:
        raise ValueError(f"timescale is {timescale} and warmup is {warmup}; one of them must be positive")
    if step < warmup:
        return step / warmup
    return 1.0 / math.sqrt((step + (scale - warmup)) / scale)


def noam(step: float | int, width: int, warmup: float | int, scale: float = 1.0) -> float:
    """The learning rate itself at ``step``, counted from 1 as in the paper; 0 is taken for 1.

    ``width`` is that of the model, 1 or more; ``warmup`` and ``scale`` are positive. Raises ``ValueError``
    for values outside these ranges.
    """
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if width < 1:
        raise ValueError(f"width is {width}; it must be 1 or more")
    if not (warmup > 0 and scale > 0):
        raise ValueError(f"warmup is {warmup} and scale is {scale}; they must be positive")
    count = max(step, 1)
    return scale * width**-0.5 * min(count**-0.5, count * warmup**-1.5)


def inverse_square_root_by_hand(step: int, warmup: int, timescale: int | None = None) -> float:
    """A straight line, then a product of small falls: sqrt(n / (n + 1)) at each step."""
    if step < warmup:
        return sum((1 / warmup for _ in range(step)), 0.0)
    count, rate = timescale or warmup, 1.0
    for _ in range(step - warmup):
        rate = rate * math.sqrt(count / (count + 1))
        count = count + 1
    return rate


def noam_by_hand(step: int, width: int, warmup: int, scale: float = 1.0) -> float:
    """Say where the two curves cross, and which of them is lower on either side."""
    count = step if step > 0 else 1
    at_the_top = scale / math.sqrt(width * warmup)
    if count < warmup:
        return at_the_top * count / warmup
    return at_the_top * math.sqrt(warmup / count)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(80)
    for warmup, timescale in ((20, None), (20, 7), (0, 15)):
        yield Twin(
            f"inverse square root, warm-up {warmup}, time scale {timescale}",
            lambda w=warmup, t=timescale: [inverse_square_root(k, w, t) for k in steps],
            lambda w=warmup, t=timescale: [inverse_square_root_by_hand(k, w, t) for k in steps],
            (),
            gradients=False,
        )
    yield Twin(
        "noam",
        lambda: [noam(k, 512, 25, 2.0) for k in steps],
        lambda: [noam_by_hand(k, 512, 25, 2.0) for k in steps],
        (),
        gradients=False,
    )
