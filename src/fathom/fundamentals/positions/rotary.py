"""Rotary positions (RoPE): queries and keys are turned by an angle that grows with their place.

Su et al. (2021, section 3.2.2) take the e entries of a head as e / 2 points in the plane and turn point i of
the word at place t by the angle t f_i:

    f_i = base^(-2 i / e)        R_t (x, y) = (x cos t f_i - y sin t f_i,  x sin t f_i + y cos t f_i)

Turning changes no length, and a product of two turned vectors depends on the difference of their places
alone: (R_i q) . (R_j k) = q . (R_(j-i) k). So scores see relative places, though each word is turned for
itself and a turned key can be kept for ever. Values are not turned.

Which two entries make a point is a convention: i and i + e / 2 ("halves": GPT-NeoX, LLaMA as transformers
stores it) or 2 i and 2 i + 1 ("neighbours": the paper, GPT-J). Rows of the projections, permuted, lead from
one to the other. Where the tables are narrower than e / 2, the entries behind are left as they are.

Beyond the places of training, slow points reach angles that were never seen. LLaMA 3.1 (Dubey et al. 2024;
their program) slows down by ``factor`` those whose wavelength exceeds the length of training divided by
``low``, leaves alone those below it divided by ``high``, and blends between.

Axes used below
    *b  batch, heads      t  places      e  width of a head      h  points, e / 2 or fewer
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Rotary positions",
    paper="https://arxiv.org/abs/2104.09864",
    year=2021,
    summary="Turns queries and keys by their place, so that their match depends on the distance alone.",
    rows=("TR06",),
    differs=("Pairs entry i with i + e/2 unless told otherwise, as LLaMA's weights ask for.",),
    oracle="transformers' LLaMA, LLaMA 3.1's scaling, GPT-J (neighbours), GPT-NeoX (a part of the entries)",
)

Pairs = Literal["halves", "neighbours"]


@dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """How LLaMA 3.1 slows down the slow points, so that longer texts than in training can be read."""

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    original: int = 8192  # places in training

    def __post_init__(self) -> None:
        if not (self.factor >= 1 and 0 < self.low < self.high and self.original >= 1):
            raise ValueError(
                f"factor is {self.factor}, low {self.low}, high {self.high}, original {self.original};"
                " factor and original must be 1 or more, and 0 < low < high"
            )


def frequencies(
    width: int,
    base: float = 10_000.0,
    scaling: Llama3Scaling | None = None,
    device: torch.device | None = None,
) -> Float[Tensor, "h"]:
    """The angle by which each point is turned from one place to the next, float32 (width / 2,).

    Raises ``ValueError`` for a width that is odd or below 2, and for a base of 1 or less.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width is {width}; it must be even, 2 or more")
    if not base > 1:
        raise ValueError(f"base is {base}; it must be above 1")
    plain = 1.0 / base ** (torch.arange(0, width, 2, dtype=torch.float32, device=device) / width)
    if scaling is None:
        return plain
    turns = scaling.original * plain / (2 * math.pi)  # in the length of training
    kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    return plain * (kept + (1 - kept) / scaling.factor)


def rotary_tables(
    places: Shaped[Tensor, "*t"], frequency: Float[Tensor, "h"]
) -> tuple[Float[Tensor, "*t h"], Float[Tensor, "*t h"]]:
    """Cosine and sine of the angle of each point at each of ``places``, in float32."""
    angle = places.to(torch.float32)[..., None] * frequency
    return angle.cos(), angle.sin()


def rotate(
    x: Float[Tensor, "*b t e"],
    cosine: Float[Tensor, "... h"],
    sine: Float[Tensor, "... h"],
    *,
    pairs: Pairs = "halves",
) -> Float[Tensor, "*b t e"]:
    """``x`` with its first 2 h entries turned. The tables are (t, h) or broadcastable to (*b, t, h).

    Raises ``ValueError`` where they are wider than the points of ``x``, and for other ``pairs``.
    """
    points = cosine.shape[-1]
    if pairs not in ("halves", "neighbours"):
        raise ValueError(f"pairs is {pairs!r}; it must be 'halves' or 'neighbours'")
    if 2 * points > x.shape[-1]:
        raise ValueError(
            f"the tables turn {points} points; x has {x.shape[-1]} entries, {x.shape[-1] // 2} points"
        )
    turned, rest = x[..., : 2 * points], x[..., 2 * points :]
    cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
    if pairs == "halves":
        first, second = turned[..., :points], turned[..., points:]
    else:
        first, second = turned[..., 0::2], turned[..., 1::2]
    made = first * cosine - second * sine, second * cosine + first * sine
    both = torch.cat(made, dim=-1) if pairs == "halves" else torch.stack(made, dim=-1).flatten(-2)
    return torch.cat([both, rest], dim=-1) if rest.shape[-1] else both


def rotate_by_hand(
    x: Float[Tensor, "t e"], base: float = 10_000.0, *, start: int = 0, pairs: Pairs = "halves"
) -> Float[Tensor, "t e"]:
    """Word by word, point by point, as complex numbers: turning is multiplying by exp(i angle)."""
    width = x.shape[1]
    rows = []
    for t, row in enumerate(x, start=start):
        entries = list(row)
        for i in range(width // 2):
            a, b = (i, i + width // 2) if pairs == "halves" else (2 * i, 2 * i + 1)
            angle = torch.tensor(t * base ** (-2 * i / width), dtype=torch.float64)
            turned = torch.complex(row[a], row[b]) * torch.polar(torch.ones_like(angle), angle)
            entries[a], entries[b] = turned.real, turned.imag
        rows.append(torch.stack(entries))
    return torch.stack(rows)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares; frequencies are in float32."""
    from fathom.fundamentals.twin import Twin

    x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    conventions: tuple[Pairs, ...] = ("halves", "neighbours")
    for pairs in conventions:
        for start, base in ((0, 10_000.0), (7, 100.0)):

            def ours(x: Tensor, pairs: Pairs = pairs, start: int = start, base: float = base) -> Tensor:
                tables = rotary_tables(torch.arange(start, start + len(x)), frequencies(6, base))
                return rotate(x, *tables, pairs=pairs)

            def by_hand(x: Tensor, pairs: Pairs = pairs, start: int = start, base: float = base) -> Tensor:
                return rotate_by_hand(x, base, start=start, pairs=pairs)

            yield Twin(f"{pairs}, from place {start}, base {base:g}", ours, by_hand, (x,), tolerance=2e-6)
