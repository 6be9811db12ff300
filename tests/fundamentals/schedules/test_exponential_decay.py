"""Exponential decay against torch's scheduler, every step."""

from typing import Any

import pytest
from torch.optim import lr_scheduler

from fathom.fundamentals.schedules.exponential_decay import exponential_decay


@pytest.mark.parametrize("factor", [1.0, 0.999, 0.9, 0.5])
def test_equals_torch(factor: float, torch_rates: Any) -> None:
    theirs = torch_rates(lambda o: lr_scheduler.ExponentialLR(o, factor), 1000)
    ours = [0.1 * exponential_decay(k, factor) for k in range(1000)]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-300)  # torch adds up a rounding error a step


def test_it_halves_as_the_docstring_says_and_vanishes_quietly() -> None:
    assert exponential_decay(40, 0.5 ** (1 / 20)) == pytest.approx(0.25, rel=1e-12)
    assert exponential_decay(10**6, 0.5) == 0.0
    assert exponential_decay(0.5, 0.01) == pytest.approx(0.1)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="step is -2; it must be 0 or more"):
        exponential_decay(-2, 0.9)
    for factor in (0.0, 1.01, float("nan")):
        with pytest.raises(ValueError, match=r"factor is .*; it must be in \(0, 1\]"):
            exponential_decay(1, factor)
