"""Lookahead against its plain twin, timm's, and a slow loop around AdamW."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.optimizers.adamw import adamw
from fathom.fundamentals.optimizers.lookahead import Lookahead, lookahead_by_hand
from fathom.fundamentals.optimizers.sgd import sgd
from fathom.training.nested import flatten, unflatten


@pytest.mark.parametrize(("every", "slow_step"), [(5, 0.5), (3, 0.8)])
def test_a_thousand_steps_equal_the_plain_twin(every: int, slow_step: float, course: Any, apart: Any) -> None:
    ours = course.given(lambda p: Lookahead(sgd(p, 0.01), every, slow_step))
    by_hand = course.by_hand(lookahead_by_hand, learning_rate=0.01, every=every, slow_step=slow_step)
    assert apart(ours, by_hand) <= 1e-12


class SlowLoop:
    """AdamW, and after every fourth step a jump back of each tensor, without our code."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters, self.count = parameters, 0
        self.inner = torch.optim.AdamW(parameters, 0.01, weight_decay=0.1, foreach=False)
        self.slow = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        self.inner.step()
        self.count += 1
        if self.count % 4 == 0:
            for p, s in zip(self.parameters, self.slow, strict=True):
                s.add_(p - s, alpha=0.3)
                p.copy_(s)


def test_around_adamw_it_equals_a_slow_loop(course: Any, apart: Any) -> None:
    ours = course.given(lambda p: Lookahead(adamw(p, 0.01, weight_decay=0.1), 4, 0.3))
    assert apart(ours, course.given(SlowLoop)) <= 1e-12
    pulled = course.pulled(lambda p: Lookahead(adamw(p, 0.01, weight_decay=0.1), 4, 0.3))
    assert apart(pulled, course.pulled(SlowLoop)) <= 1e-12


@pytest.mark.slow
def test_a_thousand_steps_equal_those_of_timm(course: Any, apart: Any) -> None:
    from timm.optim import Lookahead as Theirs

    def theirs(parameters: list[Tensor]) -> torch.optim.Optimizer:
        optimizer = Theirs(torch.optim.SGD(parameters, 0.01, momentum=0.9, weight_decay=0.1), alpha=0.3, k=4)
        for p in parameters:
            p.grad = torch.zeros_like(p)
        optimizer.sync_lookahead()  # slow weights from the first weights, as in the paper
        optimizer.zero_grad()
        return optimizer

    def ours(parameters: list[Tensor]) -> torch.optim.Optimizer:
        return Lookahead(sgd(parameters, 0.01, momentum=0.9, weight_decay=0.1), 4, 0.3)

    assert apart(course.given(ours), course.given(theirs)) <= 1e-12
    assert apart(course.pulled(ours, 1000), course.pulled(theirs, 1000)) <= 1e-12


def test_it_calms_a_learning_rate_that_is_almost_too_large() -> None:
    """On w^2 a rate of 0.99 changes the sign and keeps 0.98; half way back lands near the bottom."""
    plain = lookahead_steps(1, 1.0)
    calm = lookahead_steps(5, 0.5)
    assert abs(plain) > 0.5 and abs(calm) < 1e-3


def lookahead_steps(every: int, slow_step: float) -> float:
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = Lookahead(sgd([weight], 0.99), every, slow_step)
    for _ in range(30):
        weight.grad = 2 * weight.detach()
        optimizer.step()
    return float(weight.detach())


def test_schedules_reach_the_inner_optimizer(course: Any) -> None:
    weight = torch.ones(2, requires_grad=True)
    optimizer = Lookahead(sgd([weight], 0.1))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    weight.grad = torch.ones(2)
    optimizer.step()
    schedule.step()
    assert optimizer.inner.param_groups[0]["lr"] == 0.05
    other = torch.ones(3, requires_grad=True)
    optimizer.add_param_group({"params": [other], "lr": 0.2})
    weight.grad, other.grad = torch.ones(2), torch.ones(3)
    for _ in range(4):
        optimizer.step()
    assert len(optimizer.slow) == 2 and (other < 1).all()


def test_resuming_and_hard_inputs(course: Any) -> None:
    for every in (2, 5, 20):  # between, and before any, jump
        course.resumes(lambda p, every=every: Lookahead(adamw(p, 0.01), every))
    course.resumes(lambda p: Lookahead(Lookahead(sgd(p, 0.01, momentum=0.9), 2), 3))
    course.endures(lambda p: Lookahead(sgd(p, 0.01), 2))
    course.works_in_half(lambda p: Lookahead(sgd(p, 0.01), 2))
    course.returns_the_loss(lambda p: Lookahead(sgd(p)))


def test_a_state_from_before_the_first_step_can_be_loaded() -> None:
    weight = torch.ones(2, requires_grad=True)
    tensors, facts = flatten(Lookahead(sgd([weight])).state_dict())
    optimizer = Lookahead(sgd([weight]))
    optimizer.load_state_dict(unflatten(tensors, json.loads(json.dumps(facts))))
    assert optimizer.slow == [] and optimizer.steps == 0


def test_bad_input_is_refused() -> None:
    weight = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="every is 0; it must be 1 or more"):
        Lookahead(sgd([weight]), every=0)
    for slow_step in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"slow_step is {slow_step}; it must be in \(0, 1\]"):
            Lookahead(sgd([weight]), slow_step=slow_step)
    state = Lookahead(sgd([weight])).state_dict() | {"slow": [torch.ones(3)]}
    with pytest.raises(ValueError, match="slow weights of other shapes"):
        Lookahead(sgd([weight])).load_state_dict(state)
