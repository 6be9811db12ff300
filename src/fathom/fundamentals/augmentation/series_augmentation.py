"""Augmentation of time series: noise, scale, pace and cut, which leave what the series shows alone.

Um et al. (2017) multiply few recordings of sensors into many; Le Guennec et al. (2016) add
slicing.

    jitter         y_t = x_t + noise_t                      a sensor's noise
    scaling        y_t = factor_c x_t                       a sensor's strength, for each channel
    time warp      y(t) = x(tau(t))                         faster here, slower there
    window slice   a part of the series, stretched to the whole length

tau is made of speeds at a few knots: a smooth curve through them (a cubic spline), added up over time, and
scaled so that it goes from the first moment to the last. Between two moments a series is a straight line.

A series' label survives where it does not depend on what is changed: jitter and scaling break labels about
level, warping and slicing break labels about pace or about the position of something.

Axes used below
    b  series      t  time      c  channels      k  knots
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Augmentation of time series",
    paper="https://arxiv.org/abs/1706.00527",
    year=2017,
    summary="Makes new time series by noise, scale, changes of pace and cuts.",
    rows=("RN07",),
    differs=("Speeds at the knots are cut off at a tenth: time may slow down, but not run backwards.",),
    oracle="scipy.interpolate.CubicSpline and numpy.interp, step by step; what must hold of each change",
)

SLOWEST = 0.1  # a speed of 0 would make the map of time flat, one below 0 would turn it round


def jitter(series: Tensor, noise: Tensor) -> Float[Tensor, "b t c"]:
    """``series`` (b, t, c) plus ``noise`` of the same shape."""
    _check_series(series)
    if noise.shape != series.shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)}; it must be {tuple(series.shape)}")
    return series + noise


def scaling(series: Tensor, factor: Tensor) -> Float[Tensor, "b t c"]:
    """``series`` (b, t, c) times ``factor`` (b, c)."""
    _check_series(series)
    if factor.shape != series.shape[::2]:
        raise ValueError(f"factor has shape {tuple(factor.shape)}; it must be {tuple(series.shape[::2])}")
    return series * factor[:, None]


def time_warp(series: Tensor, speed: Tensor) -> Float[Tensor, "b t c"]:
    """``series`` (b, t, c) at the pace that ``speed`` (b, k) says, at k >= 4 knots from beginning to end.

    Speeds are around 1; only their ratios count. Raises ``ValueError`` for fewer knots and speeds not
    positive.
    """
    _check_series(series)
    if speed.ndim != 2 or len(speed) != len(series) or speed.shape[1] < 4:
        raise ValueError(f"speed has shape {tuple(speed.shape)}; it must be ({len(series)}, 4 or more)")
    if bool((speed <= 0).any()) or not bool(speed.isfinite().all()):
        raise ValueError("speed holds a number that is not positive and finite")
    count = series.shape[1]
    if count < 2:
        return series.clone()
    exact = torch.promote_types(series.dtype, torch.float32)  # half precision cannot count to 1,000
    smooth = speed.to(exact) @ spline_matrix(speed.shape[1], count).to(series.device, exact).T
    travelled = smooth.clamp(min=SLOWEST).cumsum(1)
    first, last = travelled[:, :1], travelled[:, -1:]
    return resample(series, (travelled - first) / (last - first) * (count - 1))


def window_slice(series: Tensor, start: Int[Tensor, "b"], length: int) -> Float[Tensor, "b t c"]:
    """``length`` moments of ``series`` (b, t, c) from ``start`` on, stretched to t moments.

    Raises ``ValueError`` for a window that leaves the series or is shorter than 2.
    """
    _check_series(series)
    count = series.shape[1]
    if not 2 <= length <= count:
        raise ValueError(f"length is {length}; it must be in [2, {count}]")
    if start.shape != series.shape[:1] or bool(((start < 0) | (start > count - length)).any()):
        raise ValueError(
            f"start is {start.tolist()}; it must hold {len(series)} places in [0, {count - length}]"
        )
    exact = torch.promote_types(series.dtype, torch.float32)
    share = torch.linspace(0, 1, count, dtype=exact, device=series.device)
    return resample(series, start[:, None].to(share) + share * (length - 1))


def resample(series: Tensor, at: Tensor) -> Float[Tensor, "b s c"]:
    """What ``series`` (b, t, c) is at the moments ``at`` (b, s), in [0, t - 1]: a straight line between two.

    Raises ``ValueError`` for other shapes and for moments outside, of which nothing is known; up to half a
    step is taken for rounding, and for the end.
    """
    _check_series(series)
    last = series.shape[1] - 1
    if at.ndim != 2 or len(at) != len(series) or not at.is_floating_point():
        raise ValueError(
            f"at is {at.dtype} of shape {tuple(at.shape)}; it must be floating, ({len(series)}, s)"
        )
    if not bool(((at >= -0.5) & (at <= last + 0.5)).all()):
        raise ValueError(f"at holds a moment that is not in [0, {last}]")
    at = at.clamp(0, last)
    left = at.floor().long().clamp(0, max(0, series.shape[1] - 2))
    part = (at - left)[:, :, None].to(series.dtype)
    picked = left[:, :, None].expand(-1, -1, series.shape[2])
    low = series.gather(1, picked)
    if series.shape[1] == 1:
        return low
    return low * (1 - part) + series.gather(1, picked + 1) * part


def spline_matrix(knots: int, count: int) -> Float[Tensor, "count knots"]:
    """What turns values at ``knots`` equal steps into ``count`` values of the cubic spline through them.

    A spline is linear in its values. With m_i the second derivative at knot i, h = 1, smoothness asks that
    m_(i-1) + 4 m_i + m_(i+1) = 6 (y_(i-1) - 2 y_i + y_(i+1)); the two missing equations let the first two
    pieces be one cubic, and the last two (de Boor 1978, chapter IV, "not a knot").
    """
    if knots < 4 or count < 2:
        raise ValueError(f"knots is {knots} and count is {count}; they must be 4 and 2 or more")
    values = torch.eye(knots, dtype=torch.float64)
    left, right = (
        torch.zeros(knots, knots, dtype=torch.float64),
        torch.zeros(knots, knots, dtype=torch.float64),
    )
    for i in range(1, knots - 1):
        left[i, i - 1 : i + 2] = torch.tensor([1.0, 4.0, 1.0])
        right[i, i - 1 : i + 2] = torch.tensor([6.0, -12.0, 6.0])
    left[0, :3] = left[-1, -3:] = torch.tensor([1.0, -2.0, 1.0])
    curvature = torch.linalg.solve(left, right @ values)
    at = torch.linspace(0, knots - 1, count, dtype=torch.float64)
    i = at.floor().long().clamp(max=knots - 2)
    b = (at - i)[:, None]
    a = 1 - b
    bend = (a**3 - a) * curvature[i] + (b**3 - b) * curvature[i + 1]
    return a * values[i] + b * values[i + 1] + bend / 6


def jitter_by_hand(series: Float[Tensor, "b t c"], noise: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
    pairs = zip(series.flatten(), noise.flatten(), strict=True)
    return torch.stack([x + n for x, n in pairs]).reshape(series.shape)


def scaling_by_hand(series: Float[Tensor, "b t c"], factor: Float[Tensor, "b c"]) -> Float[Tensor, "b t c"]:
    return torch.stack([torch.stack([x * f for x in one]) for one, f in zip(series, factor, strict=True)])


def time_warp_by_hand(series: Float[Tensor, "b t c"], speed: Float[Tensor, "b k"]) -> Float[Tensor, "b t c"]:
    """Walk along each series: the next moment is as much later as the speed says."""
    count, warped = series.shape[1], []
    matrix = spline_matrix(speed.shape[1], count)
    for one, speeds in zip(series, speed.tolist(), strict=True):
        pace = [max(SLOWEST, sum(m * s for m, s in zip(row, speeds, strict=True))) for row in matrix.tolist()]
        clock = [sum(pace[1 : i + 1]) for i in range(count)]
        warped.append(torch.stack([_at_by_hand(one, moment / clock[-1] * (count - 1)) for moment in clock]))
    return torch.stack(warped)


def window_slice_by_hand(
    series: Float[Tensor, "b t c"], start: list[int], length: int
) -> Float[Tensor, "b t c"]:
    count, slices = series.shape[1], []
    for one, first in zip(series, start, strict=True):
        slices.append(
            torch.stack([_at_by_hand(one, first + i * (length - 1) / (count - 1)) for i in range(count)])
        )
    return torch.stack(slices)


def _at_by_hand(one: Float[Tensor, "t c"], moment: float) -> Float[Tensor, "c"]:
    i = min(int(moment), len(one) - 2)
    return one[i] + (moment - i) * (one[i + 1] - one[i])


def _check_series(series: Tensor) -> None:
    if series.ndim != 3 or not series.is_floating_point():
        raise ValueError(
            f"series is {series.dtype} of shape {tuple(series.shape)}; it must be floating, (b, t, c)"
        )


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    series, noise = torch.randn(2, 2, 9, 2, dtype=torch.float64, generator=dice)
    speed = torch.tensor([[1.0, 0.5, 2.0, 1.5, 1.0], [1.0, 3.0, 0.05, 0.05, 2.0]], dtype=torch.float64)
    yield Twin("jitter", jitter, jitter_by_hand, (series, noise))
    yield Twin("scaling", scaling, scaling_by_hand, (series, noise[:, 0].contiguous()))
    yield Twin("time warp", lambda x: time_warp(x, speed), lambda x: time_warp_by_hand(x, speed), (series,))
    yield Twin(
        "window slice",
        lambda x: window_slice(x, torch.tensor([0, 3]), 5),
        lambda x: window_slice_by_hand(x, [0, 3], 5),
        (series,),
    )
