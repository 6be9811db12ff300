"""Pooling: each channel summed up by the largest or the mean value of every window.

Pooling has no weights. It makes maps smaller and forgets where in a window something was found: a step
aside by a feature hardly changes what follows. Scherer et al. (2010) compared the kinds:

    max       y[b, c, i] = max of x[b, c, s i + d j - p] over j        is it there?
    average   y[b, c, i] = their sum / their number                    how much of it is there?

A window moves as a kernel does (`output_size`), by default by its own size, so that windows do not overlap.
What is not a multiple of the step is left out at the end, or, with ceil_mode, gets a last, smaller window.
The padding is never the largest; for the average it counts as zeros, unless count_include_pad is off.

Two kinds have no window to choose, and so take pictures of any size:

    adaptive  m windows for whatever size n there is: i starts at floor(i n / m), ends before
              ceil((i + 1) n / m). They cover all, and overlap by one where m does not divide n
    global    one window, the whole map. Before a classifier it stands for large dense layers (Lin et
              al. 2013, section 3.2)

The mean of a window is a depthwise convolution with equal weights. The gradient of a maximum goes to the one
value that won; that of a mean is shared out evenly.

Axes used below
    b  batch      c  channels      *size  positions of x: 1 to 3 axes      *places  positions of the output
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.convolution.convolution import Sizes, output_size, per_axis, surround

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Pooling",
    paper="https://doi.org/10.1007/978-3-642-15825-4_10",
    year=2010,
    summary="Keeps the largest or the mean value of each window, so that exact places matter less.",
    rows=("CL02",),
    builds_on=("convolution",),
    differs=("The subsampling of the paper has a weight and a bias for each map; a mean here has none.",),
    oracle="torch.nn: MaxPool, AvgPool, AdaptiveMaxPool, AdaptiveAvgPool; values, gradients, refusals",
)

LARGEST = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
MEANS = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
Adaptive = tuple[Callable[..., Tensor], ...]
ADAPTIVE_LARGEST: Adaptive = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
ADAPTIVE_MEANS: Adaptive = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)


def pooled_size(
    size: int,
    kernel: int,
    *,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """How many windows one axis of ``size`` has; ``stride`` None means that of the kernel.

    With ``ceil_mode`` a last window may reach beyond the padding, if it starts before it. Raises
    ``ValueError`` where `output_size` does, for padding of more than half of the kernel, and for taps so far
    apart that a window sees padding alone: its maximum would be -inf, its gradient would have no place to go.
    """
    stride = kernel if stride is None else stride
    if padding > kernel // 2:
        raise ValueError(f"padding is {padding}; it must be at most {kernel // 2}, half of kernel {kernel}")
    span = dilation * (kernel - 1) + 1
    missing = (span - size - 2 * padding) % stride if ceil_mode and stride > 0 else 0
    windows = output_size(
        size, kernel, stride=stride, padding=(padding, padding + missing), dilation=dilation
    )
    if ceil_mode and (windows - 1) * stride >= size + padding:
        windows -= 1
    starts = range(-padding, min(0, windows * stride - padding), stride)
    if any(start % dilation >= size for start in starts):  # its first tap that is not before the picture
        raise ValueError(
            f"dilation is {dilation}; with size {size} and padding {padding} all taps of a window miss the "
            f"picture; take a dilation of at most {size}"
        )
    return windows


def max_pool(
    x: Tensor,
    kernel: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Float[Tensor, "b c *places"]:
    """The largest value of each window of ``x`` (b, c, *size); a NaN is the largest.

    Settings are one number or one for each axis. Raises ``ValueError`` where `pooled_size` does, for
    another number of axes, and for an ``x`` that is not floating.
    """
    sizes, steps, sides, gaps, _ = sliding(x, kernel, stride, padding, dilation, ceil_mode)
    return LARGEST[x.ndim - 3](x, sizes, steps, sides, gaps, ceil_mode)


def average_pool(
    x: Tensor,
    kernel: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Float[Tensor, "b c *places"]:
    """The mean of each window of ``x`` (b, c, *size).

    Zeros of the padding count with ``count_include_pad``; what ``ceil_mode`` adds beyond them never does.
    Raises ``ValueError`` as `max_pool`, and for a kernel larger than a volume: torch has no such mean.
    """
    sizes, steps, sides, _, _ = sliding(x, kernel, stride, padding, 1, ceil_mode)
    if x.ndim == 5 and any(k > n for k, n in zip(sizes, x.shape[2:], strict=True)):
        raise ValueError(f"kernel is {kernel}; in a volume it must be at most {tuple(x.shape[2:])}, its size")
    return MEANS[x.ndim - 3](x, sizes, steps, sides, ceil_mode, count_include_pad)


def adaptive_max_pool(x: Tensor, places: Sizes) -> Float[Tensor, "b c *places"]:
    """The largest value of each of ``places`` windows that cover an axis of ``x`` (b, c, *size).

    Raises ``ValueError`` for ``places`` below 1, another number of axes, an axis of size 0 and an ``x``
    that is not floating.
    """
    check_picture(x)
    return ADAPTIVE_LARGEST[x.ndim - 3](x, per_axis("places", places, x.ndim - 2))


def adaptive_average_pool(x: Tensor, places: Sizes) -> Float[Tensor, "b c *places"]:
    """The mean of each of ``places`` windows that cover an axis; otherwise as `adaptive_max_pool`."""
    check_picture(x)
    return ADAPTIVE_MEANS[x.ndim - 3](x, per_axis("places", places, x.ndim - 2))


def global_max_pool(x: Tensor) -> Float[Tensor, "b c"]:
    """The largest value of each channel of ``x`` (b, c, *size); ``ValueError`` as in `adaptive_max_pool`."""
    check_picture(x)
    return adaptive_max_pool(x, 1).flatten(1)


def global_average_pool(x: Tensor) -> Float[Tensor, "b c"]:
    """The mean of each channel of ``x`` (b, c, *size); ``ValueError`` as in `adaptive_max_pool`."""
    check_picture(x)
    return adaptive_average_pool(x, 1).flatten(1)


def sliding(
    x: Tensor, kernel: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[tuple[int, ...], ...]:
    """Kernel, step, padding, gap and number of windows for each axis; ``ValueError`` if they do not fit."""
    check_picture(x)
    axes = x.ndim - 2
    sizes = per_axis("kernel", kernel, axes)
    steps = sizes if stride is None else per_axis("stride", stride, axes)
    sides, gaps = per_axis("padding", padding, axes, least=0), per_axis("dilation", dilation, axes)
    places = tuple(
        pooled_size(n, k, stride=s, padding=p, dilation=d, ceil_mode=ceil_mode)
        for n, k, s, p, d in zip(x.shape[2:], sizes, steps, sides, gaps, strict=True)
    )
    return sizes, steps, sides, gaps, places


def check_picture(x: Tensor) -> None:
    if not 3 <= x.ndim <= 5 or 0 in x.shape[1:]:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; it must be (batch, channels) and 1 to 3 sizes above 0"
        )
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


Windows = list[list[int]]  # of one axis: which positions each window covers


def max_pool_by_hand(
    x: Float[Tensor, "b c *size"],
    kernel: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Float[Tensor, "b c *places"]:
    """Window by window, the largest of what lies in the picture."""
    settings = sliding(x, kernel, stride, padding, dilation, ceil_mode)
    covered: list[Windows] = []
    for n, k, s, p, d, m in zip(x.shape[2:], *settings, strict=True):
        covered.append([[t for t in range(s * i - p, s * i - p + d * k, d) if 0 <= t < n] for i in range(m)])
    return each_window(x, covered, lambda seen: seen.max(-1).values)


def average_pool_by_hand(
    x: Float[Tensor, "b c *size"],
    kernel: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Float[Tensor, "b c *places"]:
    """Window by window, the sum of what lies in the picture over how much of the window counts."""
    sizes, steps, sides, _, places = sliding(x, kernel, stride, padding, 1, ceil_mode)
    margins = [(p, p) for p in sides]
    widened = surround(x, margins)
    counts = surround(torch.ones_like(x), margins, value=float(count_include_pad))
    covered: list[Windows] = []
    for n, k, s, m in zip(widened.shape[2:], sizes, steps, places, strict=True):
        covered.append([list(range(s * i, min(s * i + k, n))) for i in range(m)])
    total = each_window(widened, covered, lambda seen: seen.sum(-1))
    return total / each_window(counts, covered, lambda seen: seen.sum(-1))


def adaptive_windows(size: int, places: int) -> Windows:
    """What each of ``places`` windows covers of an axis of ``size``: floor to ceil, as above."""
    return [list(range(i * size // places, -(-(i + 1) * size // places))) for i in range(places)]


def adaptive_max_pool_by_hand(x: Float[Tensor, "b c *size"], places: Sizes) -> Float[Tensor, "b c *places"]:
    """Window by window, the largest."""
    covered = list(map(adaptive_windows, x.shape[2:], per_axis("places", places, x.ndim - 2)))
    return each_window(x, covered, lambda seen: seen.max(-1).values)


def adaptive_average_pool_by_hand(
    x: Float[Tensor, "b c *size"], places: Sizes
) -> Float[Tensor, "b c *places"]:
    """Window by window, the mean."""
    covered = list(map(adaptive_windows, x.shape[2:], per_axis("places", places, x.ndim - 2)))
    return each_window(x, covered, lambda seen: seen.sum(-1) / seen.shape[-1])


def global_max_pool_by_hand(x: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c"]:
    """One window for each channel."""
    return torch.stack([torch.stack([channel.flatten().max(0).values for channel in maps]) for maps in x])


def global_average_pool_by_hand(x: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c"]:
    """One window for each channel."""
    return torch.stack([torch.stack([channel.sum() / channel.numel() for channel in maps]) for maps in x])


def each_window(
    x: Float[Tensor, "b c *size"], covered: Sequence[Windows], reduce: Callable[[Tensor], Tensor]
) -> Float[Tensor, "b c *places"]:
    """``reduce`` (b, c, values) -> (b, c) of every window; ``covered`` says for each axis where they lie."""
    values = []
    for window in product(*covered):
        seen = x
        for axis, positions in enumerate(window, start=2):
            seen = seen.index_select(axis, torch.tensor(positions, device=x.device))
        values.append(reduce(seen.flatten(2)))
    return torch.stack(values, -1).unflatten(-1, [len(windows) for windows in covered])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    shapes = ((2, 2, 7), (2, 2, 5, 6), (1, 2, 3, 4, 3))
    line, picture, volume = (torch.randn(s, dtype=torch.float64, generator=dice) for s in shapes)
    overlapping = {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    for name, x in (("line", line), ("picture", picture), ("volume", volume)):
        for ours, by_hand, settings in (
            (max_pool, max_pool_by_hand, {"kernel": 2}),
            (max_pool, max_pool_by_hand, overlapping),
            (average_pool, average_pool_by_hand, {"kernel": 2}),
            (average_pool, average_pool_by_hand, overlapping),
            (average_pool, average_pool_by_hand, overlapping | {"count_include_pad": False}),
            (adaptive_max_pool, adaptive_max_pool_by_hand, {"places": 2}),
            (adaptive_average_pool, adaptive_average_pool_by_hand, {"places": 2}),
            (global_max_pool, global_max_pool_by_hand, {}),
            (global_average_pool, global_average_pool_by_hand, {}),
        ):
            label = ", ".join([ours.__name__, name, *(f"{k} {v}" for k, v in settings.items())])
            yield Twin(label, partial(ours, **settings), partial(by_hand, **settings), (x,))
    settings = {"kernel": (3, 2), "stride": 1, "dilation": 2}
    yield Twin("dilated", partial(max_pool, **settings), partial(max_pool_by_hand, **settings), (picture,))
