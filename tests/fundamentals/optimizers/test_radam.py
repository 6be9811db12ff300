"""RAdam against torch's plain loop."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.radam import radam, radam_by_hand


@pytest.mark.parametrize(("decay", "decoupled"), [(0.0, False), (0.1, False), (0.1, True)])
def test_a_thousand_steps_equal_those_of_torch(
    decay: float, decoupled: bool, course: Any, apart: Any
) -> None:
    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.RAdam(
            parameters,
            1e-2,
            betas=(0.8, 0.99),
            weight_decay=decay,
            decoupled_weight_decay=decoupled,
            foreach=False,
        )

    ours = {"learning_rate": 1e-2, "betas": (0.8, 0.99), "weight_decay": decay, "decoupled": decoupled}
    expected = course.given(theirs)
    assert apart(course.by_hand(radam_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: radam(p, **ours)), expected) <= 1e-12
    assert apart(course.pulled(lambda p: radam(p, **ours)), course.pulled(theirs)) <= 1e-12


def test_the_first_steps_are_momentum_and_the_next_are_short() -> None:
    """Steps in proportion to the gradient for five steps; then adaptive ones that begin damped."""
    slope = torch.tensor([1e-3, 1e3], dtype=torch.float64)
    path = torch.stack(radam_by_hand(torch.zeros(2, dtype=torch.float64), [slope] * 2000, 1e-3))
    steps = -torch.diff(path, dim=0, prepend=torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(steps[:5], (1e-3 * slope).expand(5, 2), rtol=1e-9, atol=0)
    assert (steps[5] < 3e-5).all()  # a few percent of the learning rate
    torch.testing.assert_close(steps[-1], torch.full((2,), 1e-3, dtype=torch.float64), rtol=0.2, atol=0)


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(radam)
    course.works_in_half(lambda p: radam(p, epsilon=1e-4))
    course.resumes(radam)
    course.returns_the_loss(radam)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"betas": (0.9, 1.0)}, r"betas is 1.0; it must be in \[0, 1\)"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        radam([torch.zeros(1)], **settings)
