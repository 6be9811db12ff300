"""The arms of the comparison of topologies have one size, and are what the command would take."""

import dataclasses
from typing import Any

import pytest

from fathom import catalog
from fathom.verbs.arms import at_budget, built

BUDGET = 26_000
CLAIM = catalog.claim("topologies_at_one_budget").claim


@pytest.mark.parametrize("name", CLAIM.arms)
def test_arms_are_within_a_hundredth_of_the_budget(name: str) -> None:
    experiment = built(CLAIM.arms[name])
    count = sum(p.numel() for p in experiment.build().parameters())
    assert abs(count - BUDGET) < 0.01 * BUDGET
    recipe, *settings = CLAIM.arms[name]
    assert at_budget(recipe, BUDGET, settings[:-1]) == CLAIM.arms[name]


def test_arms_see_the_same_digits_equally_often() -> None:
    experiments = [built(arm) for arm in CLAIM.arms.values()]
    assert len({type(e.model) for e in experiments}) == 3
    for experiment in experiments[1:]:
        for name in ("data", "batch_size", "steps", "augment", "sampling"):
            assert getattr(experiment, name) == getattr(experiments[0], name)
        assert plain(experiment) == plain(experiments[0])


def plain(experiment: Any) -> Any:
    """The task, but for the shift and scale that each recipe gives its pixels."""
    return dataclasses.replace(experiment.task, mean=(0.0,), deviation=(1.0,))
