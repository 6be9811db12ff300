"""Layer normalisation against torch's, and its invariances."""

import pytest
import torch
from torch import nn

from fathom.fundamentals.normalization.layer_norm import LayerNorm, layer_norm, layer_norm_by_hand


def test_output_and_gradients_are_torchs() -> None:
    for shape in (6, (6,), (4, 6), (2, 4, 6)):
        for affine, bias in ((True, True), (True, False), (False, False)):
            ours = LayerNorm(shape, affine=affine, bias=bias).double()
            theirs = nn.LayerNorm(shape, elementwise_affine=affine, bias=bias).double()
            with torch.no_grad():
                for parameter in ours.parameters():
                    parameter.normal_()
            theirs.load_state_dict(ours.state_dict())
            x = torch.randn(3, 2, 4, 6, dtype=torch.float64) * 5 + 2
            a, b, g = x.clone().requires_grad_(), x.clone().requires_grad_(), torch.randn_like(x)
            one, two = ours(a), theirs(b)
            one.backward(g)
            two.backward(g)
            torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


def test_a_shift_and_a_scale_change_nothing_and_samples_do_not_meet() -> None:
    x = torch.randn(5, 8, dtype=torch.float64)
    y = layer_norm(x, 8, epsilon=1e-12)
    torch.testing.assert_close(layer_norm(x * 7 + 3, 8, epsilon=1e-12), y, rtol=0, atol=1e-10)
    torch.testing.assert_close(layer_norm(x[2:3], 8, epsilon=1e-12), y[2:3], rtol=0, atol=0)


def test_extremes() -> None:
    big = layer_norm(torch.tensor([[1e4, -1e4, 0.0]], dtype=torch.float64), 3)
    torch.testing.assert_close(big, torch.tensor([[1.5**0.5, -(1.5**0.5), 0.0]], dtype=torch.float64))
    assert torch.equal(layer_norm(torch.zeros(2, 3), 3), torch.zeros(2, 3))
    assert torch.equal(layer_norm(torch.full((2, 1), 9.0), 1), torch.zeros(2, 1))
    assert layer_norm(torch.zeros(0, 3), 3).shape == (0, 3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    x, weight, bias = torch.randn(4, 8).to(kind), torch.randn(8).to(kind), torch.randn(8).to(kind)
    expected = layer_norm_by_hand(x.float(), weight.float(), bias.float())
    torch.testing.assert_close(layer_norm(x, 8, weight, bias).float(), expected, rtol=0.02, atol=0.02)


def test_bad_input_is_refused() -> None:
    x = torch.randn(2, 3)
    for wrong, words in (
        (lambda: layer_norm(x, 4), r"x has shape \(2, 3\); its last axes must be \(4,\)"),
        (lambda: layer_norm(x.long(), 3), "dtype torch.int64"),
        (lambda: layer_norm(x, 3, torch.ones(2)), r"weight has shape \(2,\)"),
        (lambda: layer_norm(x, 3, None, torch.ones(2)), r"bias has shape \(2,\)"),
        (lambda: layer_norm(x, 3, epsilon=-1.0), "epsilon is -1.0"),
        (lambda: layer_norm(x, ()), r"shape is \(\)"),
        (lambda: LayerNorm(0), "shape is 0"),
        (lambda: LayerNorm((2, 3))(x.T), "its last axes must be"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
