"""LAMB against its plain twin and timm's, and the angle of its steps."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.lamb import Lamb, lamb_by_hand

SETTINGS: tuple[dict[str, Any], ...] = (
    {"learning_rate": 1e-2, "weight_decay": 0.1},
    {"learning_rate": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.0},
    {"learning_rate": 1e-2, "weight_decay": 0.0, "adapt_undecayed": True},
)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_thousand_steps_equal_the_plain_twin(settings: dict[str, Any], course: Any, apart: Any) -> None:
    ours = course.given(lambda p: Lamb(p, **settings))
    assert apart(ours, course.by_hand(lamb_by_hand, **settings)) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_thousand_steps_equal_those_of_timm(settings: dict[str, Any], course: Any, apart: Any) -> None:
    from timm.optim import Lamb as Theirs

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        given = dict(settings)
        always = given.pop("adapt_undecayed", False)
        return Theirs(
            parameters, lr=given.pop("learning_rate"), always_adapt=always, max_grad_norm=None, **given
        )

    def missing(step: int, tensor: int) -> bool:
        return (step + tensor) % 3 == 0

    assert apart(course.given(lambda p: Lamb(p, **settings)), course.given(theirs)) <= 1e-12
    assert apart(course.pulled(lambda p: Lamb(p, **settings), 1000), course.pulled(theirs, 1000)) <= 1e-12
    ours = course.given(lambda p: Lamb(p, **settings), 300, missing)
    assert apart(ours, course.given(theirs, 300, missing)) <= 1e-12


def test_the_step_of_a_tensor_is_in_proportion_to_its_length() -> None:
    """Two layers a thousandfold apart move by the same fraction, the learning rate."""
    small, large = torch.full((3, 3), 1e-2, requires_grad=True), torch.full((3, 3), 10.0, requires_grad=True)
    optimizer = Lamb([small, large], 0.01, weight_decay=0.0, adapt_undecayed=True)
    before = [small.detach().clone(), large.detach().clone()]
    small.grad, large.grad = torch.randn(3, 3), torch.randn(3, 3)
    optimizer.step()
    for old, new in zip(before, (small, large), strict=True):
        assert float((new.detach() - old).norm() / old.norm()) == pytest.approx(0.01, rel=1e-3)


def test_weights_of_zero_take_the_step_of_adam() -> None:
    parameter = torch.zeros(3, requires_grad=True)
    optimizer = Lamb([parameter], 0.01)
    parameter.grad = torch.tensor([1.0, -2.0, 3.0])
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.01, 0.01, -0.01]), rtol=1e-4, atol=0)


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(lambda p: Lamb(p, weight_decay=0.0))
    course.endures(lambda p: Lamb(p, weight_decay=0.0, adapt_undecayed=True))
    course.works_in_half(lambda p: Lamb(p, 0.01, epsilon=1e-4))
    course.resumes(Lamb)
    course.returns_the_loss(Lamb)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"betas": (1.0, 0.9)}, r"betas is 1.0; it must be in \[0, 1\)"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it must be positive"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Lamb([torch.zeros(1)], **settings)
