"""Intervals of a run's metrics."""

import numpy as np
import pytest

from fathom.task import Evaluation
from fathom.verbs.finish import bootstrap


def test_a_share_has_no_interval_beyond_nothing_and_all() -> None:
    """The items of a mean average precision are slopes; their means drawn anew may lie above 1."""
    slopes = np.array([1.6, 1.4, 0.2, 1.5, 0.4, 0.9])
    found = Evaluation(
        metrics={"mean_average_precision": 1.0, "loss": 1.0}, headline="mean_average_precision",
        items={"mean_average_precision": slopes, "loss": slopes},
    )  # fmt: skip
    intervals = bootstrap(found)
    assert intervals["mean_average_precision"] == [pytest.approx(intervals["loss"][0]), 1.0]
    assert intervals["loss"][1] > 1.0
