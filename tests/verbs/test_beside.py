"""Simple methods beside a model: what is kept of them, and how sure the distance to each is."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from fathom.report.intervals import paired_difference
from fathom.task import Evaluation
from fathom.tasks.tabular_regression import score
from fathom.verbs import beside
from fathom.verbs.fit import fit
from fathom.verbs.train import resume, train

DICE = np.random.default_rng(1)
TRUTH = DICE.normal(100, 20, 300)
CLOSE, FAR = TRUTH + DICE.normal(0, 3, 300), TRUTH + DICE.normal(0, 9, 300)


def hits(*wrong: int) -> Evaluation:
    """A classifier's evaluation on 40 rows of which those numbered were missed."""
    right = np.ones(40)
    right[list(wrong)] = 0.0
    return Evaluation({"accuracy": float(right.mean())}, "accuracy", {"accuracy": right})


def test_a_root_of_a_mean_gets_an_interval_over_pairs() -> None:
    ours, theirs = score(TRUTH, CLOSE), score(TRUTH, FAR)
    gap = beside.distance(ours, theirs.items)
    assert gap is not None
    assert gap.estimate == pytest.approx(ours.metrics["rmse"] - theirs.metrics["rmse"], abs=1e-12)
    assert gap.low < gap.estimate < gap.high < 0
    assert beside.verdict(gap, higher_is_better=False) == "better"
    again = beside.distance(theirs, ours.items)
    assert again is not None and beside.verdict(again, higher_is_better=False) == "worse"


def test_a_mean_gets_the_paired_test_of_every_comparison() -> None:
    ours, theirs = hits(3), hits(*range(12))
    gap, known = (
        beside.distance(ours, theirs.items),
        paired_difference(ours.items["accuracy"], theirs.items["accuracy"]),
    )
    assert gap is not None and (gap.low, gap.high) == (known.low, known.high)
    assert beside.verdict(gap, higher_is_better=True) == "better"
    equal = beside.distance(ours, hits(4).items)
    assert beside.verdict(equal, higher_is_better=True) == "no difference shown"


def test_no_distance_where_rows_are_not_the_same() -> None:
    assert beside.distance(hits(), {"accuracy": np.ones(39)}) is None
    assert beside.distance(hits(), {}) is None
    assert beside.verdict(None, higher_is_better=True) == "-"


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    found = {"mean": score(TRUTH, FAR), "a method / with a stroke": score(TRUTH, CLOSE)}
    beside.keep(found, tmp_path)
    kept = beside.kept(tmp_path)
    assert set(kept) == set(found)
    for name, evaluation in found.items():
        for metric, values in evaluation.items.items():
            np.testing.assert_array_equal(kept[name][metric], values)
    assert beside.kept(tmp_path / "elsewhere") == {}
    beside.keep({}, tmp_path / "nowhere")  # nothing to keep, nothing written


def test_a_model_that_a_simple_method_beats_is_told() -> None:
    ours, extra = hits(3, 4, 5), {"baselines": {"mean": {"accuracy": 0.5}, "trees": {"accuracy": 0.95}}}
    said = beside.fallen_short({**extra, "evaluation/valid": ours})
    assert said == (
        "worse than the baseline trees on the validation split, accuracy 0.925 against 0.95: train longer,"
        " with more --time or --set steps=N, or on more data"
    )
    assert beside.fallen_short({**extra, "evaluation/valid": hits(3)}) is None
    assert beside.fallen_short(extra) is None and beside.fallen_short({"evaluation/valid": ours}) is None
    lower = Evaluation({"loss": 2.0}, "loss", higher_is_better=False)
    far, near = {"far": {"loss": 3.0}}, {"near": {"loss": 1.5}, "nearer": {"loss": 1.0}}
    assert beside.fallen_short({"baselines": far, "evaluation/valid": lower}) is None
    said = beside.fallen_short({"baselines": far | near, "evaluation/valid": lower})
    assert said is not None and "baseline nearer on" in said


@pytest.mark.slow
def test_fit_reports_every_method_with_an_interval(tmp_path: Path) -> None:
    """A line that any method finds but the mean: the report says which distances are sure."""
    dice, file = random.Random(0), tmp_path / "homes.csv"
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["area", "rooms", "price"])
        for _ in range(300):
            area, rooms = dice.uniform(30, 200), dice.randint(1, 6)
            writer.writerow([f"{area:.1f}", rooms, f"{1000 * area + 5000 * rooms + dice.gauss(0, 3000):.0f}"])
    told: list[str] = []
    fit(file, target="price", steps=1, out=tmp_path / "short", export=False, say=told.append)
    assert told[-1].startswith("worse than the baseline ridge regression on the validation split, rmse ")
    run = fit(file, target="price", steps=200, out=tmp_path / "run", export=False)
    page = run.report.read_text(encoding="utf-8")
    for method in ("mean", "ridge regression", "nearest neighbours", "random forest", "gradient boosting"):
        assert f">{method}</th>" in page
    assert "difference in rmse" in page
    run.report.unlink()  # a later sitting makes the same table from what was kept
    assert "difference in rmse" in resume(run.folder).report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_recipe_on_a_table_has_them_too(tmp_path: Path) -> None:
    run = train("house_prices", settings=[("steps", "20")], out=tmp_path / "run", export=False)
    page = run.report.read_text(encoding="utf-8")
    assert "difference in rmse" in page and ">gradient boosting</th>" in page
    assert "Beside simple methods" not in train(
        "mlp_mnist", settings=[("steps", "20")], out=tmp_path / "other", export=False
    ).report.read_text(encoding="utf-8")
