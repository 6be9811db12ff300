"""Changes of time series against NumPy and SciPy, step by step, and against what they must keep."""

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from fathom.fundamentals.augmentation.series_augmentation import (
    jitter,
    resample,
    scaling,
    spline_matrix,
    time_warp,
    window_slice,
)


def test_splines_are_scipys() -> None:
    for knots in (4, 5, 6, 9):
        values = torch.randn(knots, 3, dtype=torch.float64)
        for count in (2, 7, 50):
            theirs = CubicSpline(np.arange(knots), values.numpy())(np.linspace(0, knots - 1, count))
            ours = spline_matrix(knots, count) @ values
            torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=0, atol=1e-12)


def test_warps_and_slices_are_numpys() -> None:
    """Um et al.'s recipe with SciPy's spline and NumPy's interpolation."""
    series = torch.randn(4, 40, 2, dtype=torch.float64)
    speed = torch.rand(4, 6, dtype=torch.float64) + 0.5
    warped, moments = time_warp(series, speed), np.arange(40)
    start = torch.tensor([0, 5, 12, 21])
    sliced = window_slice(series, start, 19)
    for i in range(4):
        pace = np.maximum(CubicSpline(np.arange(6), speed[i].numpy())(np.linspace(0, 5, 40)), 0.1)
        clock = np.cumsum(pace)
        clock = (clock - clock[0]) / (clock[-1] - clock[0]) * 39
        window = np.linspace(float(start[i]), float(start[i]) + 18, 40)
        for c in range(2):
            one = series[i, :, c].numpy()
            np.testing.assert_allclose(warped[i, :, c].numpy(), np.interp(clock, moments, one), atol=1e-12)
            np.testing.assert_allclose(sliced[i, :, c].numpy(), np.interp(window, moments, one), atol=1e-12)


def test_what_each_change_keeps() -> None:
    """Warping: first and last moment, order of events, range of values. Scaling: signs."""
    ramp = torch.linspace(0, 1, 60, dtype=torch.float64)[None, :, None].repeat(5, 1, 1)
    warped = time_warp(ramp, torch.rand(5, 5, dtype=torch.float64) * 1.9 + 0.1)
    assert (warped.diff(dim=1) > 0).all()
    torch.testing.assert_close(warped[:, [0, -1]], ramp[:, [0, -1]])
    assert (warped - ramp).abs().max() > 0.02
    series = torch.randn(5, 60, 3, dtype=torch.float64)
    torch.testing.assert_close(
        time_warp(series, torch.full((5, 5), 0.7).double()), series
    )  # steady pace, whatever it is
    torch.testing.assert_close(window_slice(series, torch.zeros(5).long(), 60), series)
    assert torch.equal(scaling(series, torch.rand(5, 3) + 0.5).sign(), series.sign())
    assert torch.equal(jitter(series, torch.zeros_like(series)), series)
    noisy = jitter(series, 0.03 * torch.randn_like(series)) - series
    assert noisy.std().item() == pytest.approx(0.03, rel=0.1)
    for changed in (warped, window_slice(ramp, torch.arange(5), 30)):
        assert changed.min() >= 0 and changed.max() <= 1


def test_extremes_and_half_precision() -> None:
    assert torch.equal(time_warp(torch.ones(2, 1, 3), torch.ones(2, 4)), torch.ones(2, 1, 3))
    assert time_warp(torch.zeros(0, 9, 2), torch.ones(0, 4)).shape == (0, 9, 2)
    assert torch.equal(resample(torch.full((1, 1, 1), 5.0), torch.zeros(1, 3)), torch.full((1, 3, 1), 5.0))
    wild = time_warp(torch.randn(1, 50, 1) * 1e4, torch.tensor([[1e-4, 1e4, 1e-4, 1e4]]))
    assert wild.isfinite().all()
    for kind in (torch.float16, torch.bfloat16):
        series = torch.randn(2, 12, 1).to(kind)
        assert scaling(series, torch.ones(2, 1, dtype=kind)).dtype == kind
        assert time_warp(series, torch.ones(2, 4)).isfinite().all()
        long = torch.randn(1, 3000, 1).to(kind)  # whose moments have no name of their own in half precision
        for same in (window_slice(long, torch.tensor([0]), 3000), time_warp(long, torch.ones(1, 4))):
            torch.testing.assert_close(same, long, rtol=0, atol=0.05)


def test_bad_input_is_refused() -> None:
    x = torch.randn(2, 9, 1)
    for wrong, words in (
        (lambda: jitter(x[0], x[0]), r"series is torch.float32 of shape \(9, 1\)"),
        (lambda: jitter(x.long(), x), "series is torch.int64"),
        (lambda: jitter(x, x[:1]), r"noise has shape \(1, 9, 1\)"),
        (lambda: scaling(x, torch.ones(2)), r"factor has shape \(2,\)"),
        (lambda: time_warp(x, torch.ones(2, 3)), r"speed has shape \(2, 3\)"),
        (lambda: time_warp(x, torch.zeros(2, 4)), "speed holds a number that is not positive"),
        (lambda: window_slice(x, torch.tensor([0, 0]), 1), r"length is 1; it must be in \[2, 9\]"),
        (lambda: window_slice(x, torch.tensor([0, 6]), 4), r"places in \[0, 5\]"),
        (lambda: spline_matrix(3, 9), "knots is 3"),
        (lambda: resample(x[0], torch.zeros(2, 1)), r"series is torch.float32 of shape \(9, 1\)"),
        (lambda: resample(x, torch.zeros(1, 3)), r"at is torch.float32 of shape \(1, 3\)"),
        (lambda: resample(x, torch.full((2, 3), 9.0)), r"at holds a moment that is not in \[0, 8\]"),
        (lambda: resample(x, torch.full((2, 3), torch.nan)), "at holds a moment"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
