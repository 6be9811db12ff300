"""Warm-up, stable, decay: a long flat stretch, and a fall that may begin whenever one likes.

A cosine must know its length before it starts. Hu et al. (2024, section 4) keep the rate at its top
instead and let it fall only in the last tenth or so: any checkpoint of the flat stretch can be finished
into a good model by a short decay, or trained on for longer. Haegele et al. (2024) find that a fall along
1 - sqrt ends lower than a straight one.

    warm-up   k < W            f = start + (1 - start) k / W
    stable    k < W + S        f = 1
    decay     u = (k-W-S)/D    f = floor + (1 - floor) g(u),    g one of
                               linear 1 - u,  cosine (1 + cos(pi u)) / 2,  square_root 1 - sqrt(u)

After W + S + D steps it stays at ``floor``.

Axes used below
    k  optimizer steps that were made before this one
    W, S, D  steps of warm-up, stable stretch and decay      u  share of the decay that is done
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Warm-up, stable, decay",
    paper="https://arxiv.org/abs/2404.06395",
    year=2024,
    summary="Warms up, keeps the learning rate constant for most of the run, and lets it fall at the end.",
    rows=("SC05",),
    differs=(
        "The paper's own decay halves the rate at a fixed pace; these three shapes are those of later work.",
        "transformers warms up from its floor; here ``start`` is free, 0 by default.",
    ),
    oracle="transformers' get_wsd_schedule, all shapes; every step",
)

SHAPES = ("linear", "cosine", "square_root")


def warmup_stable_decay(
    step: float | int,
    warmup: float | int,
    stable: float | int,
    decay: float | int,
    floor: float | int = 0.0,
    start: float | int = 0.0,
    shape: str = "linear",
) -> float:
    """The factor on the learning rate at ``step`` (0 or more).

    ``warmup``, ``stable`` and ``decay`` are lengths, 0 or more; ``floor`` and ``start`` are in [0, 1];
    ``shape`` is that of the decay: "linear", "cosine" or "square_root". Raises ``ValueError`` otherwise.
    """
    for name, value in (("step", step), ("warmup", warmup), ("stable", stable), ("decay", decay)):
        if not value >= 0:
            raise ValueError(f"{name} is {value}; it must be 0 or more")
    for name, value in (("floor", floor), ("start", start)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be in [0, 1]")
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; it must be one of {', '.join(SHAPES)}")
    if step < warmup:
        return start + (1 - start) * step / warmup
    late = step - (warmup + stable)
    if late < 0:
        return 1.0
    if late >= decay:
        return float(floor)
    return floor + (1 - floor) * _fall(late / decay, shape)


def warmup_stable_decay_by_hand(
    step: int,
    warmup: int,
    stable: int,
    decay: int,
    floor: float = 0.0,
    start: float = 0.0,
    shape: str = "linear",
) -> float:
    """Write the three stretches down one after another, and look the step up."""
    rising = [start * (warmup - k) / warmup + k / warmup for k in range(warmup)]
    flat = [1.0 for _ in range(stable)]
    falling = []
    for k in range(decay):
        if shape == "linear":
            left = (decay - k) / decay
        elif shape == "cosine":
            left = math.cos(math.pi * k / decay / 2) ** 2
        else:
            left = 1 - math.sqrt(k) / math.sqrt(decay)
        falling.append(left + floor * (1 - left))
    curve = [*rising, *flat, *falling, floor]
    return curve[min(step, len(curve) - 1)]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    steps = range(80)
    for shape in SHAPES:
        yield Twin(
            f"warm-up, stable, decay: {shape}",
            lambda shape=shape: [warmup_stable_decay(k, 10, 40, 20, 0.1, 0.02, shape) for k in steps],
            lambda shape=shape: [warmup_stable_decay_by_hand(k, 10, 40, 20, 0.1, 0.02, shape) for k in steps],
            (),
            gradients=False,
        )


def _fall(done: float, shape: str) -> float:
    if shape == "linear":
        return 1 - done
    if shape == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - math.sqrt(done)
