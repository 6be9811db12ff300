"""Convolution by the Fourier transform: sliding in space is multiplying frequency by frequency.

A wave e^(2 pi i f t / n), moved by one place, is the same wave times a number. Whatever is built of moves,
as a convolution is, therefore only multiplies each wave by a number, the kernel's own transform:

    X[f] = sum over t of x[t] e^(-2 pi i f t / n)                           the transform
    y[t] = sum over j of w[j] x[t + j]      <=>      Y[f] = conj(W[f]) X[f]       the convolution theorem

(conj because networks slide the kernel unturned). The transform takes x for a circle of n places. At the
n - k + 1 places where the kernel lies inside, it does not reach across the seam: these are kept.

To slide costs n k products for each pair of channels; to multiply costs n, and n log n for each channel to
transform it, whatever the kernel's size. Mathieu et al. (2013) trained networks this way. For kernels of
three by three it does not pay; for kernels as large as the picture it does. A stride saves nothing here:
all places are computed and few are kept.

Axes used below
    b  batch      c  channels of x      o  channels of the output      w  c / groups
    *size, *kernel, *places  positions of x, taps of the kernel, positions of the output: 1 to 3 axes each
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from einops import einsum, rearrange
from jaxtyping import Complex, Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.convolution.convolution import (
    Padding,
    Sizes,
    convolution_by_hand,
    placement,
    spread,
    surround,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Convolution by Fourier transform",
    paper="https://arxiv.org/abs/1312.5851",
    year=2013,
    summary="Multiplies frequencies instead of sliding: the kernel's size no longer costs anything.",
    rows=("CL01",),
    builds_on=("convolution",),
    differs=("The paper writes the backward pass out; here torch differentiates the transforms.",),
    oracle="torch.nn.functional.conv1d, conv2d, conv3d: values and gradients on seeded shapes",
)


def fourier_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """What `convolution` gives, by way of frequencies; arguments and ``ValueError`` are its own.

    Half precision is computed in float32 and rounded once. Accuracy is relative to the largest value of
    the output, not to each value: every frequency touches every place.
    """
    steps, margins, gaps, places = placement(x, weight, bias, stride, padding, dilation, groups)
    if not len(x):
        return x.new_zeros(0, len(weight), *places)  # no transform takes nothing
    exact = torch.promote_types(x.dtype, torch.float32)
    circle = surround(x.to(exact), margins)
    axes, sizes = tuple(range(2, x.ndim)), circle.shape[2:]
    waves = torch.fft.rfftn(circle, dim=axes)
    kernels = torch.fft.rfftn(spread(weight.to(exact), gaps), s=sizes, dim=axes)
    mixed = multiply(waves, kernels, groups)
    out = torch.fft.irfftn(mixed, s=sizes, dim=axes)
    out = out[(..., *(slice(0, s * (n - 1) + 1, s) for n, s in zip(places, steps, strict=True)))]
    out = out.to(x.dtype)
    return out if bias is None else out + bias.view(-1, *[1] * len(places))


def multiply(waves: Tensor, kernels: Tensor, groups: int) -> Tensor:
    """Y = conj(W) X, summed over the channels of a group: a small matrix product at each frequency."""
    x = rearrange(waves.flatten(2), "b (g w) f -> b g w f", g=groups)
    w = rearrange(kernels.flatten(2), "(g o) w f -> g o w f", g=groups)
    y = einsum(x, w.conj(), "b g w f, g o w f -> b g o f")
    return rearrange(y, "b g o f -> b (g o) f").unflatten(2, waves.shape[2:])


def transform_by_hand(x: Tensor, sign: int = -1) -> Complex[Tensor, "b c *size"]:
    """The definition, axis after axis: a table of waves, e^(2 pi i sign f t / n), times the values."""
    x = x.to(torch.promote_types(x.dtype, torch.complex64))
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        times = torch.arange(n, device=x.device)
        turns = (times[:, None] * times % n).to(x.real.dtype) / n  # whole turns change nothing
        table = torch.polar(torch.ones_like(turns), sign * 2 * math.pi * turns)
        x = torch.movedim(torch.movedim(x, axis, -1) @ table, -1, axis)
    return x


def fourier_convolution_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "o w *kernel"],
    bias: Float[Tensor, "o"] | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """The theorem step by step, with all frequencies, those too that mirror others for real numbers."""
    steps, margins, gaps, places = placement(x, weight, bias, stride, padding, dilation, groups)
    circle, kernels = surround(x, margins), spread(weight, gaps)
    sizes = circle.shape[2:]
    kernels = surround(kernels, [(0, n - k) for n, k in zip(sizes, kernels.shape[2:], strict=True)])
    waves, answers = transform_by_hand(circle), transform_by_hand(kernels)

    pictures = []
    for picture in waves:
        channels = []
        for o, answer in enumerate(answers):
            first = o // (len(weight) // groups) * weight.shape[1]
            own = picture[first : first + weight.shape[1]]
            channels.append((own * answer.conj()).sum(0))
        pictures.append(torch.stack(channels))

    out = transform_by_hand(torch.stack(pictures), sign=1).real / math.prod(sizes)
    for axis, (n, s) in enumerate(zip(places, steps, strict=True), start=2):
        out = out.index_select(axis, s * torch.arange(n, device=x.device))
    return out if bias is None else out + bias.view(-1, *[1] * len(places))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: with the theorem step by step, and with the sliding kernel."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    for name, x, weight, settings in (
        ("1-D", (2, 3, 9), (4, 3, 5), {}),
        ("2-D, strided and padded", (2, 2, 5, 4), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 2)}),
        ("3-D, same size", (1, 2, 3, 2, 3), (2, 2, 2, 1, 3), {"padding": "same"}),
        ("dilated, in groups", (2, 4, 7, 6), (6, 2, 3, 2), {"dilation": (2, 3), "groups": 2}),
    ):
        shapes = (x, weight, weight[:1])
        inputs = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)
        ours = partial(fourier_convolution, **settings)
        yield Twin(name, ours, partial(fourier_convolution_by_hand, **settings), inputs)
        yield Twin(f"{name}, sliding", ours, partial(convolution_by_hand, **settings), inputs)
