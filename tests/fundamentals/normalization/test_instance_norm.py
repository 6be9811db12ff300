"""Instance normalisation against torch's, and what it takes out of a picture."""

import pytest
import torch
from torch import nn

from fathom.fundamentals.normalization.instance_norm import InstanceNorm, instance_norm, instance_norm_by_hand


def test_output_memory_and_gradients_are_torchs() -> None:
    for kind, size in (
        (nn.InstanceNorm1d, (7,)),
        (nn.InstanceNorm2d, (3, 4)),
        (nn.InstanceNorm3d, (2, 3, 2)),
    ):
        for affine, track in ((False, False), (True, False), (True, True)):
            ours = InstanceNorm(5, affine=affine, track=track, momentum=0.3).double()
            theirs = kind(5, affine=affine, track_running_stats=track, momentum=0.3).double()
            theirs.load_state_dict(ours.state_dict())
            for step in range(4):
                if step == 3:
                    ours.eval(), theirs.eval()
                x = torch.randn(3, 5, *size, dtype=torch.float64) * 3 + step
                a, b, g = x.clone().requires_grad_(), x.clone().requires_grad_(), torch.randn_like(x)
                one, two = ours(a), theirs(b)
                one.backward(g)
                two.backward(g)
                torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
                torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
            torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-12)
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


def test_brightness_and_contrast_are_taken_out() -> None:
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    changed = x * torch.tensor([0.3, 2.0]).double()[:, None, None, None] + 5
    torch.testing.assert_close(
        instance_norm(changed, epsilon=1e-12), instance_norm(x, epsilon=1e-12), rtol=0, atol=1e-8
    )


def test_extremes() -> None:
    assert instance_norm(torch.randn(2, 3, 9) * 1e4 + 1e4).abs().max() < 4
    same = torch.full((2, 3, 4), 1e4, dtype=torch.float64)
    torch.testing.assert_close(instance_norm(same), torch.zeros_like(same), rtol=0, atol=1e-8)
    assert instance_norm(torch.zeros(0, 3, 4)).shape == (0, 3, 4)
    assert InstanceNorm(3)(torch.zeros(0, 3, 4)).shape == (0, 3, 4)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    x, weight, bias = torch.randn(2, 3, 8).to(kind), torch.randn(3).to(kind), torch.randn(3).to(kind)
    expected = instance_norm_by_hand(x.float(), weight.float(), bias.float())
    torch.testing.assert_close(instance_norm(x, weight, bias).float(), expected, rtol=0.02, atol=0.02)


def test_bad_input_is_refused() -> None:
    x = torch.randn(2, 3, 4)
    for wrong, words in (
        (lambda: instance_norm(torch.randn(2, 3)), r"x has shape \(2, 3\)"),
        (lambda: instance_norm(x.long()), "dtype torch.int64"),
        (lambda: instance_norm(torch.randn(2, 3, 1)), "one position"),
        (lambda: instance_norm(x, torch.ones(2)), r"weight has shape \(2,\)"),
        (lambda: instance_norm(x, epsilon=0.0), "epsilon is 0.0"),
        (lambda: InstanceNorm(0), "features is 0"),
        (lambda: InstanceNorm(3, momentum=1.0), "momentum is 1.0"),
        (lambda: InstanceNorm(3, epsilon=0.0), "epsilon is 0.0"),
        (lambda: InstanceNorm(4)(x), "this layer has features=4"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
