"""Polynomial decay against torch's and timm's schedulers and transformers' formula, every step."""

from typing import Any

import pytest
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.polynomial_decay import polynomial_decay


@pytest.mark.parametrize("power", [0.5, 0.9, 1.0, 2.0, 5.0])
def test_equals_torch(power: float, torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.PolynomialLR(o, 900, power), 1000)
    ours = [0.1 * polynomial_decay(k, 900, power) for k in range(1000)]
    # torch goes from rate to rate and divides by what is left, which loses digits near the end
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_power_one_equals_the_straight_line_of_torch(torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, 300), 400)
    ours = [0.1 * polynomial_decay(k, 300, 1.0, 0.2) for k in range(400)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_equals_the_formula_of_transformers() -> None:
    """get_polynomial_decay_schedule_with_warmup, in its own terms: rates, not factors."""
    for first, last, power, warmup, total in ((0.1, 1e-7, 1.0, 10, 200), (3e-4, 1e-5, 2.0, 0, 50)):
        for step in range(warmup, total + 20):
            gone = (step - warmup) / (total - warmup)
            rate = last if gone > 1 else last + (first - last) * (1 - gone) ** power
            ours = first * polynomial_decay(step - warmup, total - warmup, power, last / first)
            assert ours == pytest.approx(rate, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("last", "power"), [(1e-7, 1.0), (0.02, 2.0)])
def test_equals_transformers_own(last: float, power: float, transformers_rates: Any) -> None:
    theirs = transformers_rates(
        "get_polynomial_decay_schedule_with_warmup", 400,
        num_warmup_steps=0, num_training_steps=300, lr_end=last, power=power,
    )  # fmt: skip
    ours = [0.1 * polynomial_decay(k, 300, power, last / 0.1) for k in range(400)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


@pytest.mark.slow
def test_equals_timm(timm_rates: Any) -> None:
    from timm.scheduler import PolyLRScheduler

    theirs = timm_rates(lambda o: PolyLRScheduler(o, t_initial=150, power=0.9, lr_min=0.01), 200)
    ours = [0.1 * polynomial_decay(k, 150, 0.9, 0.1) for k in range(200)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_ends() -> None:
    assert polynomial_decay(0, 10, 3, 0.1) == 1.0
    assert polynomial_decay(10, 10, 0.5, 0.1) == polynomial_decay(10**9, 10, 0.5, 0.1) == 0.1
    assert polynomial_decay(1, 1) == 0.0


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        polynomial_decay(-1, 10)
    with pytest.raises(ValueError, match="steps is 0; it must be positive"):
        polynomial_decay(1, 0)
    for power in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"power is .*; it must be positive and finite"):
            polynomial_decay(1, 10, power)
    with pytest.raises(ValueError, match=r"end is 1.5; it must be in \[0, 1\]"):
        polynomial_decay(1, 10, 1.0, 1.5)
