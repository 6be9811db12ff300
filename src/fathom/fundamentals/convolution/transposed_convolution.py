"""Transposed convolution: each value stamps a kernel on a larger picture, and overlaps add up.

A convolution is linear, y = A x for a large sparse matrix A. Its transpose goes back from the places of y
to those of x, with the same weights and the taps that joined them:

    convolution     y[i] = sum over j of w[j] x[s i + d j - p]                            gathers
    transposed      z[s i + d j - p]  +=  w[j] y[i]      for each i and j                 scatters

This is no inverse: sizes come back, values do not. It is the gradient of a convolution with respect to its
input, and, with weights of its own, the layer that enlarges (Long et al. 2015, section 3.3).

    n -> (n - 1) s - 2 p + d (k - 1) + 1 + output_padding            Dumoulin and Visin (2016), section 4

A stride s > 1 maps s sizes on one; output_padding, 0 to s - 1, says which of them to return to. Where s
does not divide k, some places get more stamps than others: a checkerboard (Odena et al. 2016).

Three twins: stamps one by one; columns by a matrix product, then added where they overlap; and an ordinary
convolution of the picture with s - 1 zeros between its values, kernel turned round, whichever way it is done.

Axes used below
    b  batch      c  channels of x      o  channels of the output      q  o / groups
    *size, *kernel, *places  positions of x, taps of the kernel, positions of the output: 1 to 3 axes each
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.convolution.convolution import (
    Sizes,
    check_bias,
    check_tensors,
    convolution_by_hand,
    per_axis,
    spread,
    surround,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Transposed convolution",
    paper="https://arxiv.org/abs/1411.4038",
    year=2014,
    summary="Runs a convolution backwards: every value stamps a kernel, which makes pictures larger.",
    rows=("CL01",),
    builds_on=("convolution",),
    differs=("The paper starts from bilinear weights; initialisation is not part of the operation.",),
    oracle="torch.nn.functional.conv_transpose1d, 2d, 3d: values, gradients and refusals on seeded shapes",
)

BY_AXES = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def transposed_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """The size that one axis of ``size`` grows to: the formula above, what `output_size` takes back.

    Raises ``ValueError`` for sizes, kernels, strides and dilations below 1, negative padding, an
    output_padding that is not below stride or dilation, and where padding leaves nothing.
    """
    for name, value in (("size", size), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if padding < 0:
        raise ValueError(f"padding is {padding}; it must be 0 or more")
    if not 0 <= output_padding < max(stride, dilation):
        raise ValueError(
            f"output_padding is {output_padding}; it must be 0 to {max(stride, dilation) - 1}: "
            f"smaller than stride {stride} or dilation {dilation}"
        )
    grown = (size - 1) * stride + dilation * (kernel - 1) + 1 + output_padding
    if grown <= 2 * padding:
        raise ValueError(f"padding is {padding}; it cuts {2 * padding} of {grown} places off; take less")
    return grown - 2 * padding


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """``x`` (b, c, *size) stamped with ``weight`` (c, o / groups, *kernel), plus ``bias`` (o,).

    Settings are those of the convolution that it runs backwards, one number or one for each axis;
    ``padding`` cuts off here. Raises ``ValueError`` for settings out of range, shapes that do not fit and
    an ``x`` that is not floating.
    """
    steps, cuts, extra, gaps, _ = stamping(x, weight, bias, stride, padding, output_padding, dilation, groups)
    return BY_AXES[weight.ndim - 3](x, weight, bias, steps, cuts, extra, groups, gaps)


class Stamping(NamedTuple):
    """For each axis: the step between stamps, what is cut off, what is added behind, the gap between taps."""

    steps: tuple[int, ...]
    cuts: tuple[int, ...]
    extra: tuple[int, ...]
    gaps: tuple[int, ...]
    places: tuple[int, ...]  # sizes of the output


def stamping(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Stamping:
    """The settings of `transposed_convolution` for each axis; its ``ValueError`` where they do not fit."""
    check_tensors(x, weight)
    if len(weight) != x.shape[1]:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; for the {x.shape[1]} channels of x it must be "
            f"({x.shape[1]}, outputs / groups, *kernel)"
        )
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"groups is {groups}; it must divide the {x.shape[1]} channels of x")
    check_bias(bias, weight.shape[1] * groups)
    axes = weight.ndim - 2
    steps, gaps = per_axis("stride", stride, axes), per_axis("dilation", dilation, axes)
    cuts = per_axis("padding", padding, axes, least=0)
    extra = per_axis("output_padding", output_padding, axes, least=0)
    places = tuple(
        transposed_size(n, k, stride=s, padding=p, output_padding=e, dilation=d)
        for n, k, s, p, e, d in zip(x.shape[2:], weight.shape[2:], steps, cuts, extra, gaps, strict=True)
    )
    return Stamping(steps, cuts, extra, gaps, places)


def transposed_convolution_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "c q *kernel"],
    bias: Float[Tensor, "o"] | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """Each value times its channel's kernels, stamped at its place; what hangs over is cut off last."""
    steps, cuts, _, gaps, places = stamping(
        x, weight, bias, stride, padding, output_padding, dilation, groups
    )
    width = weight.shape[1]
    whole = x.new_zeros(len(x), width * groups, *(n + 2 * cut for n, cut in zip(places, cuts, strict=True)))
    stamps = spread(weight, gaps)
    for b, c, *place in product(*(range(n) for n in x.shape)):
        first = c // (x.shape[1] // groups) * width  # of the outputs of its group
        under = tuple(slice(s * i, s * i + k) for i, s, k in zip(place, steps, stamps.shape[2:], strict=True))
        whole[(b, slice(first, first + width), *under)] += x[(b, c, *place)] * stamps[c]
    return finished(whole, cuts, bias)


def transposed_convolution_as_product_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "c q *kernel"],
    bias: Float[Tensor, "o"] | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Float[Tensor, "b o *places"]:
    """The matrix product of a convolution with the kernels transposed, and its windows added back.

    Tap j of all stamps at once: they lie s apart, and do not overlap each other.
    """
    steps, cuts, _, gaps, places = stamping(
        x, weight, bias, stride, padding, output_padding, dilation, groups
    )
    rows = rearrange(weight.flatten(2), "(g c) q taps -> g (q taps) c", g=groups)
    values = rearrange(x.flatten(2), "b (g c) n -> g c (b n)", g=groups)
    taps = rearrange(rows @ values, "g (q taps) (b n) -> taps b (g q) n", q=weight.shape[1], b=len(x))
    whole = x.new_zeros(*taps.shape[1:3], *(n + 2 * cut for n, cut in zip(places, cuts, strict=True)))
    for tap, stamped in zip(product(*(range(k) for k in weight.shape[2:])), taps, strict=True):
        at = (
            slice(d * j, d * j + s * (n - 1) + 1, s)
            for j, d, s, n in zip(tap, gaps, steps, x.shape[2:], strict=True)
        )
        whole[(..., *at)] += stamped.unflatten(2, x.shape[2:])
    return finished(whole, cuts, bias)


def finished(whole: Tensor, cuts: tuple[int, ...], bias: Tensor | None) -> Tensor:
    """All stamps on one sheet, borders cut off, ``bias`` added."""
    out = surround(whole, [(-cut, -cut) for cut in cuts])
    return out if bias is None else out + bias.view(-1, *[1] * len(cuts))


def transposed_convolution_as_convolution_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "c q *kernel"],
    bias: Float[Tensor, "o"] | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    convolve: Callable[..., Tensor] = convolution_by_hand,
) -> Float[Tensor, "b o *places"]:
    """Zeros between the values, margins wide enough for a kernel to touch the first with its last tap.

    ``convolve`` does the rest, by sliding, as a product or by frequencies.
    """
    steps, cuts, extra, gaps, _ = stamping(x, weight, bias, stride, padding, output_padding, dilation, groups)
    reach = [d * (k - 1) - p for k, d, p in zip(weight.shape[2:], gaps, cuts, strict=True)]
    apart = surround(spread(x, steps), [(r, r + e) for r, e in zip(reach, extra, strict=True)])
    kernel = rearrange(weight.flatten(2).flip(2), "(g c) q taps -> (g q) c taps", g=groups)
    return convolve(apart, kernel.unflatten(2, weight.shape[2:]), bias, dilation=gaps, groups=groups)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    doubled = {"stride": 2, "padding": 1, "output_padding": (1, 0)}
    for name, x, weight, outputs, settings in (
        ("1-D", (2, 3, 4), (3, 2, 3), 2, {}),
        ("2-D, doubled", (2, 2, 3, 2), (2, 3, 3, 4), 3, doubled),
        ("3-D", (1, 2, 2, 1, 2), (2, 2, 2, 1, 2), 2, {"stride": (1, 2, 3)}),
        ("dilated, in groups", (2, 4, 2, 3), (4, 2, 3, 2), 4, {"dilation": (1, 2), "groups": 2}),
    ):
        shapes = (x, weight, (outputs,))
        inputs = tuple(torch.randn(shape, dtype=torch.float64, generator=dice) for shape in shapes)
        ours = partial(transposed_convolution, **settings)
        yield Twin(name, ours, partial(transposed_convolution_by_hand, **settings), inputs)
        product_by_hand = partial(transposed_convolution_as_product_by_hand, **settings)
        yield Twin(f"{name}, as a product", ours, product_by_hand, inputs)
        turned_by_hand = partial(transposed_convolution_as_convolution_by_hand, **settings)
        yield Twin(f"{name}, as a convolution", ours, turned_by_hand, inputs)
