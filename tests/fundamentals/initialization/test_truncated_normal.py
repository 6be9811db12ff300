"""Truncated normal draws against timm's, bit for bit, and their moments against SciPy's."""

import math

import pytest
import torch

from fathom.fundamentals.initialization.truncated_normal import (
    scaled_truncated_normal_,
    truncated_normal_,
    truncated_normal_by_hand,
    truncated_std,
    truncated_std_by_hand,
)

CASES = (
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 0.02, -2.0, 2.0),
    (0.5, 0.7, -1.0, 0.6),
    (3.0, 1.0, 0.0, 2.0),
    (-1.0, 2.0, -1.0, 1.0),
)


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.slow
def test_draws_are_timms() -> None:
    from timm.layers.weight_init import trunc_normal_, trunc_normal_tf_

    for dtype in (torch.float32, torch.float64):
        for mean, std, low, high in CASES:
            for ours, theirs in (
                (truncated_normal_, trunc_normal_),
                (scaled_truncated_normal_, trunc_normal_tf_),
            ):
                torch.manual_seed(11)
                right = theirs(torch.empty(40, 30, dtype=dtype), mean, std, low, high)
                torch.manual_seed(11)
                found = ours(torch.empty(40, 30, dtype=dtype), mean, std, low, high)
                assert torch.equal(found, right)


def test_draws_are_those_of_halving() -> None:
    for mean, std, low, high in CASES:
        weight = torch.empty(20, 30, dtype=torch.float64)
        assert truncated_normal_(weight, mean, std, low, high, dice()) is weight
        by_hand = truncated_normal_by_hand(weight, mean, std, low, high, dice())
        assert torch.allclose(weight, by_hand, rtol=0, atol=1e-12)


def test_moments_are_those_of_the_distribution() -> None:
    from scipy.special import ndtr

    for mean, std, low, high in CASES:
        x = truncated_normal_(torch.empty(200_000, dtype=torch.float64), mean, std, low, high, dice())
        assert low <= float(x.min()) and float(x.max()) <= high
        first, middle, last = (float(ndtr((v - mean) / std)) for v in (low, float(x.median()), high))
        assert (middle - first) / (last - first) == pytest.approx(0.5, abs=5e-3)
    for low, high in ((-2.0, 2.0), (-1.0, 0.5), (0.0, 3.0), (-40.0, 40.0)):
        assert truncated_std(low, high) == pytest.approx(truncated_std_by_hand(low, high), abs=1e-6)
        x = truncated_normal_(torch.empty(200_000, dtype=torch.float64), low=low, high=high, generator=dice())
        assert float(x.std()) == pytest.approx(truncated_std(low, high), rel=0.01)
    for low in (-1.9, 0.0, 1.9):  # narrow: a uniform distribution, on either side of the change of formula
        for width in (1e-300, 1e-9, 2.9e-3, 3.1e-3):
            high = low + width
            if high > low:
                assert truncated_std(low, high) == pytest.approx((high - low) / math.sqrt(12), rel=3e-6)
    of_tensorflow_and_timm = 0.87962566103423978
    assert truncated_std() == pytest.approx(of_tensorflow_and_timm, abs=1e-14)


@pytest.mark.slow
def test_deviation_is_that_of_scipys_distribution() -> None:
    from scipy.stats import truncnorm

    for low, high in ((-2.0, 2.0), (-1.0, 0.5), (0.0, 3.0)):
        assert truncated_std(low, high) == pytest.approx(float(truncnorm(low, high).std()), abs=1e-12)


def test_the_two_conventions_differ() -> None:
    values = truncated_normal_(torch.empty(10_000), std=0.02, generator=dice())
    deviations = scaled_truncated_normal_(torch.empty(10_000), std=0.02, generator=dice())
    assert float(values.abs().max()) > 0.05  # nothing is cut at 100 deviations
    assert 0.039 < float(deviations.abs().max()) <= 0.04
    moved = scaled_truncated_normal_(torch.empty(10_000, dtype=torch.float64), 5.0, 0.5, -1.0, 2.0, dice())
    assert 4.5 <= float(moved.min()) < 4.51 and 5.98 < float(moved.max()) <= 6


def test_half_precision_one_and_none() -> None:
    whole = truncated_normal_(torch.empty(50), generator=dice())
    for dtype in (torch.float16, torch.bfloat16):
        half = torch.empty(50, dtype=dtype)
        assert truncated_normal_(half, generator=dice()) is half
        assert torch.equal(half, whole.to(dtype))
    assert truncated_normal_(torch.empty(())).isfinite()
    assert (
        truncated_normal_(torch.empty(0, 3)).shape
        == scaled_truncated_normal_(torch.empty(0, 3)).shape
        == (0, 3)
    )
    parameter = torch.nn.Parameter(torch.empty(3))
    assert truncated_normal_(parameter).requires_grad


def test_bad_input_is_refused() -> None:
    for fill in (truncated_normal_, scaled_truncated_normal_):
        with pytest.raises(ValueError, match=r"tensor has dtype torch\.int64"):
            fill(torch.empty(2, dtype=torch.int64))
        for std in (0.0, -0.1, math.nan, math.inf):
            with pytest.raises(ValueError, match=f"std is {std}; it must be positive and finite"):
                fill(torch.empty(2), std=std)
        for low, high in ((1.0, 1.0), (2.0, -2.0), (-math.inf, 1.0), (0.0, math.nan)):
            with pytest.raises(ValueError, match="both must be finite, and low below high"):
                fill(torch.empty(2), low=low, high=high)
        with pytest.raises(ValueError, match="at most two deviations outside"):
            fill(torch.empty(2), low=3.0, high=4.0)
        with pytest.raises(ValueError, match="mean is nan; it must be finite"):
            fill(torch.empty(2), mean=math.nan)
    with pytest.raises(ValueError, match=r"low is 2\.0 and high is 1\.0"):
        truncated_std(2.0, 1.0)
    with pytest.raises(ValueError, match="at most two deviations outside"):
        truncated_std(50.0, 51.0)
