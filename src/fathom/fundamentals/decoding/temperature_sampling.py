"""Temperature: one number that makes a model bolder or more careful.

    p_i = exp(x_i / T) / sum_j exp(x_j / T)           (Ackley, Hinton and Sejnowski 1985, equation 5)

T = 1 draws as the model learned; below 1 the likely tokens get likelier, towards greedy decoding at 0;
above 1 all come closer to each other. Ratios of probabilities are raised to the power 1 / T.

A draw from probabilities p can be a race: each token gets an exponential time with rate p_i, and the first
to finish is i with probability p_i. It needs one random number for each token and no running sum, which is
why torch draws this way.

Axes used below
    b  batch, any number of axes      v  vocabulary
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.decoding.greedy_decoding import checked_logits

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Temperature sampling",
    paper="https://doi.org/10.1207/s15516709cog0901_7",
    year=1985,
    summary="Draws the next token from probabilities that a temperature sharpens or flattens.",
    rows=("NL08",),
    builds_on=("greedy_decoding",),
    oracle="TemperatureLogitsWarper of transformers; its seeded draws; the frequencies of many draws",
)


def tempered(logits: Float[Tensor, "*b v"], temperature: float) -> Float[Tensor, "*b v"]:
    """``logits`` at another ``temperature``, positive and finite.

    Raises ``ValueError`` for another one, and what `checked_logits` raises.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(
            f"temperature is {temperature}; it must be positive and finite. For the likeliest token, which 0"
            " would mean, use greedy decoding"
        )
    return checked_logits(logits) / temperature


def draw(logits: Float[Tensor, "*b v"], generator: torch.Generator | None = None) -> Int[Tensor, "*b"]:
    """One token for each row, with the probabilities of its softmax. Raises what `checked_logits` raises."""
    shares = checked_logits(logits).softmax(dim=-1)
    flat = shares.reshape(-1, shares.shape[-1])
    return torch.multinomial(flat, 1, generator=generator).reshape(shares.shape[:-1])


def tempered_by_hand(logits: Float[Tensor, "*b v"], temperature: float) -> Float[Tensor, "*b v"]:
    """The logarithms of probabilities that were raised to the power 1 / T, less what softmax ignores."""
    powers = logits.exp() ** (1 / temperature)
    return powers.log()


def draw_by_hand(logits: Float[Tensor, "b v"], generator: torch.Generator) -> Int[Tensor, " b"]:
    """The race, run on the same dice."""
    times = torch.empty_like(logits).exponential_(1, generator=generator)
    shares = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
    return (times / shares).argmin(dim=-1)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 40, 60, dtype=torch.float64).sin().reshape(6, 10) * 4
    for temperature in (0.5, 3.0):
        yield Twin(
            f"tempered, T = {temperature}",
            lambda x, t=temperature: tempered(x, t),
            lambda x, t=temperature: tempered_by_hand(x, t),
            (logits,),
        )
    yield Twin(
        "draw",
        lambda x: [draw(x, dice) for dice in [torch.Generator().manual_seed(1)] for _ in range(20)],
        lambda x: [draw_by_hand(x, dice) for dice in [torch.Generator().manual_seed(1)] for _ in range(20)],
        (logits,),
        gradients=False,
    )
