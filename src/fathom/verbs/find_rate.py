"""Find a learning rate: the range test of a recipe, which leaves no run folder behind."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fathom.errors import InputError
from fathom.settings import override_all
from fathom.verbs.session import deterministic
from fathom.verbs.train import Setting, describe, rebuild, set_threads

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment
    from fathom.training.rate_range import RangeTest


def find_rate(
    recipe: "str | Experiment",
    *,
    settings: Sequence[Setting] = (),
    seed: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
) -> "RangeTest":
    """Try ``steps`` learning rates from ``lowest`` to ``highest`` on ``recipe``, and suggest one.

    ``recipe``, ``settings`` and ``seed`` are those of ``train``. Weights, optimizer and generators are
    afterwards what they were. Raises ``InputError`` for what cannot be used.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a range test runs in one process; start it without torchrun")
    changes = [*settings, *([("seed", str(seed))] if seed is not None else [])]
    _, origin = describe(recipe, changes)
    set_threads(threads)
    from fathom.training.parallel import join
    from fathom.training.rate_range import range_test

    experiment = rebuild(origin) if isinstance(recipe, str) else override_all(recipe, changes)
    with deterministic(experiment.deterministic):
        return range_test(experiment, lowest=lowest, highest=highest, steps=steps, parallel=join(device))
