"""Erasing: a rectangle of each picture is covered, so that no single part of it can be relied on.

Cutout (DeVries and Taylor 2017) covers a square around a random centre, which may stick out over the border.
Random erasing (Zhong et al. 2017, algorithm 1) draws the share of the area and the ratio of height to width,
and keeps the rectangle inside:

    height = round(sqrt(share h w ratio))      width = round(sqrt(share h w / ratio))

Where is drawn by the caller: with numbers u in [0, 1), an edge of length n has its first pixel at
floor(u (h - n + 1)). The numbers of this file are explicit; the draws belong to whoever knows the sample.

Axes used below
    b  pictures      c  channels      h, w  height and width
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Cutout and random erasing",
    paper="https://arxiv.org/abs/1708.04896",
    year=2017,
    summary="Covers a random rectangle of each picture, so that the network must look at all of it.",
    rows=("RN04",),
    oracle="torchvision.transforms.v2.functional.erase and RandomErasing at the same draws; a loop",
)

Whole = int | Tensor  # one for all pictures, or (b,): one for each


def erase(
    images: Tensor, top: Whole, left: Whole, height: Whole, width: Whole, *, value: float | int | Tensor = 0.0
) -> Shaped[Tensor, "b c h w"]:
    """Pictures (b, c, h, w) with a rectangle of each covered by ``value``.

    The rectangle is in whole pixels, one for all or (b,); it may stick out, and a height or width of 0 covers
    nothing. ``value`` is a number, (c,) for each channel, or pictures of the shape of ``images`` to show
    through.
    """
    inside = _rectangles(images, top, left, height, width)
    if not isinstance(value, Tensor):
        return images.masked_fill(inside, value)
    if value.shape == images.shape[1:2]:
        value = value[:, None, None]
    elif value.shape != images.shape:
        raise ValueError(f"value has shape {tuple(value.shape)}; give a number, (c,), or the shape of images")
    return torch.where(inside, value.to(images.device, images.dtype), images)


def cutout(
    images: Tensor, row: Whole, column: Whole, *, size: int, value: float | int | Tensor = 0.0
) -> Shaped[Tensor, "b c h w"]:
    """Pictures (b, c, h, w) with a square of ``size`` pixels around (row, column) covered by ``value``."""
    if size < 0:
        raise ValueError(f"size is {size}; it must be 0 or more")
    return erase(images, row - size // 2, column - size // 2, size, size, value=value)


def erasing_rectangle(
    share: Float[Tensor, "..."], ratio: Float[Tensor, "..."], size: tuple[int, int]
) -> tuple[Int[Tensor, "..."], Int[Tensor, "..."]]:
    """Height and width of a rectangle of ``share`` of the area of a picture of ``size`` (h, w).

    ``ratio`` is height by width. Raises ``ValueError`` for a share outside [0, 1] or a ratio not positive.
    """
    if not bool(((share >= 0) & (share <= 1)).all()):
        raise ValueError("share holds a number outside [0, 1]")
    if not bool(((ratio > 0) & ratio.isfinite()).all()):
        raise ValueError("ratio holds a number that is not positive and finite")
    area = share.double() * (size[0] * size[1])
    return (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()


def first_that_fits(
    height: Int[Tensor, "b tries"], width: Int[Tensor, "b tries"], size: tuple[int, int]
) -> tuple[Int[Tensor, "b"], Int[Tensor, "b"]]:
    """Of several rectangles for each picture the first that is smaller than it both ways; else (0, 0)."""
    fits = (height < size[0]) & (width < size[1])
    first = fits.long().argmax(dim=1, keepdim=True)
    kept = fits.gather(1, first).long()
    return (height.gather(1, first) * kept)[:, 0], (width.gather(1, first) * kept)[:, 0]


def erase_by_hand(
    images: Shaped[Tensor, "b c h w"], top: Tensor, left: Tensor, height: Tensor, width: Tensor, value: float
) -> Shaped[Tensor, "b c h w"]:
    """Picture by picture, pixel by pixel."""
    erased = images.clone()
    h, w = images.shape[-2:]
    for n, (y, x, high, wide) in enumerate(torch.stack([top, left, height, width], dim=1).tolist()):
        for row in range(max(0, y), min(h, y + high)):
            for column in range(max(0, x), min(w, x + wide)):
                erased[n, :, row, column] = value
    return erased


def cutout_by_hand(
    images: Shaped[Tensor, "b c h w"], row: Tensor, column: Tensor, size: int, value: float
) -> Shaped[Tensor, "b c h w"]:
    square = torch.full_like(row, size)
    return erase_by_hand(images, row - size // 2, column - size // 2, square, square, value)


def erasing_rectangle_by_hand(share: Tensor, ratio: Tensor, size: tuple[int, int]) -> list[list[int]]:
    pairs = list(zip(share.tolist(), ratio.tolist(), strict=True))
    heights = [round((s * size[0] * size[1] * r) ** 0.5) for s, r in pairs]
    return [heights, [round((s * size[0] * size[1] / r) ** 0.5) for s, r in pairs]]


def _rectangles(
    images: Tensor, top: Whole, left: Whole, height: Whole, width: Whole
) -> Bool[Tensor, "b 1 h w"]:
    """True inside each picture's rectangle."""
    if images.ndim != 4:
        raise ValueError(
            f"images has shape {tuple(images.shape)}; it must be (batch, channels, height, width)"
        )
    edges = {"top": top, "left": left, "height": height, "width": width}
    at: dict[str, Tensor] = {}
    for name, value in edges.items():
        whole = torch.as_tensor(value, device=images.device)
        if whole.is_floating_point() or whole.shape not in ((), images.shape[:1]):
            raise ValueError(
                f"{name} is {whole.dtype} of shape {tuple(whole.shape)}; give whole numbers, (b,)"
            )
        if name in ("height", "width") and bool((whole < 0).any()):
            raise ValueError(f"{name} is {value}; it must be 0 or more")
        at[name] = whole.expand(len(images))[:, None]
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    down = (rows >= at["top"]) & (rows < at["top"] + at["height"])
    across = (columns >= at["left"]) & (columns < at["left"] + at["width"])
    return (down[:, :, None] & across[:, None, :])[:, None]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    images = torch.rand(3, 2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    box = (
        torch.tensor([0, -1, 3]),
        torch.tensor([1, 2, 3]),
        torch.tensor([2, 3, 5]),
        torch.tensor([3, 0, 1]),
    )
    yield Twin("erase", lambda x: erase(x, *box, value=0.3), lambda x: erase_by_hand(x, *box, 0.3), (images,))
    row, column = torch.tensor([0, 2, 4]), torch.tensor([3, 1, 0])
    yield Twin(
        "cutout",
        lambda x: cutout(x, row, column, size=3, value=0.3),
        lambda x: cutout_by_hand(x, row, column, 3, 0.3),
        (images,),
    )
    share, ratio = torch.linspace(0.02, 0.33, 9), torch.linspace(0.3, 3.3, 9)
    yield Twin(
        "rectangle",
        lambda: erasing_rectangle(share, ratio, (32, 40)),
        lambda: [torch.tensor(v) for v in erasing_rectangle_by_hand(share, ratio, (32, 40))],
        (),
        gradients=False,
    )
