"""Dropout and its relatives: train with parts missing, so that no part can be relied upon.

A unit that may vanish at any step cannot be leaned on by its neighbours; features become useful on their own
(Srivastava et al. 2014). What is kept is divided by the share that is kept, so that the mean of each value
stays and nothing has to be rescaled at evaluation, where all three pass their input through unchanged.

    dropout      y = x m / (1 - p)    m = 1 with probability 1 - p, for each value
    drop path    the same with one m for each example: the whole residual branch vanishes, and the network
                 is shallower for that example (Huang et al. 2016)
    drop block   squares of a feature map vanish, since a single missing pixel is told by its neighbours
                 (Ghiasi et al. 2018, algorithm 1). Seeds fall with probability
                 gamma = p h w / (s^2 (h - s + 1) (w - s + 1)), and each takes a square of side s with it

Random numbers come from torch's default generator, which the engine seeds at each step.

Axes used below
    b  batch    c  channels    h, w  height, width of a feature map    s  side of a block    p  rate
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Dropout, DropPath and DropBlock",
    paper="https://jmlr.org/papers/v15/srivastava14a.html",
    year=2014,
    summary="Removes random values, whole branches or squares of a feature map while training.",
    rows=("RN01",),
    differs=(
        "Drop path divides by the share that is kept, as timm does; Huang et al. rescale at test time.",
        "Drop block draws seeds everywhere and cuts blocks off at the border, as timm does; the paper's seeds"
        " keep away from it. On small maps more than the rate is dropped in the middle, less at the border.",
    ),
    oracle="torch.nn.functional.dropout, timm.layers.DropPath and DropBlock2d from the same seed",
)


def dropout(x: Tensor, rate: float = 0.5, training: bool = True) -> Tensor:
    """``x`` of any shape with each value dropped with probability ``rate``, the others scaled up.

    ``rate`` is in [0, 1). Raises ``ValueError`` for other rates and for values that are not floating point.
    """
    _check(x, rate)
    return F.dropout(x, rate, training)


def drop_path(x: Tensor, rate: float = 0.1, training: bool = True) -> Tensor:
    """``x`` (b, ...) with whole examples dropped with probability ``rate``, the others scaled up.

    ``rate`` is in [0, 1). Raises ``ValueError`` for other rates, no batch axis, or values not floating point.
    """
    _check(x, rate)
    if not x.ndim:
        raise ValueError("x is a single number; drop path needs a batch axis")
    if not training or rate == 0:
        return x
    kept = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - rate)
    return x * kept.div_(1 - rate)


def drop_block(
    x: Shaped[Tensor, "b c h w"],
    rate: float = 0.1,
    block: int = 7,
    training: bool = True,
    per_channel: bool = False,
) -> Shaped[Tensor, "b c h w"]:
    """``x`` with about a share ``rate`` of each feature map dropped in squares of side ``block``.

    All channels lose the same squares, or each its own with ``per_channel``. A block larger than the map is
    cut to it. ``rate`` is in [0, 1), ``block`` 1 or more. Raises ``ValueError`` outside these ranges and for
    values that are not floating point.
    """
    _check(x, rate)
    if block < 1:
        raise ValueError(f"block is {block}; it must be 1 or more")
    if not training or rate == 0 or not x.numel():
        return x
    batch, channels, h, w = x.shape
    tall, wide = min(block, h), min(block, w)
    gamma = rate * h * w / (tall * wide * (h - tall + 1) * (w - wide + 1))
    # float32 also for half precision: what is kept is counted, and 16 bits cannot count to 70,000
    precise = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
    with torch.no_grad():
        shape = batch, channels if per_channel else 1, h, w
        seeds = torch.empty(shape, dtype=precise, device=x.device).bernoulli_(gamma)
        gone = F.max_pool2d(seeds, (tall, wide), stride=1, padding=(tall // 2, wide // 2))
        kept = 1 - gone[..., (tall + 1) % 2 :, (wide + 1) % 2 :]  # even sides leave one row, one column over
        kept *= kept.numel() / kept.sum().clamp(min=1)
    return x * kept.to(x.dtype)


class Dropout(nn.Module):
    """``dropout`` as a layer; ``rate`` in [0, 1)."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate, self.training)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class DropPath(nn.Module):
    """``drop_path`` as a layer, for the end of a residual branch: ``x + DropPath(rate)(branch(x))``."""

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.rate, self.training)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class DropBlock(nn.Module):
    """``drop_block`` as a layer, after a convolution."""

    def __init__(self, rate: float = 0.1, block: int = 7, per_channel: bool = False) -> None:
        super().__init__()
        _check_rate(rate)
        if block < 1:
            raise ValueError(f"block is {block}; it must be 1 or more")
        self.rate, self.block, self.per_channel = rate, block, per_channel

    def forward(self, x: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b c h w"]:
        return drop_block(x, self.rate, self.block, self.training, self.per_channel)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}, block={self.block}, per_channel={self.per_channel}"


def dropout_by_hand(x: Tensor, rate: float = 0.5, training: bool = True) -> Tensor:
    """Throw a coin for each value."""
    if not training or rate == 0:
        return x
    coins = torch.empty_like(x).bernoulli_(1 - rate)
    return torch.where(coins == 1, x / (1 - rate), 0.0)


def drop_path_by_hand(x: Tensor, rate: float = 0.1, training: bool = True) -> Tensor:
    """Throw a coin for each example."""
    if not training or rate == 0:
        return x
    coins = torch.empty(len(x), dtype=x.dtype).bernoulli_(1 - rate)
    return torch.stack([row / (1 - rate) if coin else row * 0 for row, coin in zip(x, coins, strict=True)])


def drop_block_by_hand(
    x: Tensor, rate: float = 0.1, block: int = 7, training: bool = True, per_channel: bool = False
) -> Tensor:
    """Visit every seed, and strike out the square around it."""
    if not training or rate == 0:
        return x
    batch, channels, h, w = x.shape
    tall, wide = min(block, h), min(block, w)
    positions = (h - tall + 1) * (w - wide + 1)
    seeds = torch.empty(batch, channels if per_channel else 1, h, w, dtype=x.dtype)
    seeds.bernoulli_(rate * h * w / (tall * wide) / positions)
    kept = torch.ones_like(seeds)
    for example, channel, row, column in seeds.nonzero().tolist():
        top, left = row - tall // 2, column - wide // 2
        kept[example, channel, max(top, 0) : top + tall, max(left, 0) : left + wide] = 0
    share = kept.mean()
    return x * kept / share if share > 0 else x * 0


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares, each from the same dice."""
    from fathom.fundamentals.twin import Twin

    def seeded(layer, *settings):
        def run(x: Tensor) -> Tensor:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(5)
                return layer(x, *settings)

        return run

    rows = torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(8, 3)
    maps = torch.linspace(-3, 3, 2 * 3 * 6 * 5, dtype=torch.float64).reshape(2, 3, 6, 5)
    yield Twin("dropout", seeded(dropout, 0.3), seeded(dropout_by_hand, 0.3), (rows,))
    yield Twin("drop path", seeded(drop_path, 0.4), seeded(drop_path_by_hand, 0.4), (rows,))
    for block, per_channel in ((3, False), (2, True)):
        settings = (0.3, block, True, per_channel)
        name = f"drop block of {block}, {'each channel its own' if per_channel else 'all channels alike'}"
        yield Twin(name, seeded(drop_block, *settings), seeded(drop_block_by_hand, *settings), (maps,))


def _check(x: Tensor, rate: float) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}; it must be floating point")
    _check_rate(rate)


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; it must be in [0, 1): at 1 nothing would be left")
