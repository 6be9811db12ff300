"""Warm-up, stable, decay against the formula of transformers, every step and shape."""

import math
from typing import Any

import pytest

from fathom.fundamentals.schedules.warmup_stable_decay import warmup_stable_decay


def transformers_factor(step: int, warmup: int, stable: int, decay: int, kind: str, ratio: float) -> float:
    """get_wsd_schedule with a linear warm-up."""
    if step < warmup:
        return step / max(1, warmup) * (1 - ratio) + ratio
    if step < warmup + stable:
        return 1.0
    if step < warmup + stable + decay:
        done = (step - warmup - stable) / max(1, decay)
        factors = {
            "linear": 1 - done,
            "cosine": 0.5 * (1 + math.cos(math.pi * 0.5 * 2 * done)),
            "square_root": 1 - math.sqrt(done),
        }
        return max(0.0, factors[kind] * (1 - ratio) + ratio)
    return ratio


@pytest.mark.parametrize("shape", ["linear", "cosine", "square_root"])
@pytest.mark.parametrize("lengths", [(100, 700, 200), (0, 10, 5), (3, 0, 7), (3, 7, 0), (0, 0, 1)])
def test_equals_transformers(lengths: tuple[int, int, int], shape: str) -> None:
    for ratio in (0.0, 0.1):
        for step in range(sum(lengths) + 20):
            ours = warmup_stable_decay(step, *lengths, ratio, ratio, shape)
            theirs = transformers_factor(step, *lengths, shape, ratio)
            assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "theirs_is"), [("linear", "linear"), ("cosine", "cosine"), ("square_root", "1-sqrt")]
)
@pytest.mark.parametrize("lengths", [(100, 700, 200), (0, 10, 5), (3, 7, 0)])
def test_equals_transformers_own(
    lengths: tuple[int, int, int], shape: str, theirs_is: str, transformers_rates: Any
) -> None:
    warmup, stable, decay = lengths
    for ratio in (0.0, 0.1):
        theirs = transformers_rates(
            "get_wsd_schedule", sum(lengths) + 20, num_warmup_steps=warmup, num_stable_steps=stable,
            num_decay_steps=decay, min_lr_ratio=ratio, decay_type=theirs_is,
        )  # fmt: skip
        ours = [0.1 * warmup_stable_decay(k, *lengths, ratio, ratio, shape) for k in range(sum(lengths) + 20)]
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


def test_ends() -> None:
    assert warmup_stable_decay(0, 10, 20, 10) == 0.0
    assert warmup_stable_decay(0, 10, 20, 10, start=0.2) == 0.2
    assert warmup_stable_decay(10, 10, 20, 10) == warmup_stable_decay(30, 10, 20, 10) == 1.0
    assert warmup_stable_decay(40, 10, 20, 10, 0.1) == warmup_stable_decay(10**9, 10, 20, 10, 0.1) == 0.1


def test_what_is_refused() -> None:
    for position, name in enumerate(("step", "warmup", "stable", "decay")):
        given = [1, 2, 3, 4]
        given[position] = -1
        with pytest.raises(ValueError, match=f"{name} is -1; it must be 0 or more"):
            warmup_stable_decay(*given)
    with pytest.raises(ValueError, match=r"floor is 1.1; it must be in \[0, 1\]"):
        warmup_stable_decay(1, 2, 3, 4, 1.1)
    with pytest.raises(ValueError, match=r"start is -1.0; it must be in \[0, 1\]"):
        warmup_stable_decay(1, 2, 3, 4, 0.0, -1.0)
    with pytest.raises(ValueError, match="shape is 'sqrt'; it must be one of linear, cosine, square_root"):
        warmup_stable_decay(1, 2, 3, 4, shape="sqrt")
