"""Quantised linear layers: a matrix that stands still needs few bits, and leaves room to tune a larger model.

While a model is tuned by a few numbers beside its matrices (`lora`), these are only read. Dettmers et al.
(2023, section 3) keep them in 4 bits. The entries of a row are taken in blocks; each block keeps its largest
size s, and of each entry the nearest of 2^bits levels in [-1, 1]:

    code = argmin over j of |w / s - level_j|          w ~ s level_code

With 8 bits the levels lie evenly, -127 to 127 in steps of 1 / 127 (Dettmers et al. 2022). Sixteen even levels
would waste most on sizes that hardly occur, for weights lie like a bell around 0: NormalFloat has them where
each stands for an equally likely stretch of it, and 0 among them, so that nothing stays nothing:

    level = quantiles of N(0, 1), eight above 0 and seven below, and 0, scaled to reach -1 and 1

The matrix is made again for each product, in the type of what comes in, so gradients pass through it to what
lies below; to the codes there is none.

Axes used below
    b  batch      i  inputs      o  outputs      n  blocks of a row      k  entries of a block
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Quantised base weights",
    paper="https://arxiv.org/abs/2305.14314",
    year=2023,
    summary="Keeps matrices that stand still in 8 or 4 bits while a few numbers beside them learn.",
    rows=("TL08",),
    differs=(
        "The sizes of blocks are kept as floats; the paper quantises them too.",
        "The matrix is made whole for each product; the authors' kernels make it piece by piece.",
    ),
    oracle="the levels that the paper prints; each entry against all levels, one by one",
)

TAIL = 0.9677083  # share of the bell below the largest level: (1 - 1/32 + 1 - 1/30) / 2, appendix E


def levels(bits: int) -> Float[Tensor, "levels"]:
    """The numbers in [-1, 1] that an entry of a block can be, in order. Raises ``ValueError``."""
    if bits == 8:
        return torch.arange(-127, 128) / 127
    if bits != 4:
        raise ValueError(f"bits is {bits}; it must be 8 or 4")
    bell = NormalDist()
    above = [bell.inv_cdf(TAIL + (0.5 - TAIL) * step / 8) for step in range(8)]
    below = [-bell.inv_cdf(TAIL + (0.5 - TAIL) * step / 7) for step in range(7)]
    found = torch.tensor(sorted([*above, 0.0, *below]), dtype=torch.float64)
    return (found / found.abs().max()).float()


class QuantizedLinear(nn.Module):
    """A linear layer that gives what ``layer`` gives, nearly, from a matrix of ``bits`` bits an entry.

    ``block`` is how many entries share a size; the last block of a row may be shorter. Nothing in it learns.
    Raises ``ValueError`` for bits other than 8 and 4, a block below 1, and a matrix that is not finite.
    """

    codes: Tensor
    sizes: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear, bits: int = 4, block: int = 64) -> None:
        super().__init__()
        if block < 1:
            raise ValueError(f"block is {block}; it must be 1 or more")
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bits, self.block = bits, block
        codes, sizes = quantize(layer.weight.detach(), bits, block)
        self.register_buffer("codes", packed(codes) if bits == 4 else codes)
        self.register_buffer("sizes", sizes)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    @property
    def weight(self) -> Float[Tensor, "o i"]:
        """The matrix that the codes stand for."""
        codes = unpacked(self.codes, self.sizes.shape[1] * self.block) if self.bits == 4 else self.codes
        return dequantize(codes, self.sizes, self.bits)[:, : self.in_features]

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


def quantize(
    weight: Float[Tensor, "o i"], bits: int, block: int
) -> tuple[UInt8[Tensor, "o padded"], Float[Tensor, "o n"]]:
    """(codes, sizes) of a matrix, each row filled up with zeros to whole blocks. Raises ``ValueError``."""
    if not weight.isfinite().all():
        raise ValueError("the matrix holds numbers that are not finite; mend the model first")
    blocks = F.pad(weight.float(), (0, -weight.shape[1] % block)).unflatten(1, (-1, block))
    sizes = blocks.abs().amax(dim=2)
    shares = blocks / sizes.clamp(min=torch.finfo(torch.float32).tiny)[:, :, None]
    table = levels(bits).to(weight.device)
    between = (table[1:] + table[:-1]) / 2
    return torch.bucketize(shares, between).to(torch.uint8).flatten(1), sizes


def dequantize(
    codes: UInt8[Tensor, "o padded"], sizes: Float[Tensor, "o n"], bits: int
) -> Float[Tensor, "o padded"]:
    """The entries that codes stand for."""
    table = levels(bits).to(sizes)
    return (table[codes.long()].unflatten(1, (sizes.shape[1], -1)) * sizes[:, :, None]).flatten(1)


def packed(codes: UInt8[Tensor, "o k"]) -> UInt8[Tensor, "o half"]:
    """Two codes of 4 bits in a byte, the first in front."""
    pairs = F.pad(codes, (0, codes.shape[1] % 2)).unflatten(1, (-1, 2))
    return pairs[:, :, 0] * 16 + pairs[:, :, 1]


def unpacked(bytes_: UInt8[Tensor, "o half"], count: int) -> UInt8[Tensor, "o k"]:
    """``count`` codes of each row, from bytes that hold two."""
    return torch.stack([bytes_ // 16, bytes_ % 16], dim=2).flatten(1)[:, :count]


def quantized_by_hand(
    x: Float[Tensor, "b i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"], bits: int, block: int
) -> Float[Tensor, "b o"]:
    """Every entry against every level, block by block, and then the product."""
    table = [float(level) for level in levels(bits)]
    made = torch.zeros_like(weight)
    for row, numbers in enumerate(weight.tolist()):
        for begin in range(0, len(numbers), block):
            part = numbers[begin : begin + block]
            size = float(torch.tensor(max(map(abs, part)), dtype=torch.float32))
            for place, number in enumerate(part, begin):
                nearest = min(table, key=lambda level, n=number, s=size: abs(n - s * level))
                made[row, place] = nearest * size
    return x @ made.T + bias


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(3, 10, generator=dice), torch.randn(3, generator=dice)
    x = torch.randn(2, 10, dtype=torch.float64, generator=dice)
    for bits, block in ((8, 4), (4, 4), (4, 16), (8, 10)):

        def ours(x: Tensor, bits: int = bits, block: int = block) -> Tensor:
            layer = nn.Linear(10, 3)
            layer.load_state_dict({"weight": weight, "bias": bias})
            return QuantizedLinear(layer, bits, block)(x)

        by_hand = partial(
            quantized_by_hand, weight=weight.double(), bias=bias.double(), bits=bits, block=block
        )
        yield Twin(f"{bits} bits, blocks of {block}", ours, by_hand, (x,), tolerance=1e-6)
