"""SGD against torch's plain loop, bit for bit, and the plumbing that optimizers share."""

from typing import Any

import pytest
import torch

from fathom.fundamentals.optimizers.sgd import buffers, evaluated, sgd, sgd_by_hand, with_gradients

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "damped momentum and decay": {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
    "nesterov and decay": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_thousand_steps_equal_those_of_torch_to_the_last_bit(variant: str, course: Any, apart: Any) -> None:
    settings = VARIANTS[variant]

    def theirs(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.01, foreach=False, **settings)

    expected = course.given(theirs)
    assert apart(course.by_hand(sgd_by_hand, learning_rate=0.01, **settings), expected) == 0
    assert apart(course.given(lambda p: sgd(p, 0.01, **settings)), expected) == 0
    assert apart(course.pulled(lambda p: sgd(p, 0.01, **settings)), course.pulled(theirs)) == 0


def test_gradients_may_be_missing_now_and_then(course: Any, apart: Any) -> None:
    def missing(step: int, tensor: int) -> bool:
        return (step + tensor) % 3 == 0

    ours = course.given(lambda p: sgd(p, 0.01, momentum=0.9), 100, missing)
    theirs = course.given(lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, foreach=False), 100, missing)
    assert apart(ours, theirs) == 0


def test_momentum_travels_ten_times_as_far_along_a_steady_slope() -> None:
    """Velocities approach g / (1 - m)."""
    steady = [torch.ones(1, dtype=torch.float64)] * 400
    plain = sgd_by_hand(torch.zeros(1, dtype=torch.float64), steady, 0.1)
    fast = sgd_by_hand(torch.zeros(1, dtype=torch.float64), steady, 0.1, momentum=0.9)
    assert float((fast[-1] - fast[-2]) / (plain[-1] - plain[-2])) == pytest.approx(10, rel=1e-9)


def test_groups_keep_their_own_settings() -> None:
    slow, fast = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = sgd([{"params": [slow], "lr": 0.1}, {"params": [fast], "weight_decay": 0.5}], 1.0)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 1.0]
    slow.grad, fast.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert slow.item() == pytest.approx(-0.1) and fast.item() == pytest.approx(-1.0)


def test_hard_inputs_and_resuming(course: Any) -> None:
    course.endures(lambda p: sgd(p, 1e-3, momentum=0.9, nesterov=True))
    course.works_in_half(lambda p: sgd(p, 0.01, momentum=0.9))
    course.resumes(lambda p: sgd(p, 0.01, momentum=0.9))
    course.returns_the_loss(sgd)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, r"learning_rate is 0.0; it must be positive"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"momentum": 1.0}, r"momentum is 1.0; it must be in \[0, 1\)"),
        ({"momentum": -0.5}, "momentum is -0.5"),
        ({"momentum": 0.9, "dampening": 1.5}, "dampening is 1.5"),
        ({"weight_decay": -1e-4}, "weight_decay is -0.0001; it must be 0 or more"),
        ({"nesterov": True}, "nesterov is True with momentum 0.0"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening 0.1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sgd([torch.zeros(1)], **settings)


def test_no_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        sgd([])


def test_sparse_and_complex_gradients_are_refused() -> None:
    sparse = torch.zeros(3, requires_grad=True)
    sparse.grad = torch.ones(3).to_sparse()
    turning = torch.zeros(3, dtype=torch.complex64, requires_grad=True)
    turning.grad = torch.ones(3, dtype=torch.complex64)
    for parameter, kind in ((sparse, "sparse"), (turning, "complex")):
        with pytest.raises(ValueError, match=f"a gradient of shape .3,. is {kind}"):
            with_gradients({"params": [parameter]})


def test_buffers_are_made_once_and_keep_the_layout() -> None:
    parameter = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    optimizer = sgd([parameter])
    (first,) = buffers(optimizer, [parameter], "mean", start=2.0)
    assert first.stride() == parameter.stride() and (first == 2).all()
    assert buffers(optimizer, [parameter], "mean")[0] is first


def test_a_closure_is_evaluated_with_gradients_on() -> None:
    with torch.no_grad():
        assert evaluated(torch.is_grad_enabled) is True
        assert evaluated(None) is None
