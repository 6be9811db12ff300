"""Standardised convolution against timm's, and what it makes of filters."""

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.normalization.weight_standardization import (
    StandardizedConv2d,
    standardize,
    standardize_by_hand,
)


@pytest.mark.slow
def test_output_and_gradients_are_timms() -> None:
    from timm.layers.std_conv import StdConv2d

    for stride, padding, dilation, groups, bias in (
        (1, 1, 1, 1, False),
        (2, 0, 1, 2, True),
        (1, 2, 2, 4, True),
    ):
        ours = StandardizedConv2d(
            4, 8, 3, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias
        ).double()
        theirs = StdConv2d(
            4, 8, 3, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias
        ).double()
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(2, 4, 9, 9, dtype=torch.float64)
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        one, two = ours(a), theirs(b)
        g = torch.randn_like(one)
        one.backward(g)
        two.backward(g)
        torch.testing.assert_close(one, two, rtol=0, atol=1e-11)
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-11)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-10)


def test_filters_have_mean_0_and_variance_1_and_the_convolution_uses_them() -> None:
    layer = StandardizedConv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        layer.weight.add_(2.0)
    filters = standardize(layer.weight).flatten(1)
    torch.testing.assert_close(filters.mean(1), torch.zeros(5), rtol=0, atol=1e-4)
    torch.testing.assert_close(filters.var(1, correction=0), torch.ones(5), rtol=1e-3, atol=0)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(layer(x), F.conv2d(x, standardize(layer.weight), padding=1), rtol=0, atol=0)


def test_a_shift_and_a_scale_of_filters_change_nothing() -> None:
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(
        standardize(weight * 9 - 4, epsilon=1e-14), standardize(weight, epsilon=1e-14), rtol=0, atol=1e-10
    )


def test_extremes() -> None:
    assert torch.equal(standardize(torch.full((2, 3), 1e4)), torch.zeros(2, 3))
    assert standardize(torch.randn(2, 30) * 1e4).abs().max() < 6
    assert standardize(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    weight = torch.randn(3, 2, 2).to(kind)
    torch.testing.assert_close(
        standardize(weight).float(), standardize_by_hand(weight.float()), rtol=0.02, atol=0.02
    )


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: standardize(torch.randn(3)), r"weight has shape \(3,\)"),
        (lambda: standardize(torch.ones(3, 2, dtype=torch.int64)), "dtype torch.int64"),
        (lambda: standardize(torch.randn(3, 1, 1, 1)), "one number to a filter"),
        (lambda: standardize(torch.randn(3, 2), epsilon=0.0), "epsilon is 0.0"),
        (lambda: StandardizedConv2d(1, 3, 1), "one number to a filter"),
        (lambda: StandardizedConv2d(2, 3, 1, epsilon=-1.0), "epsilon is -1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
