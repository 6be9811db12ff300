"""Little time for training: when it is said, and how the seconds are told apart."""

import csv
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fathom.training.budget import LAST, Budget
from fathom.verbs.fit import fit
from fathom.verbs.scarce import warning


def budget(seconds: float, spent: float, scoring: float) -> Budget:
    """One that began ``spent`` seconds ago, of a model that is scored once in ``scoring``."""
    made = Budget(seconds)
    made.began, made.ending = time.monotonic() - spent, 2 * scoring + LAST
    return made


def plan(steps: int, evaluate_every: int | None = None) -> Any:
    return SimpleNamespace(steps=steps, evaluate_every=evaluate_every)


def test_ample_time_is_not_spoken_of() -> None:
    assert warning(budget(100.0, 10.0, 5.0), plan(1000), 700) is None
    assert warning(budget(100.0, 90.0, 5.0), plan(20), 20) is None  # as long as it was to be


@pytest.mark.parametrize(
    ("spent", "scoring", "steps", "said"),
    [
        (
            30.0, 20.0, 99,
            "99 of 1,000 steps fit into 120 s, for which 44 s are left; 30 s went to reading and trying, 40 s"
            " are kept for scoring and 6 s for export and report: give more time, or fix",
        ),
        (30.0, 25.0, 400, "9 s are left; 30 s went to reading and trying, 75 s are kept for scoring"),
        (100.0, 20.0, 1, "for which 0 s are left; 100 s went"),
    ],
)  # fmt: skip
def test_where_the_seconds_go_is_said(spent: float, scoring: float, steps: int, said: str) -> None:
    told = warning(budget(120.0, spent, scoring), plan(1000, 400), steps)
    assert told is not None and said in told
    assert ("scoring takes less with less data" in told) == (scoring != 20 or spent == 100)


@pytest.mark.slow
def test_fit_says_it_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, told = tmp_path / "homes.csv", []
    with file.open("w", newline="") as handle:
        csv.writer(handle).writerows([["area", "price"], *([n, 3 * n + n % 7] for n in range(90))])
    monkeypatch.setattr(Budget, "steps", lambda self, experiment, data, parallel: 2)
    fit(file, target="price", time="60s", out=tmp_path / "run", export=False, say=told.append)
    assert any(line.startswith("little time: 2 of ") for line in told)
