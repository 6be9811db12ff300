"""AdaGrad against torch's plain loop."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.adagrad import adagrad, adagrad_by_hand


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("fade", [0.0, 0.01])
def test_a_thousand_steps_equal_those_of_torch(decay: float, fade: float, course: Any, apart: Any) -> None:
    ours = {"learning_rate": 0.05, "learning_rate_decay": fade, "initial_sum": 0.1, "weight_decay": decay}

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(
            parameters,
            lr=0.05,
            lr_decay=fade,
            initial_accumulator_value=0.1,
            weight_decay=decay,
            foreach=False,
        )

    expected = course.given(theirs)
    assert apart(course.by_hand(adagrad_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: adagrad(p, **ours)), expected) <= 1e-12
    assert apart(course.pulled(lambda p: adagrad(p, **ours)), course.pulled(theirs)) <= 1e-12


def test_steps_shrink_like_one_over_the_root_of_their_number() -> None:
    path = adagrad_by_hand(
        torch.zeros(1, dtype=torch.float64), [torch.ones(1, dtype=torch.float64)] * 400, 1.0
    )
    assert float(path[99] - path[98]) == pytest.approx(-0.1, rel=1e-6)
    assert float(path[399] - path[398]) == pytest.approx(-0.05, rel=1e-6)


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(adagrad)
    course.works_in_half(lambda p: adagrad(p, epsilon=1e-4))
    course.resumes(lambda p: adagrad(p, weight_decay=0.1))
    course.returns_the_loss(adagrad)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": -0.1}, "learning_rate is -0.1; it must be positive"),
        ({"learning_rate_decay": -1.0}, "learning_rate_decay is -1.0; it must be 0 or more"),
        ({"initial_sum": -1.0}, "initial_sum is -1.0"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it must be positive"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adagrad([torch.zeros(1)], **settings)
