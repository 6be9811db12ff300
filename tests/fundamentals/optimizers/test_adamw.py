"""AdamW against torch's plain loop, and against Adam with an L2 penalty, which is another rule."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.adam import adam_by_hand
from fathom.fundamentals.optimizers.adamw import adamw, adamw_by_hand


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_thousand_steps_equal_those_of_torch(decay: float, course: Any, apart: Any) -> None:
    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, 1e-2, betas=(0.8, 0.95), weight_decay=decay, foreach=False)

    ours = {"learning_rate": 1e-2, "betas": (0.8, 0.95), "weight_decay": decay}
    expected = course.given(theirs)
    assert apart(course.by_hand(adamw_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: adamw(p, **ours)), expected) == 0
    assert apart(course.pulled(lambda p: adamw(p, **ours)), course.pulled(theirs)) == 0


def test_without_decay_it_is_adam(course: Any, apart: Any) -> None:
    adam = course.by_hand(adam_by_hand, 200, learning_rate=1e-2)
    assert apart(course.by_hand(adamw_by_hand, 200, learning_rate=1e-2, weight_decay=0.0), adam) <= 1e-12


def test_a_penalty_in_the_gradient_is_not_decay_of_the_weights(course: Any, apart: Any) -> None:
    """Both decay by 0.1: the paths part by far more than rounding."""
    penalty = course.by_hand(adam_by_hand, 300, learning_rate=1e-2, weight_decay=0.1)
    decay = course.by_hand(adamw_by_hand, 300, learning_rate=1e-2, weight_decay=0.1)
    assert apart(penalty, decay) > 0.05


def test_decay_is_blind_to_the_scale_of_the_loss_and_the_penalty_is_not() -> None:
    noise = torch.randn(200, 4, dtype=torch.float64)
    start = torch.full((4,), 2.0, dtype=torch.float64)
    settings = {"learning_rate": 1e-2, "weight_decay": 0.5, "epsilon": 1e-14}
    decay = [adamw_by_hand(start, s * noise, **settings)[-1] for s in (1.0, 1000.0)]
    penalty = [adam_by_hand(start, s * noise, **settings)[-1] for s in (1.0, 1000.0)]
    torch.testing.assert_close(decay[0], decay[1], rtol=1e-9, atol=0)
    assert (penalty[0] - penalty[1]).abs().min() > 0.3


def test_weights_without_slope_shrink_by_the_same_factor() -> None:
    start = torch.tensor([1.0, -20.0, 300.0], dtype=torch.float64)
    path = adamw_by_hand(start, [torch.zeros(3, dtype=torch.float64)] * 50, 0.1, weight_decay=0.2)
    torch.testing.assert_close(path[-1], start * (1 - 0.02) ** 50, rtol=1e-12, atol=0)
    punished = adam_by_hand(start, [torch.zeros(3, dtype=torch.float64)] * 50, 0.1, weight_decay=0.2)[-1]
    factors = punished / start
    assert (
        factors[2] > 0.98 > 0.8 > factors[1] > factors[0]
    )  # a penalty takes about r off each, whatever its size


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(lambda p: adamw(p, weight_decay=0.0))
    course.works_in_half(lambda p: adamw(p, epsilon=1e-4))
    course.resumes(lambda p: adamw(p, amsgrad=True))
    course.returns_the_loss(adamw)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": -1.0}, "learning_rate is -1.0; it must be positive"),
        ({"betas": (0.9, 1.0)}, r"betas is 1.0; it must be in \[0, 1\)"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adamw([torch.zeros(1)], **settings)
