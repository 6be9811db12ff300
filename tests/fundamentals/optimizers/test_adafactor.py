"""Adafactor against torch's plain loop, and what a factored second moment is worth."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.adafactor import adafactor, adafactor_by_hand


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_thousand_steps_equal_those_of_torch(decay: float, course: Any, apart: Any) -> None:
    ours: dict[str, Any] = {
        "learning_rate": 0.01,
        "decay_exponent": -0.7,
        "clipping": 1.5,
        "weight_decay": decay,
    }

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adafactor(
            parameters, 0.01, beta2_decay=-0.7, d=1.5, weight_decay=decay, foreach=False
        )

    expected = course.given(theirs)
    assert apart(course.by_hand(adafactor_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: adafactor(p, **ours)), expected) <= 1e-12
    assert apart(course.pulled(lambda p: adafactor(p, **ours), 100), course.pulled(theirs, 100)) <= 1e-12


def test_squares_of_rank_one_are_kept_whole() -> None:
    """Where |g|_ij = a_i b_j two vectors say it all: each entry is divided by its own size."""
    rows, columns = torch.tensor([1.0, 10.0, 100.0]).double(), torch.tensor([0.1, 3.0]).double()
    sign = torch.tensor([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]]).double()
    start = torch.ones(3, 2).double()
    (first,) = adafactor_by_hand(start, [sign * rows.outer(columns)], 0.01)
    torch.testing.assert_close(first, start - 0.01 * sign, rtol=1e-12, atol=0)


def test_state_grows_with_rows_and_columns_only() -> None:
    parameter = torch.zeros(50, 40, requires_grad=True)
    optimizer = adafactor([parameter])
    parameter.grad = torch.ones(50, 40)
    optimizer.step()
    assert sum(v.numel() for v in optimizer.state[parameter].values()) == 50 + 40 + 1


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(adafactor, shapes=((2, 3), (1,), (4, 1)))
    course.works_in_half(adafactor)
    course.resumes(adafactor)
    course.returns_the_loss(adafactor)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"decay_exponent": 0.8}, "decay_exponent is 0.8; it must be 0 or less"),
        ({"epsilons": (-1.0, 1e-3)}, "epsilons is -1.0; it must be 0 or more"),
        ({"clipping": 0.5}, "clipping is 0.5; it must be 1 or more"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adafactor([torch.zeros(1)], **settings)


def test_an_empty_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of shape \(0, 3\)"):
        adafactor([torch.zeros(0, 3)])
