"""Geometry of pictures: flips, crops and affine maps, for each picture of a batch its own.

Every such change is one map of the plane, p' = A p + t for points p = (x, y). A picture is moved by asking,
for each pixel of the result, where it came from, and reading the picture there: at the nearest pixel, or as a
mean of the four around it weighted by nearness (bilinear). With (u, v) between pixels (i, j) and (i + 1, j +
1):

    value = (1-a)(1-b) x[j, i] + a(1-b) x[j, i+1] + (1-a)b x[j+1, i] + ab x[j+1, i+1],    a = u - i, b = v - j

The matrix of an affine map is, from right to left: centre to the origin, shear, scale, turn, back and on:

    p' = c + d + s R(angle) Y(y) X(x) (p - c)      X = [1 -tan x; 0 1]    Y = [1 0; -tan y 1]

Boxes, points and masks go by the same matrix (geometry_of_labels). Coordinates are in pixels from the upper
left corner of the picture, so the centre of the first pixel is (0.5, 0.5). Whole moves need no interpolation:
a padded crop only looks up rows and columns.

Axes used below
    b  pictures      c  channels      h, w  height and width      *size  height and width of the result
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Geometric augmentation",
    paper="https://doi.org/10.1109/ICDAR.2003.1227801",
    year=2003,
    summary="Flips, crops, shifts, turns, scales and slants each picture of a batch by its own amount.",
    rows=("RN04",),
    differs=(
        "A fill colour is blended into border pixels by the share that lies outside; torchvision, given a "
        "colour, weighs the inside part twice there.",
    ),
    oracle="torchvision.transforms.v2.functional: flip, pad and crop, affine, rotate, at the same parameters",
)

Amount = float | int | Tensor  # one for all pictures, or (b,): one for each
PADDINGS = ("constant", "edge", "reflect")
INTERPOLATIONS = ("nearest", "bilinear")


def flip(
    images: Tensor, chosen: bool | Tensor = True, *, axis: str = "horizontal"
) -> Shaped[Tensor, "b c h w"]:
    """Mirror the pictures (b, c, h, w) that are ``chosen``, (b,) bool or one for all.

    ``horizontal`` swaps left and right, ``vertical`` top and bottom. Raises ``ValueError`` for another axis.
    """
    _check_images(images)
    if axis not in ("horizontal", "vertical"):
        raise ValueError(f"axis is {axis!r}; it must be 'horizontal' or 'vertical'")
    picked = torch.as_tensor(chosen, device=images.device)
    if picked.dtype != torch.bool or picked.shape not in ((), images.shape[:1]):
        raise ValueError(f"chosen is {picked.dtype} of shape {tuple(picked.shape)}; it must be bool, (b,)")
    mirrored = images.flip(-1 if axis == "horizontal" else -2)
    return torch.where(picked.expand(len(images))[:, None, None, None], mirrored, images)


def pad_crop(
    images: Tensor,
    top: int | Tensor,
    left: int | Tensor,
    *,
    padding: int = 0,
    size: tuple[int, int] | None = None,
    mode: str = "constant",
    fill: float | int = 0.0,
) -> Shaped[Tensor, "b c *size"]:
    """A window of ``size`` (that of the pictures) of the pictures (b, c, h, w) padded by ``padding`` pixels.

    ``top`` and ``left``, whole numbers (b,) or one for all, count from the corner of the padded picture.
    ``mode`` says what is around: "constant" (``fill``), "edge" (the border on and on) or "reflect" (the
    picture mirrored at the centre of its border pixels). Raises ``ValueError`` for a window that leaves the
    padded picture.
    """
    _check_images(images)
    h, w = images.shape[-2:]
    height, width = size or (h, w)
    if mode not in PADDINGS:
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(PADDINGS)}")
    if padding < 0 or (mode == "reflect" and padding >= min(h, w)):
        raise ValueError(f"padding is {padding}; it must be 0 or more, and for 'reflect' below {min(h, w)}")
    rows = _window(images, "top", top, height, h + 2 * padding)  # b height
    columns = _window(images, "left", left, width, w + 2 * padding)  # b width
    if mode == "constant":
        images = F.pad(images, (padding,) * 4, value=fill)
    else:
        rows, columns = (_inside(at - padding, n, mode) for at, n in ((rows, h), (columns, w)))
    wide = images.shape[-1]
    place = (rows[:, :, None] * wide + columns[:, None, :]).reshape(len(images), 1, height * width)
    found = images.flatten(2).gather(2, place.expand(-1, images.shape[1], -1))
    return found.reshape(*images.shape[:2], height, width)


def shift(
    images: Tensor, down: int | Tensor, right: int | Tensor, *, fill: float | int = 0.0
) -> Shaped[Tensor, "b c h w"]:
    """Move pictures (b, c, h, w) by whole pixels, (b,) or one for all; what comes in is ``fill``."""
    _check_images(images)
    h, w = images.shape[-2:]
    down, right = (torch.as_tensor(v, device=images.device) for v in (down, right))
    padding = int(max(down.abs().max(), right.abs().max())) if down.numel() and right.numel() else 0
    return pad_crop(images, padding - down, padding - right, padding=padding, size=(h, w), fill=fill)


def affine_matrix(
    count: int,
    size: tuple[int, int],
    *,
    angle: Amount = 0.0,
    translate: tuple[Amount, Amount] = (0.0, 0.0),
    scale: Amount = 1.0,
    shear: tuple[Amount, Amount] = (0.0, 0.0),
    centre: tuple[float | int, float | int] | None = None,
) -> Float[Tensor, "count 2 3"]:
    """``count`` maps [A t] in the head of this file, float64, for pictures of ``size`` (h, w).

    ``angle`` (clockwise) and ``shear`` (x, y) are in degrees, ``translate`` (x, y) and ``centre`` (x, y; that
    of the picture) in pixels; each a number or (count,). Raises ``ValueError`` for a scale not positive, a
    shear of 90 degrees, numbers not finite, a negative count and a size below 1.
    """
    if count < 0 or min(size) < 1:
        raise ValueError(f"count is {count} and size is {tuple(size)}; they must be at least 0 and (1, 1)")
    turn, slant_x, slant_y = (
        torch.deg2rad(_each(count, name, value))
        for name, value in (("angle", angle), ("shear", shear[0]), ("shear", shear[1]))
    )
    for slant in (slant_x, slant_y):
        if bool((slant.cos().abs() < 1e-6).any()):
            raise ValueError("shear holds 90 degrees, which flattens the picture; keep it within (-90, 90)")
    factor = _each(count, "scale", scale)
    if not bool((factor > 0).all()):
        raise ValueError(f"scale is {float(factor.min())}; it must be positive")
    one, zero = torch.ones_like(turn), torch.zeros_like(turn)
    rotation = _two_by_two(turn.cos(), -turn.sin(), turn.sin(), turn.cos())
    down = _two_by_two(one, zero, -slant_y.tan(), one)
    along = _two_by_two(one, -slant_x.tan(), zero, one)
    linear = factor[:, None, None] * rotation @ down @ along
    c = torch.tensor(centre or (size[1] / 2, size[0] / 2), dtype=torch.float64)
    move = torch.stack([_each(count, "translate", t) for t in translate], dim=1)
    return torch.cat([linear, (c + move - linear @ c)[:, :, None]], dim=2)


def invert(matrix: Tensor) -> Float[Tensor, "b 2 3"]:
    """The map back, p = A^-1 (p' - t), of (b, 2, 3). Raises ``ValueError`` where a map flattens the plane."""
    if matrix.ndim != 3 or matrix.shape[1:] != (2, 3):
        raise ValueError(f"matrix has shape {tuple(matrix.shape)}; it must be (b, 2, 3)")
    a, b, c, d = matrix[:, :, :2].flatten(1).unbind(1)
    determinant = a * d - b * c
    if not bool(((determinant != 0) & determinant.isfinite()).all()):
        raise ValueError("matrix holds a map whose determinant is 0 or not finite: it cannot be undone")
    back = _two_by_two(d, -b, -c, a) / determinant[:, None, None]
    return torch.cat([back, -back @ matrix[:, :, 2:]], dim=2)


def warp(
    images: Tensor,
    matrix: Tensor,
    *,
    interpolation: str = "bilinear",
    fill: float | int | Sequence[float] = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """Pictures (b, c, h, w) moved by ``matrix`` (b, 2, 3), where their points go; outside is ``fill``.

    ``fill`` is a number or one for each channel. Bilinear values of whole-number pictures are rounded.
    """
    _check_images(images)
    if matrix.shape != (len(images), 2, 3):
        raise ValueError(f"matrix has shape {tuple(matrix.shape)}; it must be ({len(images)}, 2, 3)")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is {interpolation!r}; it must be 'nearest' or 'bilinear'")
    colour = torch.as_tensor(fill, dtype=torch.float64).reshape(-1)
    if len(colour) not in (1, images.shape[1]):
        raise ValueError(
            f"fill holds {len(colour)} numbers; give 1, or one for each of {images.shape[1]} channels"
        )
    if not images.numel():
        return images.clone()
    kind = images.dtype if images.is_floating_point() else torch.float32
    grid = _sources(matrix, images.shape[-2:], kind).to(images.device)
    source, plain = images.to(kind), not bool(colour.any())
    if not plain:  # one channel more tells how much of a pixel lies inside
        source = torch.cat([source, source.new_ones(len(source), 1, *source.shape[2:])], dim=1)
    moved = F.grid_sample(source, grid, mode=interpolation, padding_mode="zeros", align_corners=False)
    if not plain:
        moved, inside = moved[:, :-1], moved[:, -1:]
        moved = moved + (1 - inside) * colour.to(images.device, kind)[:, None, None]
    return moved if images.is_floating_point() else moved.round().to(images.dtype)


def affine(
    images: Tensor,
    *,
    angle: Amount = 0.0,
    translate: tuple[Amount, Amount] = (0.0, 0.0),
    scale: Amount = 1.0,
    shear: tuple[Amount, Amount] = (0.0, 0.0),
    centre: tuple[float | int, float | int] | None = None,
    interpolation: str = "nearest",
    fill: float | int | Sequence[float] = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """`warp` of the pictures (b, c, h, w) by `affine_matrix` of the same names: angles turn clockwise."""
    _check_images(images)
    h, w = images.shape[-2:]
    matrix = affine_matrix(
        len(images), (h, w), angle=angle, translate=translate, scale=scale, shear=shear, centre=centre
    )
    return warp(images, matrix, interpolation=interpolation, fill=fill)


def rotate(
    images: Tensor,
    angle: Amount,
    *,
    centre: tuple[float | int, float | int] | None = None,
    interpolation: str = "nearest",
    fill: float | int | Sequence[float] = 0.0,
) -> Shaped[Tensor, "b c h w"]:
    """Pictures (b, c, h, w) turned by ``angle`` degrees, counter-clockwise as in geometry."""
    return affine(images, angle=-angle, centre=centre, interpolation=interpolation, fill=fill)


def flip_by_hand(images: Shaped[Tensor, "b c h w"], chosen: Tensor) -> Shaped[Tensor, "b c h w"]:
    """Column by column, from the other side."""
    width, pictures = images.shape[-1], []
    for picture, mirrored in zip(images, chosen, strict=True):
        columns = range(width - 1, -1, -1) if mirrored else range(width)
        pictures.append(torch.stack([picture[:, :, x] for x in columns], dim=2))
    return torch.stack(pictures)


def pad_crop_by_hand(
    images: Shaped[Tensor, "b c h w"], top: Tensor, left: Tensor, padding: int, fill: float | int = 0.0
) -> Shaped[Tensor, "b c h w"]:
    """Put each picture in the middle of a larger one, and cut."""
    b, c, h, w = images.shape
    pictures = []
    for picture, y, x in zip(images, top.tolist(), left.tolist(), strict=True):
        canvas = images.new_full((c, h + 2 * padding, w + 2 * padding), fill)
        canvas[:, padding : padding + h, padding : padding + w] = picture
        pictures.append(canvas[:, y : y + h, x : x + w])
    return torch.stack(pictures) if b else images


def warp_by_hand(
    images: Float[Tensor, "b c h w"],
    matrix: Float[Tensor, "b 2 3"],
    interpolation: str = "bilinear",
    fill: float | int = 0.0,
) -> Float[Tensor, "b c h w"]:
    """Pixel by pixel: where did it come from, and what is there?"""
    moved = torch.empty_like(images)
    h, w = images.shape[-2:]
    for n, picture in enumerate(images):
        (a, b, t), (c, d, s) = matrix[n].tolist()
        for y in range(h):
            for x in range(w):
                px, py = x + 0.5 - t, y + 0.5 - s
                u = (d * px - b * py) / (a * d - b * c) - 0.5
                v = (a * py - c * px) / (a * d - b * c) - 0.5
                i, j = math.floor(u), math.floor(v)
                if interpolation == "nearest":
                    parts = [(1.0, round(u), round(v))]
                else:
                    near_x, near_y = ((1 - u + i, i), (u - i, i + 1)), ((1 - v + j, j), (v - j, j + 1))
                    parts = [(p * q, column, row) for p, column in near_x for q, row in near_y]
                moved[n, :, y, x] = sum(
                    share * (picture[:, row, column] if 0 <= row < h and 0 <= column < w else fill)
                    for share, column, row in parts
                )
    return moved


def _check_images(images: Tensor) -> None:
    if images.ndim != 4:
        raise ValueError(
            f"images has shape {tuple(images.shape)}; it must be (batch, channels, height, width)"
        )


def _each(count: int, name: str, value: Amount) -> Float[Tensor, "count"]:
    """One float64 for each of ``count`` pictures."""
    values = torch.as_tensor(value, dtype=torch.float64)
    if values.shape not in ((), (count,)):
        raise ValueError(f"{name} has shape {tuple(values.shape)}; give one number, or ({count},)")
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name} holds a number that is not finite")
    return values.expand(count)


def _window(images: Tensor, name: str, start: int | Tensor, length: int, whole: int) -> Tensor:
    """Places ``start`` to ``start + length`` for each picture, of ``whole`` that there are."""
    first = torch.as_tensor(start, device=images.device)
    if first.is_floating_point() or first.shape not in ((), images.shape[:1]):
        raise ValueError(f"{name} is {first.dtype} of shape {tuple(first.shape)}; give whole numbers, (b,)")
    if length < 1 or (first.numel() and not 0 <= int(first.min()) <= int(first.max()) <= whole - length):
        raise ValueError(
            f"{name} is {start}; a window of {length} of {whole} starts in [0, {whole - length}]"
        )
    return first.expand(len(images))[:, None] + torch.arange(length, device=images.device)


def _inside(at: Tensor, size: int, mode: str) -> Tensor:
    """The place that stands for ``at``, which may lie outside of 0 to ``size - 1``."""
    if mode == "edge":
        return at.clamp(0, size - 1)
    return (size - 1) - ((size - 1) - at.abs()).abs()


def _two_by_two(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack([a, b, c, d], dim=1).reshape(-1, 2, 2)


def _sources(matrix: Tensor, size: Sequence[int], kind: torch.dtype) -> Float[Tensor, "b h w 2"]:
    """Where each pixel came from, as grid_sample counts: -1 and 1 are the borders of the picture."""
    h, w = size
    back = invert(matrix.to(torch.float64))
    half = torch.tensor([w / 2, h / 2], dtype=torch.float64, device=matrix.device)
    # Seen from the centre, where numbers are small and symmetric. From here on in the pictures' own
    # precision: which of two pixels at the same distance is the nearest then falls out as in torchvision.
    offset = back[:, :, :2] @ half + back[:, :, 2] - half
    linear, offset, half = back[:, :, :2].to(kind), offset.to(kind), half.to(kind)
    linear, offset = linear / half[:, None], offset / half
    x = torch.arange(w, dtype=kind, device=matrix.device) - (w - 1) / 2
    y = torch.arange(h, dtype=kind, device=matrix.device) - (h - 1) / 2
    across = x[:, None] * linear[:, None, None, :, 0]  # b 1 w 2
    down = y[:, None, None] * linear[:, None, None, :, 1]  # b h 1 2
    return across + down + offset[:, None, None]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    images = torch.rand(3, 2, 4, 5, dtype=torch.float64, generator=dice)
    chosen = torch.tensor([True, False, True])
    yield Twin("flip", lambda x: flip(x, chosen), lambda x: flip_by_hand(x, chosen), (images,))
    top, left = torch.tensor([0, 4, 1]), torch.tensor([3, 2, 0])
    yield Twin(
        "pad and crop",
        lambda x: pad_crop(x, top, left, padding=2, fill=0.5),
        lambda x: pad_crop_by_hand(x, top, left, 2, fill=0.5),
        (images,),
    )
    matrix = affine_matrix(
        3, (4, 5), angle=torch.tensor([20.0, -75.0, 0.0]), translate=(0.3, -1.1), scale=1.2, shear=(10.0, 5.0)
    )
    for kind in INTERPOLATIONS:
        for fill in (0.0, 0.7):
            yield Twin(
                f"affine, {kind}, fill {fill}",
                lambda x, kind=kind, fill=fill: warp(x, matrix, interpolation=kind, fill=fill),
                lambda x, kind=kind, fill=fill: warp_by_hand(x, matrix, kind, fill),
                (images,),
            )
