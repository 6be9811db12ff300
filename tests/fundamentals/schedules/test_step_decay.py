"""Step and multi-step decay against torch's and timm's schedulers, every step."""

from typing import Any

import pytest
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.step_decay import multi_step_decay, step_decay


@pytest.mark.parametrize(("every", "factor"), [(1, 0.9), (7, 0.5), (300, 0.1), (2000, 0.1)])
def test_step_decay_equals_torch(every: int, factor: float, torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.StepLR(o, every, factor), 1000)
    ours = [0.1 * step_decay(k, every, factor) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


@pytest.mark.parametrize("milestones", [(), (0,), (1,), (10, 500, 501), (500, 10), (30, 30, 60), (5000,)])
def test_multi_step_decay_equals_torch(milestones: tuple[int, ...], torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.MultiStepLR(o, milestones, 0.3), 1000)
    ours = [0.1 * multi_step_decay(k, milestones, 0.3) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


@pytest.mark.slow
def test_both_equal_timm(timm_rates: Any) -> None:
    from timm.scheduler import MultiStepLRScheduler, StepLRScheduler

    theirs = timm_rates(lambda o: StepLRScheduler(o, decay_t=7, decay_rate=0.5), 200)
    assert [0.1 * step_decay(k, 7, 0.5) for k in range(200)] == pytest.approx(theirs, rel=1e-12, abs=0)
    theirs = timm_rates(lambda o: MultiStepLRScheduler(o, decay_t=[30, 90], decay_rate=0.1), 200)
    ours = [0.1 * multi_step_decay(k, (29, 89), 0.1) for k in range(200)]  # timm cuts a step early
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_far_away_and_in_units_of_the_run() -> None:
    assert step_decay(10**9, 1000) == 0.0
    assert multi_step_decay(10**9, (1, 2)) == pytest.approx(0.01)
    assert [multi_step_decay(p, (0.5, 0.75)) for p in (0.0, 0.5, 0.74, 0.75)] == [1, 0.1, 0.1, 0.1**2]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        step_decay(-1, 3)
    with pytest.raises(ValueError, match="step is nan"):
        multi_step_decay(float("nan"), (3,))
    with pytest.raises(ValueError, match="every is 0; it must be positive"):
        step_decay(1, 0)
    for factor in (0.0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"factor is .*; it must be in \(0, 1\]"):
            step_decay(1, 3, factor)
    with pytest.raises(ValueError, match=r"milestones are \(3, -2\); each must be 0 or more"):
        multi_step_decay(1, (3, -2))
