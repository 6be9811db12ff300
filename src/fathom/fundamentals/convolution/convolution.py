"""Convolution: one small kernel, the same at every place of a line, a picture or a volume.

A dense layer would have weights for every pair of positions. LeCun et al. (1989) share them: what finds an
edge on the left finds it on the right. Per output channel o, at each place i, over channels c and taps j,

    y[b, o, i] = bias[o] + sum w[o, c, j] x[b, c, s i + d j - p]        x is 0 outside of the picture

which slides the kernel unturned; mathematicians call this correlation and turn the kernel round first.
Learned weights do not care. In more dimensions i, j, s, d and p have one value for each axis.

    stride s     only every s-th place: the output is smaller by that factor
    padding p    zeros on both sides, so that borders count; "same" adds d (k - 1) in all: size kept
    dilation d   taps d places apart: a wider view for as many weights (Yu and Koltun 2016)
    groups g     g runs of channels that do not mix: 1/g of weights and work (Krizhevsky et al. 2012)
    depthwise    g = c, one kernel to a channel (Chollet 2017); a kernel of size 1 after it mixes channels

Of n places, the kernel fits at floor((n + 2 p - d (k - 1) - 1) / s) + 1: `output_size`.

The twins do it in two ways: kernel by kernel and place by place, and as one matrix product (im2col;
Chellapilla et al. 2006), in torch and any number of dimensions. ``autograd_functions`` has the latter on
NumPy for pictures, ``fourier_convolution`` a third way, ``transposed_convolution`` the way back.

Axes used below
    b  batch      c  channels of x      o  channels of the output      w  c / groups
    *size, *kernel, *places  positions of x, taps of the kernel, positions of the output: 1 to 3 axes each
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Convolution",
    paper="https://doi.org/10.1162/neco.1989.1.4.541",
    year=1989,
    summary="Slides one small kernel over a picture, so that what is learned at one place holds at all.",
    rows=("CL01",),
    differs=("The paper gives every place a bias of its own; today, and here, a channel shares one.",),
    oracle="torch.nn.functional.conv1d, conv2d, conv3d: values, gradients and refusals on seeded shapes",
)

Sizes = int | Sequence[int]  # one number for all axes, or one for each
Padding = Sizes | Literal["same", "valid"]
BY_AXES = (F.conv1d, F.conv2d, F.conv3d)


def output_size(
    size: int, kernel: int, *, stride: int = 1, padding: int | tuple[int, int] = 0, dilation: int = 1
) -> int:
    """At how many places a ``kernel`` fits on one axis of ``size``: the formula above.

    ``padding`` is that of either side, or (before, after). Raises ``ValueError`` where it fits nowhere,
    where padding is negative, and where another value is below 1.
    """
    before, after = (padding, padding) if isinstance(padding, int) else padding
    for name, value in (("size", size), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if min(before, after) < 0:
        raise ValueError(f"padding is {padding}; it must be 0 or more")
    room, span = before + size + after, dilation * (kernel - 1) + 1
    if span > room:
        raise ValueError(
            f"kernel is {kernel} and dilation {dilation}, which spans {span} places; size {size} with "
            f"padding {padding} has {room}; take a smaller kernel or more padding"
        )
    return (room - span) // stride + 1


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """``x`` (b, c, *size) under the kernels ``weight`` (o, c / groups, *kernel), plus ``bias`` (o,).

    Settings are one number or one for each axis; ``padding`` may be "same" (stride 1 only; an odd zero
    goes behind) or "valid", which is 0. Raises ``ValueError`` for settings out of range, shapes that do not
    fit, kernels that fit nowhere, and an ``x`` that is not floating.
    """
    steps, margins, gaps, _ = placement(x, weight, bias, stride, padding, dilation, groups)
    before = [first for first, _ in margins]
    if any(first != last for first, last in margins):  # torch pads evenly: the odd zero goes first
        x = surround(x, [(0, last - first) for first, last in margins])
    return BY_AXES[weight.ndim - 3](x, weight, bias, steps, before, gaps, groups)


class Placement(NamedTuple):
    """Where kernels stand: for each axis the step, the zeros before and after, and the gap between taps."""

    steps: tuple[int, ...]
    margins: tuple[tuple[int, int], ...]
    gaps: tuple[int, ...]
    places: tuple[int, ...]  # sizes of the output


def placement(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
) -> Placement:
    """The settings of `convolution` for each axis; its ``ValueError`` where they do not fit."""
    check_tensors(x, weight)
    if groups < 1 or len(weight) % groups or x.shape[1] % groups:
        raise ValueError(
            f"groups is {groups}; it must divide the {x.shape[1]} channels of x and {len(weight)} outputs"
        )
    if weight.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; for {x.shape[1]} channels in groups={groups} it must "
            f"be (outputs, {x.shape[1] // groups}, *kernel)"
        )
    check_bias(bias, len(weight))
    kernel = weight.shape[2:]
    steps, gaps = per_axis("stride", stride, len(kernel)), per_axis("dilation", dilation, len(kernel))
    if padding == "same":
        if max(steps) > 1:
            raise ValueError(f"stride is {stride}; with padding 'same' it must be 1")
        whole = [d * (k - 1) for k, d in zip(kernel, gaps, strict=True)]
        margins = tuple((n // 2, n - n // 2) for n in whole)
    elif isinstance(padding, str) and padding != "valid":
        raise ValueError(f"padding is {padding!r}; it must be 'same', 'valid' or whole numbers")
    else:
        sides = per_axis("padding", 0 if isinstance(padding, str) else padding, len(kernel), least=0)
        margins = tuple((p, p) for p in sides)
    places = tuple(
        output_size(n, k, stride=s, padding=p, dilation=d)
        for n, k, s, p, d in zip(x.shape[2:], kernel, steps, margins, gaps, strict=True)
    )
    return Placement(steps, margins, gaps, places)


def check_tensors(x: Tensor, weight: Tensor) -> None:
    """``ValueError`` unless there are one to three axes, the same for both, and numbers are floating."""
    if not 3 <= weight.ndim <= 5 or not weight.numel():
        raise ValueError(f"weight has shape {tuple(weight.shape)}; it must have 3 to 5 axes, none of size 0")
    if x.ndim != weight.ndim:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; beside weight {tuple(weight.shape)} it must be (batch, channels) "
            f"and {weight.ndim - 2} sizes"
        )
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def check_bias(bias: Tensor | None, outputs: int) -> None:
    """``ValueError`` unless ``bias`` is None or has one value to an output channel."""
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bias has shape {tuple(bias.shape)}; weight asks for ({outputs},)")


def per_axis(name: str, value: Sizes, axes: int, least: int = 1) -> tuple[int, ...]:
    """``value`` for each of ``axes``; ``ValueError`` for another count or a number below ``least``."""
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or min(values) < least:
        raise ValueError(
            f"{name} is {value}; it must be a whole number of {least} or more, or {axes} of them"
        )
    return values


def surround(x: Tensor, margins: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """``x`` with ``value`` before and after each axis of positions; a negative margin cuts off."""
    return F.pad(x, [side for margin in reversed(margins) for side in margin], value=value)


def spread(x: Float[Tensor, "b c *size"], gaps: Sequence[int]) -> Float[Tensor, "b c *wide"]:
    """``x`` with gap - 1 zeros between neighbours: a dilated kernel, written out."""
    wide = x.new_zeros(*x.shape[:2], *(d * (n - 1) + 1 for n, d in zip(x.shape[2:], gaps, strict=True)))
    wide[(..., *(slice(None, None, d) for d in gaps))] = x
    return wide


def convolution_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "o w *kernel"],
    bias: Float[Tensor, "o"] | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """Each kernel at each place of each picture: what lies below it, times it, added up."""
    steps, margins, gaps, places = placement(x, weight, bias, stride, padding, dilation, groups)
    outputs, width = weight.shape[:2]
    spans = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], gaps, strict=True)]
    values = []
    for picture in surround(x, margins):
        for o, kernel in enumerate(weight):
            first = o // (outputs // groups) * width  # of the channels of its group
            for place in product(*(range(n) for n in places)):
                below = picture[first : first + width]
                for axis, (i, s, span, d) in enumerate(zip(place, steps, spans, gaps, strict=True), start=1):
                    below = below[(slice(None),) * axis + (slice(s * i, s * i + span, d),)]
                total = (below * kernel).sum()
                values.append(total if bias is None else total + bias[o])
    return torch.stack(values).view(len(x), outputs, *places)


def windows(
    x: Float[Tensor, "b c *size"], kernel: Sequence[int], steps: Sequence[int], gaps: Sequence[int]
) -> Tensor:
    """(b, c, *places, *kernel): what lies below the kernel at each place. A view: nothing is copied yet."""
    for axis, (k, s, d) in enumerate(zip(kernel, steps, gaps, strict=True), start=2):
        x = x.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
    return x


def convolution_as_product_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "o w *kernel"],
    bias: Float[Tensor, "o"] | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """Kernels as rows, windows as columns: one matrix product, or one for each group.

    A pixel stands in as many columns as windows cover it: memory grows by about the size of the kernel.
    """
    steps, margins, gaps, places = placement(x, weight, bias, stride, padding, dilation, groups)
    below = windows(surround(x, margins), weight.shape[2:], steps, gaps)
    below = below.flatten(2 + len(places)).flatten(2, 1 + len(places))
    columns = rearrange(below, "b (g w) places taps -> g (w taps) (b places)", g=groups)
    rows = rearrange(weight.flatten(2), "(g o) w taps -> g o (w taps)", g=groups)
    out = rearrange(rows @ columns, "g o (b places) -> b (g o) places", b=len(x))
    if bias is not None:
        out = out + bias[:, None]
    return out.unflatten(2, places)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    for name, x, weight, settings in (
        ("1-D", (2, 3, 6), (4, 3, 3), {}),
        ("2-D, strided and padded", (2, 2, 5, 4), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 2)}),
        ("3-D, same size", (1, 2, 3, 2, 3), (2, 2, 2, 1, 3), {"padding": "same"}),
        ("dilated", (1, 2, 7, 6), (2, 2, 3, 2), {"dilation": (2, 3)}),
        ("grouped", (2, 4, 3, 3), (6, 2, 2, 2), {"groups": 2}),
        ("depthwise", (2, 3, 4, 4), (6, 1, 3, 3), {"groups": 3, "padding": 1}),
    ):
        shapes = (x, weight, weight[:1])
        inputs = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)
        ours = partial(convolution, **settings)
        yield Twin(name, ours, partial(convolution_by_hand, **settings), inputs)
        product_by_hand = partial(convolution_as_product_by_hand, **settings)
        yield Twin(f"{name}, as a product", ours, product_by_hand, inputs)
