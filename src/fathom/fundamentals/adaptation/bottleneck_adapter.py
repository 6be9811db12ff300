"""Adapters: small new layers between those of a trained model, which alone learn.

Houlsby et al. (2019, section 2.1) put a narrow network behind the attention and behind the dense part of each
block, where their answer is added to the stream. It looks at that answer through a bottleneck of m entries
and corrects it:

    y = layer(x)          out = y + U gelu(D y + c) + e          D (m, d), U (d, m)

U begins near zero, so that the model begins as it was. Each adapter learns 2 m d + m + d numbers. Unlike the
change of `lora` it bends what it corrects, so it cannot be merged into the layer and costs a little for ever.

Axes used below
    b  batch      d  width      m  width of the bottleneck
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Bottleneck adapters",
    paper="https://arxiv.org/abs/1902.00751",
    year=2019,
    summary="Tunes a trained model by small new layers that correct what its own layers say.",
    rows=("TL08",),
    differs=(
        "The bend is GELU, as in the authors' code; the paper does not say which it takes.",
        "Norms stand still like all else; the paper trains them too, which the engine's `whole` can do.",
    ),
    oracle="the formula by hand; a model without adapters, which one that begins at zero equals to the bit",
)


class Bottleneck(nn.Module):
    """A layer ``base``, which stands still and answers with ``width`` entries, and the adapter behind it.

    Further arguments of a call go to the base. Raises ``ValueError`` for sizes below 1.
    """

    def __init__(self, base: nn.Module, width: int, narrow: int = 64) -> None:
        super().__init__()
        for name, size in (("width", width), ("narrow", narrow)):
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be 1 or more")
        self.base = base
        self.down, self.up = nn.Linear(width, narrow), nn.Linear(narrow, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Float[Tensor, "*b i"], *rest: Any) -> Float[Tensor, "*b d"]:
        y = self.base(x, *rest)
        return y + self.up(F.gelu(self.down(y)))


def bottleneck_by_hand(
    y: Float[Tensor, "b d"],
    down: Float[Tensor, "m d"],
    down_bias: Float[Tensor, "m"],
    up: Float[Tensor, "d m"],
    up_bias: Float[Tensor, "d"],
) -> Float[Tensor, "b d"]:
    """One unit of the bottleneck after the other adds its column."""
    out = y + up_bias
    for looks, offset, says in zip(down, down_bias, up.T, strict=True):
        seen = (y * looks).sum(dim=1) + offset
        out = out + (seen * (1 + torch.erf(seen / 2**0.5)) / 2)[:, None] * says
    return out


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    names = ("down.weight", "down.bias", "up.weight", "up.bias")
    for narrow in (1, 3):
        layer = Bottleneck(nn.Identity(), 5, narrow)
        shapes = ((2, 5), (narrow, 5), (narrow,), (5, narrow), (5,))
        given = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)

        def ours(x: Tensor, *weights: Tensor, layer: nn.Module = layer) -> Tensor:
            return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

        yield Twin(f"narrow {narrow}", ours, bottleneck_by_hand, given)
