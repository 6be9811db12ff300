"""RMSprop against torch's plain loop, and TensorFlow's variant against timm's."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.rmsprop import RMSpropTF, rmsprop, rmsprop_by_hand, rmsprop_tf_by_hand

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum and decay": {"momentum": 0.9, "weight_decay": 0.1},
    "centered, momentum, decay": {"centered": True, "momentum": 0.9, "weight_decay": 0.01},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_thousand_steps_equal_those_of_torch(variant: str, course: Any, apart: Any) -> None:
    settings = VARIANTS[variant]

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=1e-3, alpha=0.95, foreach=False, **settings)

    ours = {"learning_rate": 1e-3, "smoothing": 0.95, **settings}
    expected = course.given(theirs)
    assert apart(course.by_hand(rmsprop_by_hand, **ours), expected) <= 1e-12
    assert apart(course.given(lambda p: rmsprop(p, **ours)), expected) == 0
    assert apart(course.pulled(lambda p: rmsprop(p, **ours)), course.pulled(theirs)) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variant_of_tensorflow_equals_its_plain_twin(variant: str, course: Any, apart: Any) -> None:
    ours = {"learning_rate": 1e-3, "smoothing": 0.95, **VARIANTS[variant]}
    assert (
        apart(course.given(lambda p: RMSpropTF(p, **ours)), course.by_hand(rmsprop_tf_by_hand, **ours))
        <= 1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_thousand_steps_equal_those_of_timm(variant: str, course: Any, apart: Any) -> None:
    from timm.optim import RMSpropTF as Theirs

    settings = VARIANTS[variant]

    def ours(parameters: Any) -> torch.optim.Optimizer:
        return RMSpropTF(parameters, 1e-3, 0.95, **settings)

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return Theirs(parameters, lr=1e-3, alpha=0.95, **settings)

    assert apart(course.given(ours), course.given(theirs)) <= 1e-12
    assert apart(course.pulled(ours), course.pulled(theirs)) <= 1e-12


def test_where_epsilon_stands_decides_over_small_gradients() -> None:
    """Outside the root a gradient of 1e-6 still makes a whole step; inside, one that is in proportion."""
    small = [torch.full((1,), 1e-6, dtype=torch.float64)] * 3000
    start = torch.zeros(1, dtype=torch.float64)
    outside = rmsprop_by_hand(start, small, 0.01, epsilon=1e-10)
    inside = rmsprop_tf_by_hand(start, small, 0.01, epsilon=1e-6)
    assert float(outside[-2] - outside[-1]) == pytest.approx(0.01, rel=1e-3)
    assert float(inside[-2] - inside[-1]) == pytest.approx(0.01 * 1e-6 / 1e-3, rel=1e-3)


def test_a_variance_that_rounding_made_negative_is_zero() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = RMSpropTF([parameter], centered=True)
    for _ in range(300):
        parameter.grad = torch.full((1,), 1e4)
        optimizer.step()
    assert parameter.isfinite().all()


def test_hard_inputs_and_resuming(course: Any) -> None:
    for make in (rmsprop, RMSpropTF):
        course.endures(make)
        course.works_in_half(lambda p, make=make: make(p, epsilon=1e-4))
        course.resumes(lambda p, make=make: make(p, momentum=0.9, centered=True))
        course.returns_the_loss(make)


def test_gradients_may_be_missing_now_and_then(course: Any, apart: Any) -> None:
    """A tensor moves by the gradients it has, as if the steps between had not been."""

    def missing(step: int, tensor: int) -> bool:
        return step % 2 == 0

    ours = course.given(lambda p: RMSpropTF(p, momentum=0.5), 100, missing)
    noise = course.noise(100)
    for i, start in enumerate(course.starts()):
        path = rmsprop_tf_by_hand(start, [n[i] for n in noise[1::2]], momentum=0.5)
        assert apart([ours[i][1::2]], [path]) <= 1e-12


@pytest.mark.parametrize("make", [rmsprop, RMSpropTF])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"smoothing": 1.0}, r"smoothing is 1.0; it must be in \[0, 1\)"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it must be positive"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make([torch.zeros(1)], **settings)
