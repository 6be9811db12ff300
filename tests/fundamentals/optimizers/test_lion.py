"""Lion against its plain twin and timm's, and what follows from equal steps."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.lion import Lion, lion_by_hand

SETTINGS: tuple[dict[str, Any], ...] = (
    {"learning_rate": 1e-3},
    {"learning_rate": 1e-3, "betas": (0.8, 0.95), "weight_decay": 0.1},
)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_thousand_steps_equal_the_plain_twin(settings: dict[str, Any], course: Any, apart: Any) -> None:
    ours = course.given(lambda p: Lion(p, **settings))
    assert apart(ours, course.by_hand(lion_by_hand, **settings)) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_thousand_steps_equal_those_of_timm(settings: dict[str, Any], course: Any, apart: Any) -> None:
    from timm.optim import Lion as Theirs

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        given = dict(settings)
        return Theirs(parameters, lr=given.pop("learning_rate"), **given)

    def missing(step: int, tensor: int) -> bool:
        return (step + tensor) % 3 == 0

    assert apart(course.given(lambda p: Lion(p, **settings)), course.given(theirs)) == 0
    assert apart(course.pulled(lambda p: Lion(p, **settings), 1000), course.pulled(theirs, 1000)) == 0
    ours = course.given(lambda p: Lion(p, **settings), 300, missing)
    assert apart(ours, course.given(theirs, 300, missing)) == 0


def test_every_weight_moves_by_the_learning_rate() -> None:
    parameter = torch.zeros(4, requires_grad=True)
    optimizer = Lion([parameter], 0.01)
    parameter.grad = torch.tensor([1e-20, -3.0, 1e10, 0.0])
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.tensor([-0.01, 0.01, -0.01, 0.0]))


def test_one_buffer_for_each_weight() -> None:
    parameter = torch.zeros(4, requires_grad=True)
    optimizer = Lion([parameter])
    parameter.grad = torch.ones(4)
    optimizer.step()
    assert sum(v.numel() for v in optimizer.state[parameter].values()) == 4


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(Lion)
    course.works_in_half(lambda p: Lion(p, 0.01, weight_decay=0.1))
    course.resumes(lambda p: Lion(p, weight_decay=0.1))
    course.returns_the_loss(Lion)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"betas": (0.9, 1.0)}, r"betas is 1.0; it must be in \[0, 1\)"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Lion([torch.zeros(1)], **settings)
