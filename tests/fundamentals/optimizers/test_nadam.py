"""NAdam against torch's plain loop."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.nadam import nadam, nadam_by_hand


@pytest.fixture
def double() -> Iterator[None]:
    """Torch keeps the product of the momenta in its default format: float64 here."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("decay", "decoupled"), [(0.0, False), (0.1, False), (0.1, True)])
def test_a_thousand_steps_equal_those_of_torch(
    decay: float, decoupled: bool, course: Any, apart: Any
) -> None:
    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.NAdam(
            parameters,
            1e-2,
            betas=(0.8, 0.95),
            weight_decay=decay,
            decoupled_weight_decay=decoupled,
            foreach=False,
        )

    ours = {"learning_rate": 1e-2, "betas": (0.8, 0.95), "weight_decay": decay, "decoupled": decoupled}
    expected = course.given(theirs)
    assert apart(course.by_hand(nadam_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: nadam(p, **ours)), expected) <= 1e-12
    assert apart(course.pulled(lambda p: nadam(p, **ours)), course.pulled(theirs)) <= 1e-12


def test_on_a_steady_slope_it_is_ahead_of_adam() -> None:
    """The first step already holds a part of the second, so a steady slope is left faster."""
    from fathom.fundamentals.optimizers.adam import adam_by_hand

    bowl = [torch.zeros(1, dtype=torch.float64)]
    slopes = [torch.ones(1, dtype=torch.float64), -torch.ones(1, dtype=torch.float64)]
    ahead, behind = nadam_by_hand(bowl[0], slopes, 0.01), adam_by_hand(bowl[0], slopes, 0.01)
    # when the slope turns, Nesterov's weight on today's gradient turns the step at once
    assert float(ahead[1] - ahead[0]) > float(behind[1] - behind[0]) > 0


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(nadam)
    course.works_in_half(lambda p: nadam(p, epsilon=1e-4))
    course.dtype = torch.float32  # in float64 torch's product of momenta changes its format when it is loaded
    course.resumes(nadam)
    course.returns_the_loss(nadam)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"betas": (1.0, 0.999)}, r"betas is 1.0; it must be in \[0, 1\)"),
        ({"momentum_decay": -1.0}, "momentum_decay is -1.0; it must be 0 or more"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        nadam([torch.zeros(1)], **settings)
