"""RMS normalisation against torch's, and what sets it apart from layer normalisation."""

import pytest
import torch
from torch import nn

from fathom.fundamentals.normalization.rms_norm import RMSNorm, rms_norm, rms_norm_by_hand


def test_output_and_gradients_are_torchs() -> None:
    for affine in (True, False):
        ours, theirs = (
            RMSNorm(6, affine=affine).double(),
            nn.RMSNorm(6, eps=1e-6, elementwise_affine=affine).double(),
        )
        with torch.no_grad():
            for parameter in ours.parameters():
                parameter.normal_()
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(3, 4, 6, dtype=torch.float64) * 5 + 2
        a, b, g = x.clone().requires_grad_(), x.clone().requires_grad_(), torch.randn_like(x)
        one, two = ours(a), theirs(b)
        one.backward(g)
        two.backward(g)
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


def test_a_scale_changes_nothing_and_a_shift_does() -> None:
    x = torch.randn(5, 8, dtype=torch.float64)
    y = rms_norm(x, epsilon=1e-12)
    torch.testing.assert_close(rms_norm(x * 7, epsilon=1e-12), y, rtol=0, atol=1e-10)
    assert (rms_norm(x + 7, epsilon=1e-12) - y).abs().mean() > 0.3
    torch.testing.assert_close(y.pow(2).mean(1), torch.ones(5, dtype=torch.float64))


def test_extremes() -> None:
    assert torch.equal(
        rms_norm(torch.full((2, 3), -1e4, dtype=torch.float64)).round(decimals=9), -torch.ones(2, 3).double()
    )
    assert torch.equal(rms_norm(torch.zeros(2, 3)), torch.zeros(2, 3))
    torch.testing.assert_close(rms_norm(torch.tensor([[5.0]])), torch.ones(1, 1))
    assert rms_norm(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    x, weight = torch.randn(4, 8).to(kind), torch.randn(8).to(kind)
    expected = rms_norm_by_hand(x.float(), weight.float())
    torch.testing.assert_close(rms_norm(x, weight).float(), expected, rtol=0.02, atol=0.02)
    large = torch.full((1, 4), 1e4).to(kind)  # the sum of squares overflows half precision
    torch.testing.assert_close(rms_norm(large), torch.ones(1, 4).to(kind), rtol=0.01, atol=0)


def test_bad_input_is_refused() -> None:
    x = torch.randn(2, 3)
    for wrong, words in (
        (lambda: rms_norm(x.long()), "dtype torch.int64"),
        (lambda: rms_norm(torch.zeros(2, 0)), "1 feature or more"),
        (lambda: rms_norm(x, torch.ones(2)), r"weight has shape \(2,\)"),
        (lambda: rms_norm(x, epsilon=0.0), "epsilon is 0.0"),
        (lambda: RMSNorm(0), "features is 0"),
        (lambda: RMSNorm(3, epsilon=-1.0), "epsilon is -1.0"),
        (lambda: RMSNorm(4)(x), "this layer has features=4"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
