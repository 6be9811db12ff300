"""Colour of pictures: light, contrast, saturation, hue and levels, for each picture of a batch its own.

Most of these blend a picture with a poorer version of itself (Haeberli and Voorhies 1994): f = 1 keeps it, 0
gives the poorer one, and above 1 the difference is overdone. Results are cut off at black and white.

    y = f x + (1 - f) p        brightness: p = 0        contrast: p = mean of grey(x)
                               saturation: p = grey(x)  sharpness: p = x blurred, [1 1 1; 1 5 1; 1 1 1] / 13
    grey(x) = 0.2989 R + 0.587 G + 0.114 B                                                   (ITU-R BT.601)

Hue turns the colour circle. With top and bottom the largest and smallest of a pixel's R, G, B, and its hue H
in sixths of the circle (0 red, 2 green, 4 blue), a channel that sits at C falls with its distance from H:

    value_C = top - (top - bottom) clip(distance(H, C) - 1, 0, 1)                            (Smith 1978, HSV)

Levels: posterize keeps the highest bits, solarize inverts what is bright, autocontrast stretches each channel
to reach black and white, and equalize makes all levels equally frequent. Pictures are uint8 from 0 to 255, or
floating from 0 to 1; whole numbers are rounded down after each change, as everywhere in the field.

Axes used below
    b  pictures      c  channels: 1 grey, or 3 red, green and blue      h, w  height and width
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Colour augmentation",
    paper="https://arxiv.org/abs/1805.09501",
    year=2018,
    summary="Changes the light, contrast, colours and levels of each picture of a batch by its own amount.",
    rows=("RN04",),
    differs=(
        "Hue is one formula instead of a table of six cases; single levels may round to the other side.",
    ),
    oracle="torchvision.transforms.v2.functional, every operation at the same amounts, uint8 and floating",
)

Amount = float | int | Tensor  # one for all pictures, or (b,): one for each
GREY = (0.2989, 0.587, 0.114)


def grey(images: Tensor) -> Shaped[Tensor, "b 1 h w"]:
    """Lightness of pictures (b, c, h, w) as the eye weighs red, green and blue."""
    _white(images)
    return _lightness(images).to(images.dtype)


def brightness(images: Tensor, factor: Amount) -> Shaped[Tensor, "b c h w"]:
    """Pictures (b, c, h, w) times ``factor``, 0 or more: 0 is black, 1 changes nothing."""
    white = _white(images)
    amount = _each(images, "factor", factor, 0)
    return (_real(images) * amount.to(images.device, _kind(images))).clamp(0, white).to(images.dtype)


def contrast(images: Tensor, factor: Amount) -> Shaped[Tensor, "b c h w"]:
    """Distance of pictures (b, c, h, w) from their mean lightness, times ``factor``, 0 or more."""
    light = _lightness(images)
    # Added up in float64: exact for whole numbers, so that it cannot depend on the order or on the batch.
    mean = light.mean((1, 2, 3), keepdim=True, dtype=torch.float64).to(light.dtype)
    return _blend(images, mean, factor)


def saturation(images: Tensor, factor: Amount) -> Shaped[Tensor, "b c h w"]:
    """Distance of each pixel of (b, c, h, w) from its grey, times ``factor``, 0 or more. Grey stays."""
    light = _lightness(images)
    _each(images, "factor", factor, 0)
    return images.clone() if images.shape[1] == 1 else _blend(images, light, factor)


def sharpness(images: Tensor, factor: Amount) -> Shaped[Tensor, "b c h w"]:
    """Distance of each inner pixel of (b, c, h, w) from its neighbourhood, times ``factor``, 0 or more."""
    white, amount = _white(images), _each(images, "factor", factor, 0)
    if min(images.shape[-2:]) <= 2:
        return images.clone()
    whole = _real(images)
    rows = whole[:, :, :-2] + whole[:, :, 1:-1] + whole[:, :, 2:]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    middle = whole[:, :, 1:-1, 1:-1]
    blurred = (box + 4 * middle) / 13
    if not images.is_floating_point():
        blurred = blurred.round()
    poorer = (1 - amount).to(images.device, whole.dtype)
    result = whole.clone()
    result[:, :, 1:-1, 1:-1] = torch.addcmul(middle, blurred - middle, poorer)
    return result.clamp(0, white).to(images.dtype)


def hue(images: Tensor, turn: Amount) -> Shaped[Tensor, "b c h w"]:
    """Turn the colours of (b, c, h, w) by ``turn`` of the circle, in [-0.5, 0.5]. Grey stays as it is."""
    white, turns = _white(images), _each(images, "turn", turn, -0.5, 0.5)
    if images.shape[1] == 1:
        return images.clone()
    x = _real(images) * (1 / white)
    red, green, blue = x.unbind(1)
    top, bottom = x.amax(1), x.amin(1)
    span = top - bottom
    safe = torch.where(span == 0, 1, span)
    sixths = torch.where(
        top == red,
        (green - blue) / safe,
        torch.where(top == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    circle = sixths / 6 + turns[:, 0].to(images.device, x.dtype)
    circle = (circle - circle.floor()) * 6
    places = torch.tensor([0.0, 2.0, 4.0], device=images.device, dtype=x.dtype)[:, None, None]
    distance = 3 - (3 - (circle[:, None] - places).abs()).abs()  # the shorter way round
    turned = top[:, None] - span[:, None] * (distance - 1).clamp(0, 1)
    # 255.999 instead of 255: rounding down then reaches white from a hair below it.
    return turned if images.is_floating_point() else (turned * (white + 1 - 1e-3)).to(images.dtype)


def invert_colours(images: Tensor) -> Shaped[Tensor, "b c h w"]:
    """The negative of (b, c, h, w)."""
    white = _white(images, grey_or_colour=False)
    return white - images if images.is_floating_point() else images.bitwise_not()


def solarize(images: Tensor, threshold: Amount) -> Shaped[Tensor, "b c h w"]:
    """The negative where (b, c, h, w) is at least ``threshold``, which is in the pictures' own unit."""
    white = _white(images, grey_or_colour=False)
    limit = _each(images, "threshold", threshold, 0, white).to(images.device, _kind(images))
    return torch.where(images >= limit, invert_colours(images), images)


def posterize(images: Tensor, bits: int | Tensor) -> Shaped[Tensor, "b c h w"]:
    """Only 2^``bits`` levels of (b, c, h, w), 0 to 8 bits: lower bits become 0, floats are rounded down."""
    _white(images, grey_or_colour=False)
    count = _each(images, "bits", bits, 0, 8)
    if bool((count != count.round()).any()):
        raise ValueError(f"bits is {bits}; it must hold whole numbers from 0 to 8")
    count = count.to(images.device, torch.int64)
    if images.is_floating_point():
        levels = (2**count).to(images.dtype)
        return torch.minimum((images * levels).floor().clamp(min=0), levels - 1) * (1 / levels)
    return images & (256 - 2 ** (8 - count)).to(images.dtype)


def autocontrast(images: Tensor) -> Shaped[Tensor, "b c h w"]:
    """Stretch each channel of (b, c, h, w) so that its darkest is black and its lightest white."""
    white, x = _white(images), _real(images)
    if not images.numel():
        return images.clone()
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = low == high
    scale = torch.where(flat, 1, (high - low) * (1 / white))
    return ((x - torch.where(flat, 0, low)) / scale).clamp(0, white).to(images.dtype)


def equalize(images: Tensor) -> Shaped[Tensor, "b c h w"]:
    """Make all of the 256 levels of each channel of (b, c, h, w) equally frequent, as far as that goes.

    With n_k pixels of level k, step = (n - n_last) // 255 where last is the highest level that occurs, level
    k becomes (n_0 + ... + n_(k-1) + step // 2) // step, at most 255 (Pillow's rule). A step of 0 changes
    nothing.
    """
    _white(images, grey_or_colour=False)
    b, c, h, w = images.shape
    if not images.numel():
        return images.clone()
    whole = images if images.dtype == torch.uint8 else (images * (256 - 1e-3)).to(torch.uint8)
    levels = whole.flatten(2).long()
    counts = levels.new_zeros(b, c, 256).scatter_add_(2, levels, torch.ones_like(levels))
    last = counts.gather(2, levels.amax(2, keepdim=True))
    step = (h * w - last) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    made = torch.where(step > 0, table.gather(2, levels), levels).reshape(images.shape).to(torch.uint8)
    return made if images.dtype == torch.uint8 else made.to(images.dtype) * (1 / 255)


def blend_by_hand(
    images: Float[Tensor, "b c h w"], poorer: Float[Tensor, "b c h w"], factor: Tensor
) -> Float[Tensor, "b c h w"]:
    """The first equation in the head of this file, for pictures from 0 to 1."""
    mixed = [f * x + (1 - f) * p for f, x, p in zip(factor, images, poorer, strict=True)]
    return torch.stack(mixed).clamp(0, 1)


def grey_by_hand(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    light = [0.2989 * red + 0.587 * green + 0.114 * blue for red, green, blue in images]
    return torch.stack([torch.stack([one, one, one]) for one in light])


def brightness_by_hand(images: Float[Tensor, "b c h w"], factor: Tensor) -> Float[Tensor, "b c h w"]:
    return blend_by_hand(images, torch.zeros_like(images), factor)


def contrast_by_hand(images: Float[Tensor, "b c h w"], factor: Tensor) -> Float[Tensor, "b c h w"]:
    even = [torch.ones_like(one) * one.sum() / one.numel() for one in grey_by_hand(images)]
    return blend_by_hand(images, torch.stack(even), factor)


def saturation_by_hand(images: Float[Tensor, "b c h w"], factor: Tensor) -> Float[Tensor, "b c h w"]:
    return blend_by_hand(images, grey_by_hand(images), factor)


def sharpness_by_hand(images: Float[Tensor, "b c h w"], factor: Tensor) -> Float[Tensor, "b c h w"]:
    """Pixel by pixel; the border has no full neighbourhood and stays."""
    blurred = images.clone()
    for y in range(1, images.shape[2] - 1):
        for x in range(1, images.shape[3] - 1):
            around = images[:, :, y - 1 : y + 2, x - 1 : x + 2].sum((2, 3))
            blurred[:, :, y, x] = (around + 4 * images[:, :, y, x]) / 13
    return blend_by_hand(images, blurred, factor)


def hue_by_hand(images: Float[Tensor, "b 3 h w"], turn: Tensor) -> Float[Tensor, "b 3 h w"]:
    """Pixel by pixel: to hue, saturation and value, on by ``turn``, and back by the table of six cases."""
    turned = torch.empty_like(images)
    b, _, h, w = images.shape
    for n, y, x in ((n, y, x) for n in range(b) for y in range(h) for x in range(w)):
        red, green, blue = images[n, :, y, x]
        value, least = max(red, green, blue), min(red, green, blue)
        if value == least:
            turned[n, :, y, x] = images[n, :, y, x]
            continue
        span = value - least
        if value == red:
            sixths = (green - blue) / span
        elif value == green:
            sixths = 2 + (blue - red) / span
        else:
            sixths = 4 + (red - green) / span
        sixths = (sixths + 6 * turn[n]) % 6
        case, part, full = int(sixths), sixths % 1, span / value
        p, q, t = value * (1 - full), value * (1 - full * part), value * (1 - full * (1 - part))
        table = ((value, t, p), (q, value, p), (p, value, t), (p, q, value), (t, p, value), (value, p, q))
        turned[n, :, y, x] = torch.stack(table[case])
    return turned


def invert_colours_by_hand(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return torch.ones_like(images) - images


def solarize_by_hand(images: Float[Tensor, "b c h w"], threshold: float) -> Float[Tensor, "b c h w"]:
    pixels = [1 - v if v >= threshold else v for v in images.flatten()]
    return torch.stack(pixels).reshape(images.shape)


def posterize_by_hand(images: Float[Tensor, "b c h w"], bits: int) -> Float[Tensor, "b c h w"]:
    """The level below, of 2^bits that are equally far apart."""
    levels = [min(int(v * 2**bits), 2**bits - 1) / 2**bits for v in images.flatten()]
    return images.new_tensor(levels).reshape(images.shape)


def autocontrast_by_hand(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    channels = []
    for channel in images.flatten(0, 1):
        low, high = channel.min(), channel.max()
        channels.append(channel if low == high else (channel - low) / (high - low))
    return torch.stack(channels).reshape(images.shape)


def equalize_by_hand(images: Shaped[Tensor, "b c h w"]) -> Shaped[Tensor, "b c h w"]:
    """Channel by channel, with a table of what each level becomes."""
    channels = []
    for channel in images.flatten(0, 1):
        pixels = channel.flatten().tolist()
        step = (len(pixels) - pixels.count(max(pixels))) // 255
        table = list(range(256))
        if step:
            table = [min(255, (sum(p < k for p in pixels) + step // 2) // step) for k in range(256)]
        channels.append(channel.new_tensor([table[p] for p in pixels]).reshape(channel.shape))
    return torch.stack(channels).reshape(images.shape)


def _white(images: Tensor, *, grey_or_colour: bool = True) -> float:
    """The value of white, after a check of ``images``."""
    if images.ndim != 4:
        raise ValueError(
            f"images has shape {tuple(images.shape)}; it must be (batch, channels, height, width)"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images has dtype {images.dtype}; it must be uint8 (0 to 255) or floating (0 to 1)")
    if grey_or_colour and images.shape[1] not in (1, 3):
        raise ValueError(f"images has {images.shape[1]} channels; it must have 1 (grey) or 3 (colour)")
    return 1.0 if images.is_floating_point() else 255.0


def _kind(images: Tensor) -> torch.dtype:
    return images.dtype if images.is_floating_point() else torch.float32


def _real(images: Tensor) -> Float[Tensor, "b c h w"]:
    return images.to(_kind(images))


def _each(
    images: Tensor, name: str, value: Amount, low: float | int, high: float | int = float("inf")
) -> Float[Tensor, "b 1 1 1"]:
    """One float64 for each picture, checked to lie in [low, high]."""
    values = torch.as_tensor(value, dtype=torch.float64)
    if values.shape not in ((), images.shape[:1]):
        raise ValueError(f"{name} has shape {tuple(values.shape)}; give one number, or ({len(images)},)")
    if not bool(((values >= low) & (values <= high) & values.isfinite()).all()):
        raise ValueError(f"{name} is {value}; it must be finite and in [{low:g}, {high:g}]")
    return values.expand(len(images))[:, None, None, None]


def _lightness(images: Tensor) -> Float[Tensor, "b 1 h w"]:
    """Grey, rounded down for whole numbers; a grey picture's is itself."""
    _white(images)
    if images.shape[1] == 1:
        return _real(images)
    red, green, blue = _real(images).split(1, dim=1)
    light = (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])
    return light if images.is_floating_point() else light.floor_()


def _blend(images: Tensor, poorer: Tensor, factor: Amount) -> Shaped[Tensor, "b c h w"]:
    """The first equation in the head of this file."""
    white, amount = _white(images), _each(images, "factor", factor, 0)
    kept, rest = (a.to(images.device, poorer.dtype) for a in (amount, 1 - amount))
    # One rounding for product and sum, as add with alpha has in torchvision: it decides which level is next.
    return torch.addcmul(_real(images) * kept, poorer, rest).clamp_(0, white).to(images.dtype)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    images = torch.rand(3, 3, 4, 3, dtype=torch.float64, generator=dice)
    factor = torch.tensor([0.4, 1.0, 1.7], dtype=torch.float64)
    for ours, plain in (
        (brightness, brightness_by_hand),
        (contrast, contrast_by_hand),
        (saturation, saturation_by_hand),
        (sharpness, sharpness_by_hand),
    ):
        yield Twin(
            ours.__name__,
            lambda x, f=ours: f(x, factor),
            lambda x, f=plain: f(x, factor),
            (images,),
        )
    turn = torch.tensor([-0.5, 0.1, 0.45], dtype=torch.float64)
    yield Twin("hue", lambda x: hue(x, turn), lambda x: hue_by_hand(x, turn), (images,))
    yield Twin("grey", grey, lambda x: grey_by_hand(x)[:, :1], (images,))
    yield Twin("invert", invert_colours, invert_colours_by_hand, (images,))
    yield Twin("solarize", lambda x: solarize(x, 0.6), lambda x: solarize_by_hand(x, 0.6), (images,))
    yield Twin("autocontrast", autocontrast, autocontrast_by_hand, (images,))
    yield Twin("posterize", posterize, posterize_by_hand, (images, 3), gradients=False)
    many = torch.randint(256, (2, 1, 24, 24), dtype=torch.uint8, generator=dice) // 3
    yield Twin("equalize", equalize, equalize_by_hand, (many,), gradients=False)
