"""Cosine annealing: down along half a wave, gently at both ends; with restarts, wave after wave.

The rate lingers near its top, where it explores, and near its floor, where it settles, and hurries between.
Loshchilov and Hutter (2017) set it back to the top after each wave, the "warm restart", so that a run has a
good model at the end of each cycle; later work mostly keeps a single wave.

    cosine      f(k) = floor + (1 - floor) (1 + cos(pi k / K)) / 2                    equation 5
    restarts    the same with k counted from the last restart; the cycles last
                first, first * stretch, first * stretch^2, ... steps, and the i-th
                begins at decay^i

One wave stays at its floor after step K; restarts go on for ever.

Axes used below
    k  optimizer steps that were made before this one      K  steps of the wave      i  number of the cycle
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Cosine annealing and warm restarts",
    paper="https://arxiv.org/abs/1608.03983",
    year=2016,
    summary="Lowers the learning rate along half a cosine wave, once or again and again.",
    rows=("SC03",),
    differs=(
        "Cycles are found by taking their lengths off one after another; torch (when given an epoch) and timm"
        " take a logarithm, which may err by a cycle at a restart.",
        "A cycle that begins at decay^i < floor is flat at the floor; timm's would rise.",
    ),
    oracle="torch.optim.lr_scheduler.CosineAnnealingLR and CosineAnnealingWarmRestarts, timm's"
    " CosineLRScheduler; every step",
)


def cosine_annealing(step: float | int, steps: float | int, floor: float | int = 0.0) -> float:
    """The factor on the learning rate at ``step`` (0 or more): 1 at first, ``floor`` from ``steps`` on.

    ``floor`` is in [0, 1]. Raises ``ValueError`` for values outside these ranges.
    """
    _check(step, floor)
    if not steps > 0:
        raise ValueError(f"steps is {steps}; it must be positive")
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def cosine_restarts(
    step: float | int,
    first: float | int,
    stretch: float | int = 1,
    floor: float | int = 0.0,
    decay: float | int = 1.0,
) -> float:
    """The factor on the learning rate at ``step`` (0 or more), with a restart after each cycle.

    The first cycle lasts ``first`` steps, each next one ``stretch`` (1 or more) times as long and its top
    ``decay`` (in (0, 1]) times as high. Raises ``ValueError`` for values outside these ranges.
    """
    _check(step, floor)
    if not first > 0:
        raise ValueError(f"first is {first}; it must be positive")
    if not 1 <= stretch < float("inf"):
        raise ValueError(f"stretch is {stretch}; it must be 1 or more, and finite")
    if not 0 < decay <= 1:
        raise ValueError(f"decay is {decay}; it must be in (0, 1]")
    if stretch == 1:
        cycle, done = divmod(step, first)
        length = first
    else:
        cycle, done, length = 0, step, first
        while done >= length:
            done, length, cycle = done - length, length * stretch, cycle + 1
    top = max(decay**cycle, floor)
    return floor + (top - floor) * 0.5 * (1 + math.cos(math.pi * done / length))


def cosine_annealing_by_hand(step: int, steps: int, floor: float = 0.0) -> float:
    """The shadow of a point that walks half a circle, the same arc at each step."""
    x, y = 1.0, 0.0
    cosine, sine = math.cos(math.pi / steps), math.sin(math.pi / steps)
    for _ in range(min(step, steps)):
        x, y = x * cosine - y * sine, x * sine + y * cosine
    return floor + (1 - floor) * (1 + x) / 2


def cosine_restarts_by_hand(
    step: int, first: int, stretch: int = 1, floor: float = 0.0, decay: float = 1.0
) -> float:
    """Walk there and begin a new cycle whenever one is over; (1 + cos a) / 2 is cos(a / 2) squared."""
    made, length, top = 0, first, 1.0
    for _ in range(step):
        made = made + 1
        if made == length:
            made, length, top = 0, length * stretch, top * decay
    return floor + (top - floor) * math.cos(math.pi * made / length / 2) ** 2


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(75)
    yield Twin(
        "cosine annealing",
        lambda: [cosine_annealing(k, 60, 0.1) for k in steps],
        lambda: [cosine_annealing_by_hand(k, 60, 0.1) for k in steps],
        (),
        gradients=False,
    )
    for stretch in (1, 2):
        yield Twin(
            f"cosine restarts, stretch {stretch}",
            lambda stretch=stretch: [cosine_restarts(k, 10, stretch, 0.01, 0.8) for k in steps],
            lambda stretch=stretch: [cosine_restarts_by_hand(k, 10, stretch, 0.01, 0.8) for k in steps],
            (),
            gradients=False,
        )


def _check(step: float | int, floor: float | int) -> None:
    if not step >= 0:
        raise ValueError(f"step is {step}; it must be 0 or more")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor is {floor}; it must be in [0, 1]")
