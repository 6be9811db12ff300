"""Adadelta against torch's plain loop."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.adadelta import adadelta, adadelta_by_hand


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_thousand_steps_equal_those_of_torch(decay: float, course: Any, apart: Any) -> None:
    ours = {"learning_rate": 0.7, "smoothing": 0.95, "weight_decay": decay}

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(parameters, lr=0.7, rho=0.95, weight_decay=decay, foreach=False)

    expected = course.given(theirs)
    assert apart(course.by_hand(adadelta_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: adadelta(p, **ours)), expected) == 0
    assert apart(course.pulled(lambda p: adadelta(p, **ours)), course.pulled(theirs)) == 0


def test_a_loss_a_thousand_times_larger_makes_the_same_steps() -> None:
    """The gradient's unit cancels, up to epsilon."""
    noise = torch.randn(50, 3, dtype=torch.float64) + 0.5
    start = torch.zeros(3, dtype=torch.float64)
    small = adadelta_by_hand(start, noise, epsilon=1e-12)[-1]
    large = adadelta_by_hand(start, 1000 * noise, epsilon=1e-12)[-1]
    torch.testing.assert_close(large, small, rtol=1e-6, atol=0)


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(adadelta)
    course.works_in_half(lambda p: adadelta(p, epsilon=1e-4))
    course.resumes(lambda p: adadelta(p, weight_decay=0.1))
    course.returns_the_loss(adadelta)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"smoothing": 1.0}, r"smoothing is 1.0; it must be in \[0, 1\)"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it must be positive"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adadelta([torch.zeros(1)], **settings)
