"""One cycle against torch's scheduler, rate and momentum, and fastai's formula, every step."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.one_cycle import one_cycle, one_cycle_momentum


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize(("total", "share"), [(1000, 0.3), (50, 0.5), (200, 0.25)])
def test_equals_torch(total: int, share: float, shape: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(
        optimizer, 0.5, total, pct_start=share, anneal_strategy="cos" if shape == "cosine" else "linear",
        div_factor=25, final_div_factor=1e4,
    )  # fmt: skip
    peak = share * total - 1
    for step in range(total):
        group = optimizer.param_groups[0]
        rate = 0.5 * one_cycle(step, total - 1, peak, 1 / 25, 1 / 25 / 1e4, shape)
        assert rate == pytest.approx(group["lr"], rel=1e-12, abs=1e-15)
        momentum = one_cycle_momentum(step, total - 1, peak, shape=shape)
        assert momentum == pytest.approx(group["momentum"], rel=1e-12)
        optimizer.step()
        if step < total - 1:
            scheduler.step()


def test_equals_the_formula_of_fastai() -> None:
    """combined_cos(0.25, lr / 25, lr, lr / 1e5), at positions step / steps."""

    def leg(here: float, there: float, position: float) -> float:
        return here + (1 + math.cos(math.pi * (1 - position))) * (there - here) / 2

    for step in range(400):
        position = step / 400
        theirs = (
            leg(1 / 25, 1, position / 0.25) if position < 0.25 else leg(1, 1e-5, (position - 0.25) / 0.75)
        )
        assert one_cycle(step, 400, 100, 1 / 25, 1e-5) == pytest.approx(theirs, rel=1e-12)


def test_ends() -> None:
    for shape in ("cosine", "linear"):
        assert one_cycle(0, 100, 30, 0.04, 0.001, shape) == pytest.approx(0.04, rel=1e-12)
        assert one_cycle(30, 100, 30, 0.04, 0.001, shape) == 1.0
        assert one_cycle(100, 100, 30, 0.04, 0.001, shape) == pytest.approx(0.001, rel=1e-12)
        assert one_cycle(10**9, 100, 30, 0.04, 0.001, shape) == pytest.approx(0.001, rel=1e-12)
        assert one_cycle(0, 100, 0, shape=shape) == 1.0  # no way up
        assert one_cycle_momentum(30, 100, 30, shape=shape) == 0.85


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        one_cycle(-1, 100, 30)
    for steps, peak in ((100, 100), (100, -1), (0, 0)):
        with pytest.raises(ValueError, match=f"peak is {peak} and steps is {steps}"):
            one_cycle(1, steps, peak)
    with pytest.raises(ValueError, match=r"start is 1.5; it must be in \[0, 1\]"):
        one_cycle(1, 100, 30, 1.5)
    with pytest.raises(ValueError, match=r"end is -0.1; it must be in \[0, 1\]"):
        one_cycle(1, 100, 30, 0.1, -0.1)
    with pytest.raises(ValueError, match="shape is 'round'; it must be one of cosine, linear"):
        one_cycle(1, 100, 30, shape="round")
    for high, low in ((1.0, 0.8), (0.8, 0.9), (0.9, -0.1)):
        with pytest.raises(ValueError, match=f"low is {low} and high is {high}"):
            one_cycle_momentum(1, 100, 30, high, low)
