"""Warm-up against torch's schedulers and the formulas of transformers, every step."""

import math
from typing import Any

import pytest
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.cosine_annealing import cosine_annealing, cosine_restarts
from fathom.fundamentals.schedules.polynomial_decay import polynomial_decay
from fathom.fundamentals.schedules.warmup import exponential_warmup, linear_warmup, untuned_warmup


@pytest.mark.parametrize(("steps", "start"), [(1, 0.5), (10, 0.001), (333, 1 / 3), (5000, 0.1)])
def test_linear_equals_torch(steps: int, start: float, torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.LinearLR(o, start, 1.0, steps), 1000)
    ours = [0.1 * linear_warmup(k, steps, start) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-11, abs=0)  # torch multiplies from step to step


@pytest.mark.parametrize(("steps", "start"), [(1, 0.5), (10, 0.001), (333, 1 / 3)])
def test_exponential_equals_torch(steps: int, start: float, torch_rates: Any) -> None:
    growth = start ** (-1 / steps)
    theirs = torch_rates(lambda o: lr_scheduler.ExponentialLR(o, growth), steps + 1, rate=0.1 * start)
    ours = [0.1 * exponential_warmup(k, steps, start) for k in range(steps + 1)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def transformers_factor(kind: str, step: int, warmup: int, total: int) -> float:
    """transformers.optimization, by the names of its schedules."""
    if step < warmup:
        return step / max(1, warmup)
    done = (step - warmup) / max(1, total - warmup)
    if kind == "constant_with_warmup":
        return 1.0
    if kind == "linear":
        return max(0.0, (total - step) / max(1, total - warmup))
    if kind == "cosine":
        return max(0.0, 0.5 * (1 + math.cos(math.pi * 0.5 * 2 * done)))
    return 0.0 if done >= 1 else max(0.0, 0.5 * (1 + math.cos(math.pi * (3 * done % 1))))


@pytest.mark.parametrize("warmup", [0, 1, 60])
def test_schedules_with_warmup_equal_transformers(warmup: int) -> None:
    total = warmup + 300
    then = {
        "constant_with_warmup": lambda k: 1.0,
        "linear": lambda k: polynomial_decay(k, 300),
        "cosine": lambda k: cosine_annealing(k, 300),
        "cosine_with_restarts": lambda k: cosine_restarts(k, 100),
    }
    for kind, schedule in then.items():
        for step in range(total):
            up = step < warmup
            ours = linear_warmup(step, warmup) if up else schedule(step - warmup)
            theirs = transformers_factor(kind, step, warmup, total)
            # 3 * done % 1 of a restart may be a hair below 1, where transformers' wave is at its end
            if kind == "cosine_with_restarts" and not up and (step - warmup) % 100 == 0:
                assert ours == 1.0
                continue
            assert ours == pytest.approx(theirs, abs=1e-12), f"{kind} at {step}"


@pytest.mark.slow
@pytest.mark.parametrize("warmup", [0, 1, 60])
def test_the_formulas_are_those_of_transformers(warmup: int, transformers_rates: Any) -> None:
    total = warmup + 300
    for kind, name, more in (
        ("constant_with_warmup", "get_constant_schedule_with_warmup", {}),
        ("linear", "get_linear_schedule_with_warmup", {"num_training_steps": total}),
        ("cosine", "get_cosine_schedule_with_warmup", {"num_training_steps": total}),
        ("cosine_with_restarts", "get_cosine_with_hard_restarts_schedule_with_warmup",
         {"num_training_steps": total, "num_cycles": 3}),
    ):  # fmt: skip
        theirs = transformers_rates(name, total, num_warmup_steps=warmup, **more)
        written = [0.1 * transformers_factor(kind, step, warmup, total) for step in range(total)]
        assert written == pytest.approx(theirs, rel=1e-12, abs=1e-15), kind


def test_untuned_follows_the_paper() -> None:
    for beta2 in (0.0, 0.9, 0.999):
        for step in (0, 1, 100, 10**6):
            assert untuned_warmup(step, beta2) == pytest.approx(1 - math.exp(-(1 - beta2) * (step + 1)))
    assert untuned_warmup(0, 1 - 1e-12) == pytest.approx(1e-12, rel=1e-4)  # no digits are lost


def test_ends() -> None:
    for warmup in (linear_warmup, exponential_warmup):
        assert warmup(0, 0) == 1.0
        assert warmup(5, 5) == warmup(10**9, 5) == 1.0
        assert warmup(0, 5, 0.25) == 0.25
    assert linear_warmup(0, 5) == 0.0


def test_what_is_refused() -> None:
    for warmup in (linear_warmup, exponential_warmup):
        with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
            warmup(-1, 10)
        with pytest.raises(ValueError, match="steps is -3; it must be 0 or more"):
            warmup(1, -3)
        with pytest.raises(ValueError, match=r"start is 1.5; it must be in"):
            warmup(1, 10, 1.5)
    with pytest.raises(ValueError, match=r"start is 0.0; it must be in \(0, 1\]"):
        exponential_warmup(1, 10, 0.0)
    with pytest.raises(ValueError, match=r"beta2 is 1.0; it must be in \[0, 1\)"):
        untuned_warmup(1, 1.0)
    with pytest.raises(ValueError, match="step is -1"):
        untuned_warmup(-1)
