"""What the scaling rules promise, measured: the same way, the same noise, the same memory."""

import pytest
import torch

from fathom.fundamentals.schedules.scaling_rules import adam_scaling, linear_scaling, square_root_scaling


def test_a_scaled_step_goes_as_far_as_the_small_ones() -> None:
    """On a loss that is linear in the weights the rule is exact: the gradient does not change on the way."""
    examples = torch.randn(64, 5, dtype=torch.float64)
    small, big = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for part in examples.split(8):
        small -= 0.1 * part.mean(dim=0)
    big -= linear_scaling(0.1, 64, 8) * examples.mean(dim=0)
    torch.testing.assert_close(big, small, rtol=1e-12, atol=1e-14)


def test_the_square_root_keeps_the_noise_of_a_step() -> None:
    noise = torch.randn(4000, 128, dtype=torch.float64)  # gradients whose mean is zero
    small = 0.1 * noise[:, :8].mean(dim=1)
    big = square_root_scaling(0.1, 128, 8) * noise.mean(dim=1)
    assert float(big.std()) == pytest.approx(float(small.std()), rel=0.05)
    line = linear_scaling(0.1, 128, 8) * noise.mean(dim=1)
    assert float(line.std()) > 3 * float(small.std())


def test_adam_keeps_its_memory_in_examples() -> None:
    rate, betas, epsilon = adam_scaling(1e-3, (0.9, 0.999), 1e-8, 1024, 256)
    assert rate == pytest.approx(2e-3) and epsilon == pytest.approx(5e-9)
    assert [1024 / (1 - beta) for beta in betas] == pytest.approx([256 / (1 - 0.9), 256 / (1 - 0.999)])
    back = adam_scaling(rate, betas, epsilon, 256, 1024)
    assert back[0] == pytest.approx(1e-3) and back[1] == pytest.approx((0.9, 0.999))
    assert back[2] == pytest.approx(1e-8)


def test_the_same_batch_changes_nothing() -> None:
    assert linear_scaling(0.3, 7, 7) == square_root_scaling(0.3, 7, 7) == 0.3
    assert linear_scaling(0.1, 8192, 256) == pytest.approx(3.2)  # the large batch of Goyal et al.


def test_what_is_refused() -> None:
    for rate in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"rate is .*; it must be positive and finite"):
            linear_scaling(rate, 8, 8)
    with pytest.raises(ValueError, match="batch_size is 0; it must be 1 or more"):
        square_root_scaling(0.1, 0, 8)
    with pytest.raises(ValueError, match="reference is -8; it must be 1 or more"):
        linear_scaling(0.1, 8, -8)
    with pytest.raises(ValueError, match=r"betas are \(0.9, 1.0\); each must be in \[0, 1\)"):
        adam_scaling(0.1, (0.9, 1.0), 1e-8, 8, 8)
    with pytest.raises(ValueError, match=r"epsilon is -1.0; it must be 0 or more"):
        adam_scaling(0.1, (0.9, 0.99), -1.0, 8, 8)
    with pytest.raises(ValueError, match=r"batch_size is 4000; .* at most 2560"):
        adam_scaling(0.1, (0.9, 0.99), 1e-8, 4000, 256)
