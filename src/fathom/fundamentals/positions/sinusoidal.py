"""Sinusoidal positions: a place is written as the hands of many clocks, from fast to slow.

Attention does not know which word came first. Vaswani et al. (2017, section 3.5) add to the embedding at
place t a vector that says so: half sines, half cosines, of wavelengths from 2 pi to 10000 * 2 pi:

    p[t, 2 i]     = sin(t / 10000^(2 i / d))
    p[t, 2 i + 1] = cos(t / 10000^(2 i / d))

Each pair is a point on a circle. Going on by k places turns every circle by an angle that is the same at all
t: p[t + k] = R_k p[t]. So a linear layer can ask "what stood k places before", and p[t] . p[t + k] depends on
k alone. Nothing is learned, and there is a row for any t; that a model does well at places it never trained
on does not follow.

Axes used below
    t  places      d  width      b  batch
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Sinusoidal positions",
    paper="https://arxiv.org/abs/1706.03762",
    year=2017,
    summary="Tells attention where each word stands, with sines and cosines of many wavelengths.",
    rows=("TR06",),
    differs=("With interleaved off, all sines come first, as in tensor2tensor and in Marian.",),
    oracle="transformers' DistilBERT (interleaved) and Marian (sines first)",
)


def sinusoidal(
    places: int, width: int, *, base: float = 10_000.0, interleaved: bool = True
) -> Float[Tensor, "t d"]:
    """Rows 0 to ``places`` - 1 of p, in float32.

    ``base`` is the ratio of the longest wavelength to the shortest, nearly. Raises ``ValueError`` for no
    places, a width that is odd or below 2, and a base of 1 or less.
    """
    if places < 1:
        raise ValueError(f"places is {places}; it must be 1 or more")
    if width < 2 or width % 2:
        raise ValueError(f"width is {width}; it must be even, 2 or more")
    if not base > 1:
        raise ValueError(f"base is {base}; it must be above 1")
    slowness = base ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(places, dtype=torch.float64)[:, None] / slowness
    both = angle.sin(), angle.cos()
    table = torch.stack(both, dim=2).flatten(1) if interleaved else torch.cat(both, dim=1)
    return table.float()


class SinusoidalPositions(nn.Module):
    """Adds p to inputs (b, t, width) of at most ``longest`` places; no weights."""

    def __init__(self, longest: int, width: int, *, base: float = 10_000.0, interleaved: bool = True) -> None:
        super().__init__()
        self.table: Tensor
        table = sinusoidal(longest, width, base=base, interleaved=interleaved)
        self.register_buffer("table", table, persistent=False)  # computed, so it is in no file

    def forward(self, x: Float[Tensor, "b t d"], start: int = 0) -> Float[Tensor, "b t d"]:
        """``x`` and the positions from ``start`` on. Raises ``ValueError`` where there are too few."""
        end = start + x.shape[1]
        if start < 0 or end > len(self.table):
            raise ValueError(
                f"places {start} to {end - 1} are asked for; there are 0 to {len(self.table) - 1}"
            )
        return x + self.table[start:end].to(x.dtype)


def sinusoidal_by_hand(places: Tensor, width: int, base: float = 10_000.0) -> Float[Tensor, "t d"]:
    """Entry by entry; ``places`` are numbers (t,), so that a slope can be asked for as well."""
    rows = []
    for place in places:
        row = []
        for column in range(width):
            angle = place / base ** (2 * (column // 2) / width)
            row.append(torch.cos(angle) if column % 2 else torch.sin(angle))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares; the table is kept in float32."""
    from fathom.fundamentals.twin import Twin

    places = torch.arange(12, dtype=torch.float64)
    for width, base in ((2, 10_000.0), (8, 10_000.0), (6, 100.0)):

        def ours(places: Tensor, width: int = width, base: float = base) -> Tensor:
            return sinusoidal(len(places), width, base=base).double()

        def by_hand(places: Tensor, width: int = width, base: float = base) -> Tensor:
            return sinusoidal_by_hand(places, width, base)

        yield Twin(f"width {width}, base {base:g}", ours, by_hand, (places,), tolerance=1e-7, gradients=False)
