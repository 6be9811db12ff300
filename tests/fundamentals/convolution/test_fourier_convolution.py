"""Convolution by frequencies on 300 seeded shapes against torch; the transform against torch's."""

from collections.abc import Callable

import pytest
import torch
from tests.fundamentals.convolution.shapes import convolutions
from tests.fundamentals.convolution.test_convolution import SHAPES, oracle, outcome
from torch import Tensor

from fathom.fundamentals.convolution.convolution import convolution
from fathom.fundamentals.convolution.fourier_convolution import (
    fourier_convolution,
    fourier_convolution_by_hand,
    transform_by_hand,
)

VERSIONS = (fourier_convolution, fourier_convolution_by_hand)


@pytest.mark.parametrize("ours", VERSIONS)
def test_values_and_gradients_are_torchs_on_300_shapes(ours: Callable[..., Tensor]) -> None:
    for i, case in enumerate(SHAPES):
        tensors = case.tensors(i)
        expected = outcome(oracle(case), tensors)
        made = outcome(lambda *given, case=case: ours(*given, **case.settings), tensors)
        for a, b in zip(made, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=lambda m, case=case: f"{case}: {m}")


@pytest.mark.parametrize("ours", VERSIONS)
def test_float32_agrees_on_300_shapes(ours: Callable[..., Tensor]) -> None:
    """Relative to the largest value: rounding spreads from every place to every other."""
    for i, case in enumerate(SHAPES):
        tensors = case.tensors(i, torch.float32)
        expected = oracle(case)(*tensors)
        gap = (ours(*tensors, **case.settings) - expected).abs().max()
        assert gap <= 1e-5 * max(1.0, float(expected.abs().max())), case


@pytest.mark.parametrize("ours", VERSIONS)
def test_gradients_match_finite_differences(ours: Callable[..., Tensor]) -> None:
    for i, case in enumerate(convolutions(27, seed=1)):
        inputs = [t.requires_grad_() for t in case.tensors(i) if t is not None]
        function = lambda *given, case=case: ours(*given, **case.settings)  # noqa: E731
        assert torch.autograd.gradcheck(function, inputs, fast_mode=True), case


def test_the_transform_is_torchs_and_comes_back() -> None:
    for size in ((1,), (7,), (8,), (5, 6), (2, 3, 4)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        waves = transform_by_hand(x)
        axes = tuple(range(2, x.ndim))
        torch.testing.assert_close(waves, torch.fft.fftn(x, dim=axes), rtol=0, atol=1e-12)
        back = transform_by_hand(waves, sign=1) / x[0, 0].numel()
        torch.testing.assert_close(back, x.to(back.dtype), rtol=0, atol=1e-12)


def test_kernels_as_large_as_the_picture_and_awkward_sizes() -> None:
    for size, kernel in ((97, 97), (64, 33), (31, 1)):
        x = torch.randn(1, 2, size, size, dtype=torch.float64)
        weight = torch.randn(3, 2, kernel, kernel, dtype=torch.float64)
        expected = convolution(x, weight, padding="same")
        torch.testing.assert_close(
            fourier_convolution(x, weight, padding="same"), expected, rtol=0, atol=1e-10
        )


def test_half_precision_and_an_empty_batch() -> None:
    x, weight, bias = torch.randn(2, 3, 6, 5), torch.randn(4, 3, 3, 3), torch.randn(4)
    for kind in (torch.float16, torch.bfloat16):
        made = fourier_convolution(x.to(kind), weight.to(kind), bias.to(kind))
        assert made.dtype == kind
        expected = convolution(x.to(kind).double(), weight.to(kind).double(), bias.to(kind).double())
        torch.testing.assert_close(made.double(), expected, rtol=0.02, atol=0.02)
    assert fourier_convolution(torch.zeros(0, 3, 6, 5), weight).shape == (0, 4, 4, 3)


def test_refusals_are_those_of_convolution() -> None:
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(6, 4, 3, 3)
    for wrong, words in (
        (lambda: fourier_convolution(x, weight[:, :3]), r"weight has shape \(6, 3, 3, 3\)"),
        (lambda: fourier_convolution(x, weight, torch.ones(4)), r"bias has shape \(4,\)"),
        (lambda: fourier_convolution(x, weight, groups=3), "groups is 3; it must divide"),
        (lambda: fourier_convolution(x, weight, dilation=3), "spans 7 places; size 6"),
        (lambda: fourier_convolution(x, weight, padding="same", stride=2), "stride is 2"),
        (lambda: fourier_convolution(x.long(), weight), "x has dtype torch.int64"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
