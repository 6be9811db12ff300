"""Schedules in sequence and multiplied, against torch's SequentialLR and ChainedScheduler, every step."""

from typing import Any

import pytest
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.exponential_decay import exponential_decay
from fathom.fundamentals.schedules.schedule_composition import curve, in_sequence, product
from fathom.fundamentals.schedules.step_decay import step_decay
from fathom.fundamentals.schedules.warmup import linear_warmup


def up(step: int) -> float:
    return linear_warmup(step, 50, 0.1)


def down(step: int) -> float:
    return exponential_decay(step, 0.99)


def stairs(step: int) -> float:
    return step_decay(step, 30, 0.5)


def test_in_sequence_equals_torch(torch_rates: Any) -> None:
    def make(optimizer: Any) -> Any:
        parts = [
            lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 50),
            lr_scheduler.ExponentialLR(optimizer, 0.99),
            lr_scheduler.StepLR(optimizer, 30, 0.5),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, [50, 300])

    theirs = torch_rates(make, 500)
    ours = [0.1 * in_sequence(k, [up, down, stairs], [50, 300]) for k in range(500)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_product_equals_torch(torch_rates: Any) -> None:
    def make(optimizer: Any) -> Any:
        parts = [lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 50), lr_scheduler.ExponentialLR(optimizer, 0.99)]
        return lr_scheduler.ChainedScheduler(parts, optimizer)

    theirs = torch_rates(make, 500)
    assert [0.1 * product(k, [up, down]) for k in range(500)] == pytest.approx(theirs, rel=1e-12, abs=0)


def test_the_curve_shows_its_extremes() -> None:
    points = curve(lambda k: -abs(k - 37.2), 1000, rows=5)
    assert [step for step, _ in points] == [0, 37, 250, 500, 749, 999]
    assert dict(points)[37] == pytest.approx(-0.2)
    assert curve(up, 1) == [(0, 0.1)]
    assert [step for step, _ in curve(down, 3, rows=10)] == [0, 1, 2]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        in_sequence(-1, [up], [])
    with pytest.raises(ValueError, match="step is -1"):
        product(-1, [up])
    with pytest.raises(ValueError, match="schedules is empty; give at least one"):
        product(1, [])
    for milestones in ([], [5, 9], [0], [-3]):
        with pytest.raises(ValueError, match="2 schedules need 1 of them, positive and rising"):
            in_sequence(1, [up, down], milestones)
    with pytest.raises(ValueError, match="3 schedules need 2 of them"):
        in_sequence(1, [up, down, stairs], [9, 9])
    with pytest.raises(ValueError, match="steps is 0 and rows is 10; they must be at least 1 and 2"):
        curve(up, 0)
