"""Adam, AMSGrad and AdaMax against torch's plain loops."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.adam import adam, adam_by_hand, adamax, adamax_by_hand


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_thousand_steps_of_adam_equal_those_of_torch(
    amsgrad: bool, decay: float, course: Any, apart: Any
) -> None:
    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            parameters, 1e-2, betas=(0.8, 0.95), weight_decay=decay, amsgrad=amsgrad, foreach=False
        )

    ours = {"learning_rate": 1e-2, "betas": (0.8, 0.95), "weight_decay": decay, "amsgrad": amsgrad}
    expected = course.given(theirs)
    assert apart(course.by_hand(adam_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: adam(p, **ours)), expected) == 0
    assert apart(course.pulled(lambda p: adam(p, **ours)), course.pulled(theirs)) == 0


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_thousand_steps_of_adamax_equal_those_of_torch(decay: float, course: Any, apart: Any) -> None:
    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adamax(parameters, 1e-2, betas=(0.8, 0.95), weight_decay=decay, foreach=False)

    ours = {"learning_rate": 1e-2, "betas": (0.8, 0.95), "weight_decay": decay}
    expected = course.given(theirs)
    assert apart(course.by_hand(adamax_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: adamax(p, **ours)), expected) <= 1e-12
    assert apart(course.pulled(lambda p: adamax(p, **ours)), course.pulled(theirs)) <= 1e-12


def test_the_correction_of_bias_makes_the_first_step_the_learning_rate() -> None:
    """Whatever the size of the gradient. Without it the step would be 0.1 / sqrt(0.001) times as long."""
    gradient = torch.tensor([1e-3, 1.0, -1e3], dtype=torch.float64)
    (first,) = adam_by_hand(torch.zeros(3, dtype=torch.float64), [gradient], 0.01, epsilon=1e-12)
    torch.testing.assert_close(first, -0.01 * gradient.sign(), rtol=1e-8, atol=0)
    mean, square = 0.1 * gradient, 0.001 * gradient**2
    torch.testing.assert_close(0.01 * mean / square.sqrt(), 0.01 * gradient.sign() * 0.1 / 0.001**0.5)


def test_corrected_moments_are_the_weighted_means_of_what_was_seen() -> None:
    """With weights 0.9^(t - i), divided by their sum: no trace of the zero at which the mean began."""
    noise = torch.randn(30, dtype=torch.float64)
    mean = torch.zeros((), dtype=torch.float64)
    for step, gradient in enumerate(noise, 1):
        mean = 0.9 * mean + 0.1 * gradient
        weights = 0.9 ** torch.arange(step - 1, -1, -1, dtype=torch.float64)
        expected = (weights * noise[:step]).sum() / weights.sum()
        torch.testing.assert_close(mean / (1 - 0.9**step), expected, rtol=1e-12, atol=1e-14)


def test_amsgrad_goes_the_right_way_where_adam_does_not() -> None:
    """Reddi et al., section 3: on average the slope is positive; Adam forgets the rare large gradient."""
    slopes = [
        torch.tensor([1010.0 if step % 101 == 0 else -10.0], dtype=torch.float64) for step in range(3030)
    ]
    start = torch.zeros(1, dtype=torch.float64)
    assert float(sum(slopes)) > 0
    wrong = adam_by_hand(start, slopes, 1e-3, betas=(0.9, 0.9))[-1]
    right = adam_by_hand(start, slopes, 1e-3, betas=(0.9, 0.9), amsgrad=True)[-1]
    assert float(wrong) > 0.5 and float(right) < 0


def test_hard_inputs_and_resuming(course: Any) -> None:
    for make in (adam, adamax):
        course.endures(make)
        course.works_in_half(lambda p, make=make: make(p, epsilon=1e-4))
        course.resumes(make)
        course.returns_the_loss(make)
    course.resumes(lambda p: adam(p, amsgrad=True))


@pytest.mark.parametrize("make", [adam, adamax])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"betas": (1.0, 0.999)}, r"betas is 1.0; it must be in \[0, 1\)"),
        ({"betas": (0.9, -0.1)}, "betas is -0.1"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it must be positive"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make([torch.zeros(1)], **settings)
