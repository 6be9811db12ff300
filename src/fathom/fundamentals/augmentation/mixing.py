"""Mixing pictures: two or four become one, and the targets are mixed in the same shares.

Mixup (Zhang et al. 2018, section 1) blends two pictures; CutMix (Yun et al. 2019, equations 1 and 2) pastes
a rectangle of one into the other, and the share of what is left to see is the weight. With l drawn from
Beta(a, a):

    mixup    x = l x1 + (1 - l) x2                     y = l y1 + (1 - l) y2
    CutMix   x = x1 outside, x2 inside a rectangle     y = l y1 + (1 - l) y2,    l = 1 - area / (h w)
             of h sqrt(1 - l) by w sqrt(1 - l) pixels around a random centre, cut off at the border

Mosaic (Bochkovskiy et al. 2020, section 3.3) puts four pictures around a point of a canvas of twice the size;
copy-paste (Ghiasi et al. 2021, section 3) puts the objects of one picture, cut out along their masks, on
another. Which pictures meet, and where, is given; so is l, by the quantiles of Beta (the function at the
end).

Axes used below
    b  pictures      c  channels      h, w  height and width      k  classes      n  objects of a picture
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Mixup, CutMix, Mosaic, Copy-Paste",
    paper="https://arxiv.org/abs/1710.09412",
    year=2017,
    summary="Makes one training picture of two or four, with targets in the same shares.",
    rows=("RN06",),
    differs=(
        "Copy-paste leaves an object that is covered whole an empty mask; the paper removes the object.",
    ),
    oracle="timm.data.Mixup: pictures and targets of both kinds; scipy.stats.beta; loops",
)

Share = float | Tensor  # one for all pictures, or (b,): one for each


def soft_targets(labels: Tensor, classes: int, *, smoothing: float = 0.0) -> Float[Tensor, "b k"]:
    """``labels`` (b,) as probabilities: 1 - smoothing on the label, smoothing / classes added to every class.

    Raises ``ValueError`` for labels that are not whole numbers in [0, classes), and smoothing outside [0, 1).
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels is {labels.dtype} of shape {tuple(labels.shape)}; give whole numbers, (b,)")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must be in [0, 1)")
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels go from {int(labels.min())} to {int(labels.max())}; classes is {classes}")
    even = torch.full((len(labels), classes), smoothing / classes, device=labels.device)
    return even.scatter_(1, labels.long()[:, None], 1 - smoothing + smoothing / classes)


def mix(first: Tensor, second: Tensor, weight: Share) -> Shaped[Tensor, "b *rest"]:
    """``weight`` times ``first`` plus the rest times ``second``, of one shape (b, ...).

    ``weight`` is in [0, 1], one or (b,). Whole numbers are rounded to the nearest. This is mixup, for
    pictures and for targets alike, and CutMix's rule for targets.
    """
    _check_pair(first, second)
    kind = first.dtype if first.is_floating_point() else torch.float32
    share = _shares(first, weight).to(first.device, kind)
    mixed = first.to(kind) * share + second.to(kind) * (1 - share)
    return mixed if first.is_floating_point() else mixed.round().to(first.dtype)


def cutmix_box(
    weight: Share, row: Int[Tensor, "b"], column: Int[Tensor, "b"], size: tuple[int, int]
) -> Int[Tensor, "b 4"]:
    """Top, left, bottom and right of the rectangles of pictures of ``size`` (h, w), cut off at the border.

    ``weight`` in [0, 1] is the share of the picture that should stay; (row, column) is the centre.
    """
    shares = torch.as_tensor(weight, dtype=torch.float64)
    if not bool(((shares >= 0) & (shares <= 1)).all()):
        raise ValueError(f"weight is {weight}; it must be in [0, 1]")
    edges: list[Tensor] = []
    for centre, length in ((row, size[0]), (column, size[1])):
        wide = (length * (1 - shares).sqrt()).long()
        low, high = centre - wide // 2, centre + (wide + 1) // 2
        edges.append(torch.stack([low, high], dim=1).clamp(0, length))
    (top, bottom), (left, right) = (e.unbind(1) for e in edges)
    return torch.stack([top, left, bottom, right], dim=1)


def cutmix(
    first: Tensor, second: Tensor, box: Int[Tensor, "b 4"]
) -> tuple[Shaped[Tensor, "b c h w"], Float[Tensor, "b"]]:
    """``first`` (b, c, h, w) with ``second`` inside ``box`` (top, left, bottom, right), and first's share.

    The share, float32, is what `mix` takes for the targets. Raises ``ValueError`` for a box that sticks out.
    """
    _check_pair(first, second)
    if first.ndim != 4 or box.shape != (len(first), 4):
        raise ValueError(
            f"first has shape {tuple(first.shape)} and box {tuple(box.shape)}; (b, c, h, w), (b, 4)"
        )
    h, w = first.shape[-2:]
    top, left, bottom, right = box.unbind(1)
    ordered = (0 <= top) & (top <= bottom) & (bottom <= h) & (0 <= left) & (left <= right) & (right <= w)
    if not bool(ordered.all()):
        raise ValueError(f"box holds a rectangle that is not inside a picture of {h} by {w}")
    rows, columns = (torch.arange(n, device=first.device) for n in (h, w))
    down = (rows >= top[:, None]) & (rows < bottom[:, None])
    across = (columns >= left[:, None]) & (columns < right[:, None])
    mixed = torch.where((down[:, :, None] & across[:, None, :])[:, None], second, first)
    return mixed, 1 - ((bottom - top) * (right - left)).float() / (h * w)


def mosaic(
    images: Tensor, row: Tensor, column: Tensor, *, fill: float | int = 0.0
) -> Shaped[Tensor, "b c h2 w2"]:
    """Four pictures (b, 4, c, h, w) around the point (row, column) of a canvas (b, c, 2 h, 2 w).

    In the order upper left, upper right, lower left, lower right; each touches the point with a corner, and
    what leaves the canvas is cut off. Raises ``ValueError`` for another shape and a point off the canvas.
    """
    if images.ndim != 5 or images.shape[1] != 4:
        raise ValueError(f"images has shape {tuple(images.shape)}; it must be (b, 4, c, h, w)")
    b, _, c, h, w = images.shape
    down, below, in_height = _around(row, h, "row", b)
    across, beside, in_width = _around(column, w, "column", b)
    picture = below[:, :, None] * 2 + beside[:, None, :]
    place = (picture * h + down[:, :, None]) * w + across[:, None, :]  # in (4, h, w), for each canvas pixel
    flat = images.transpose(1, 2).reshape(b, c, 4 * h * w)
    found = flat.gather(2, place.reshape(b, 1, -1).expand(-1, c, -1)).reshape(b, c, 2 * h, 2 * w)
    return found.masked_fill(~(in_height[:, :, None] & in_width[:, None, :])[:, None], fill)


def mosaic_boxes(
    boxes: Tensor, row: Tensor, column: Tensor, size: tuple[int, int]
) -> Float[Tensor, "b 4 n 4"]:
    """Boxes (b, 4, n, 4) of four pictures of ``size`` (h, w), moved to the canvas and cut off by its border.

    Each is left, top, right and bottom; one that left the canvas has no width or no height. ``row`` and
    ``column`` (b,) are those of `mosaic`. Raises ``ValueError`` for other shapes, whole-number boxes and a
    point off the canvas.
    """
    h, w = size
    if boxes.ndim != 4 or boxes.shape[1::2] != (4, 4) or not boxes.is_floating_point():
        kind = f"{boxes.dtype} of shape {tuple(boxes.shape)}"
        raise ValueError(f"boxes is {kind}; it must be floating-point, (b, 4, n, 4)")
    _check_point(row, h, "row", len(boxes))
    _check_point(column, w, "column", len(boxes))
    x, y = column.to(boxes.dtype), row.to(boxes.dtype)
    left, top = torch.stack([x - w, x, x - w, x], dim=1), torch.stack([y - h, y - h, y, y], dim=1)
    moved = boxes + torch.stack([left, top, left, top], dim=2)[:, :, None]
    return torch.minimum(moved.clamp(min=0), moved.new_tensor([2 * w, 2 * h, 2 * w, 2 * h]))


def copy_paste(
    images: Tensor, masks: Tensor, others: Tensor, pasted: Tensor
) -> tuple[Shaped[Tensor, "b c h w"], Bool[Tensor, "b n_and_m h w"]]:
    """``images`` (b, c, h, w) with the objects ``pasted`` of ``others`` on top, and the masks of all objects.

    Masks are bool, (b, n, h, w) and (b, m, h, w). Those of what was there lose what is covered now; an object
    that is covered whole has an empty mask.
    """
    _check_pair(images, others)
    for name, mask in (("masks", masks), ("pasted", pasted)):
        fits = mask.ndim == 4 and len(mask) == len(images) and mask.shape[2:] == images.shape[2:]
        if mask.dtype != torch.bool or not fits:
            raise ValueError(
                f"{name} is {mask.dtype} of shape {tuple(mask.shape)}; it must be bool and fit the images"
            )
    on_top = pasted.any(dim=1, keepdim=True)
    return torch.where(on_top, others, images), torch.cat([masks & ~on_top, pasted], dim=1)


def beta_quantile(numbers: Float[Tensor, "*s"], alpha: float) -> Float[Tensor, "*s"]:
    """The x in [0, 1] below which a Beta(alpha, alpha) number lies with probability ``numbers``; float64.

    Fed with uniform numbers this draws from Beta. ``alpha`` is in (0, 10].

    By symmetry x <= 1/2 will do. There B(x) = x^a / (a B(a, a)) sum_i (1 - a)_i a x^i / ((a + i) i!)
    converges fast (DLMF 8.17.7), and in t = x^a it is nearly a straight line, so Newton's steps all come from
    one side.
    """
    if not 0 < alpha <= 10:
        raise ValueError(f"alpha is {alpha}; it must be in (0, 10]")
    if not bool(((numbers >= 0) & (numbers <= 1)).all()):
        raise ValueError("numbers holds a number outside [0, 1]")
    low = torch.minimum(numbers.double(), 1 - numbers.double())
    scale = alpha * math.exp(2 * math.lgamma(alpha) - math.lgamma(2 * alpha))
    terms, factor = [1.0], 1.0
    for i in range(1, 60):
        factor *= (i - alpha) / i
        terms.append(factor * alpha / (alpha + i))
    end, target = 0.5**alpha, low * scale
    t = target.clamp(max=end)
    for _ in range(12):
        x = t ** (1 / alpha)
        series = torch.zeros_like(x)
        for term in reversed(terms):
            series = series * x + term
        t = (t - (t * series - target) / (1 - x) ** (alpha - 1)).clamp(0, end)
    x = t ** (1 / alpha)
    return torch.where(numbers.double() <= 0.5, x, 1 - x)


def mix_by_hand(first: Float[Tensor, "b *r"], second: Float[Tensor, "b *r"], weight: Tensor) -> Tensor:
    return torch.stack([p * a + (1 - p) * b for p, a, b in zip(weight, first, second, strict=True)])


def soft_targets_by_hand(labels: list[int], classes: int, smoothing: float) -> Float[Tensor, "b k"]:
    rows = [[(1 - smoothing) * (k == y) + smoothing / classes for k in range(classes)] for y in labels]
    return torch.tensor(rows)


def cutmix_by_hand(
    first: Float[Tensor, "b c h w"], second: Float[Tensor, "b c h w"], weight: float, row: int, column: int
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b"]]:
    """One rectangle for all pictures, pixel by pixel; the share is counted."""
    mixed = first.clone()
    h, w = first.shape[-2:]
    high, wide = int(h * math.sqrt(1 - weight)), int(w * math.sqrt(1 - weight))
    changed = 0
    for y in range(row - high // 2, row + (high + 1) // 2):
        for x in range(column - wide // 2, column + (wide + 1) // 2):
            if 0 <= y < h and 0 <= x < w:
                mixed[:, :, y, x] = second[:, :, y, x]
                changed += 1
    return mixed, torch.full((len(first),), 1 - changed / (h * w))


def mosaic_by_hand(
    images: Float[Tensor, "b 4 c h w"], row: list[int], column: list[int], fill: float
) -> Float[Tensor, "b c h2 w2"]:
    """Put each picture on the canvas, pixel by pixel."""
    b, _, c, h, w = images.shape
    canvas = images.new_full((b, c, 2 * h, 2 * w), fill)
    for n in range(b):
        corners = (
            (row[n] - h, column[n] - w),
            (row[n] - h, column[n]),
            (row[n], column[n] - w),
            (row[n], column[n]),
        )
        for picture, (top, left) in zip(images[n], corners, strict=True):
            for y, x in ((y, x) for y in range(h) for x in range(w)):
                if 0 <= top + y < 2 * h and 0 <= left + x < 2 * w:
                    canvas[n, :, top + y, left + x] = picture[:, y, x]
    return canvas


def copy_paste_by_hand(
    images: Float[Tensor, "b c h w"], masks: Tensor, others: Float[Tensor, "b c h w"], pasted: Tensor
) -> tuple[Tensor, Tensor]:
    """Pixel by pixel: is an object of the other picture here?"""
    made, left = images.clone(), masks.clone()
    b, _, h, w = images.shape
    for n, y, x in ((n, y, x) for n in range(b) for y in range(h) for x in range(w)):
        if any(mask[y, x] for mask in pasted[n]):
            made[n, :, y, x] = others[n, :, y, x]
            left[n, :, y, x] = False
    return made, torch.cat([left, pasted], dim=1)


def _check_pair(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.dtype != second.dtype or not first.ndim:
        raise ValueError(
            f"first is {first.dtype} of shape {tuple(first.shape)}, second {second.dtype} of "
            f"{tuple(second.shape)}; they must be alike"
        )


def _shares(values: Tensor, weight: Share) -> Float[Tensor, "b *ones"]:
    """One float64 for each row of ``values``, in [0, 1]."""
    shares = torch.as_tensor(weight, dtype=torch.float64)
    if shares.shape not in ((), values.shape[:1]):
        raise ValueError(f"weight has shape {tuple(shares.shape)}; give one number, or ({len(values)},)")
    if not bool(((shares >= 0) & (shares <= 1)).all()):
        raise ValueError(f"weight is {weight}; it must be in [0, 1]")
    return shares.expand(len(values)).reshape(-1, *[1] * (values.ndim - 1))


def _around(point: Tensor, size: int, name: str, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each canvas line: its line in the picture, whether it is after the point, and whether it exists."""
    _check_point(point, size, name, count)
    lines = torch.arange(2 * size, device=point.device)
    after = (lines >= point[:, None]).long()
    own = lines - point[:, None] + size * (1 - after)
    return own.clamp(0, size - 1), after, (own >= 0) & (own < size)


def _check_point(point: Tensor, size: int, name: str, count: int) -> None:
    if point.is_floating_point() or point.shape != (count,):
        raise ValueError(
            f"{name} is {point.dtype} of shape {tuple(point.shape)}; give whole numbers, ({count},)"
        )
    if bool(((point < 0) | (point > 2 * size)).any()):
        raise ValueError(f"{name} is {point.tolist()}; it must be in [0, {2 * size}]")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 3, 2, 5, 6, dtype=torch.float64, generator=dice)
    weight = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64)
    yield Twin(
        "mixup", lambda a, b: mix(a, b, weight), lambda a, b: mix_by_hand(a, b, weight), (first, second)
    )

    def cut(a: Tensor, b: Tensor, kept: float, row: int, column: int) -> tuple[Tensor, Tensor]:
        centre = torch.full((2, 3), row)
        return cutmix(a, b, cutmix_box(kept, centre[0], centre[0] * 0 + column, (5, 6)))

    yield Twin("CutMix", cut, cutmix_by_hand, (first, second, 0.4, 1, 4), tolerance=1e-7)  # float32 shares
    four = torch.rand(2, 4, 1, 2, 3, dtype=torch.float64, generator=dice)
    row, column = torch.tensor([1, 3]), torch.tensor([4, 0])
    yield Twin(
        "mosaic",
        lambda x: mosaic(x, row, column, fill=0.5),
        lambda x: mosaic_by_hand(x, row.tolist(), column.tolist(), 0.5),
        (four,),
    )
    masks, pasted = torch.rand(2, 3, 2, 5, 6, generator=dice) < 0.4
    yield Twin(
        "copy-paste",
        lambda a, b: copy_paste(a, masks, b, pasted),
        lambda a, b: copy_paste_by_hand(a, masks, b, pasted),
        (first, second),
    )
    yield Twin(
        "soft targets",
        lambda: soft_targets(torch.tensor([2, 0, 3]), 4, smoothing=0.1),
        lambda: soft_targets_by_hand([2, 0, 3], 4, 0.1),
        (),
        tolerance=1e-7,  # float32
        gradients=False,
    )
