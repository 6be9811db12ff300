"""The arms of the scaling experiment are those of the rules, and make equally many epochs."""

import re
from typing import Any

import pytest

from fathom import catalog
from fathom.fundamentals.schedules.scaling_rules import linear_scaling, square_root_scaling
from fathom.settings import diff
from fathom.verbs.arms import built

ARMS = catalog.claim("learning_rate_scales_with_batch").claim.arms
FIRST: Any = built(ARMS["x1"])
CHANGED = {"batch_size", "steps", "learning.optimizer.learning_rate", "learning.schedule.peak"}


@pytest.mark.parametrize("name", list(ARMS)[1:])
def test_rate_and_length_follow_from_the_batch(name: str) -> None:
    arm: Any = built(ARMS[name])
    size, _, rule = name[1:].partition("/")
    assert arm.batch_size == int(size) * FIRST.batch_size
    assert abs(arm.steps * arm.batch_size - 3 * 55_000) <= arm.batch_size / 2
    slow, fast = FIRST.learning.optimizer.learning_rate, arm.learning.optimizer.learning_rate
    rates = {
        "linear": linear_scaling(slow, arm.batch_size, FIRST.batch_size),
        "no_warmup": linear_scaling(slow, arm.batch_size, FIRST.batch_size),
        "square_root": square_root_scaling(slow, arm.batch_size, FIRST.batch_size),
        "same_rate": slow,
        "rate_of_x8": linear_scaling(slow, 512, FIRST.batch_size),
    }
    assert fast == pytest.approx(rates[rule], rel=1e-3)
    changed = set(diff(FIRST, arm))
    assert changed <= CHANGED and ("learning.schedule.peak" in changed) == (rule == "no_warmup")


def test_a_warm_up_begins_low_and_without_one_it_begins_at_the_top() -> None:
    for name, arm in ARMS.items():
        start = built(arm).learning.schedule(0.0)  # type: ignore[attr-defined]
        assert start == (1.0 if re.search("no_warmup", name) else pytest.approx(0.04))
