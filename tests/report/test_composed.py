"""The reports of a run and of a comparison: everything given is on the page, grouped as promised."""

import math

import pytest

from fathom.errors import InputError
from fathom.report.blocks import Facts, LineChart, Verdict
from fathom.report.compare_report import compare_report
from fathom.report.intervals import Interval
from fathom.report.page import Section
from fathom.report.run_report import curve_charts, curves, readable, run_report, spreads

ROWS = [
    {
        "step": 10,
        "loss": 0.5,
        "grad_norm": 1.2,
        "learning_rate": 0.01,
        "epoch": 1,
        "note": "warm",
        "flag": True,
    },
    {"step": 20, "loss": 0.25, "grad_norm": 1.1, "learning_rate": 0.02, "critic/gap": 3.0},
    {"step": 20, "valid/accuracy": 0.97, "valid/loss": 0.3, "accuracy": 0.99},
    {"step": 30, "valid/accuracy": 0.98, "loss": math.nan, "critic/gap": 4, "test/accuracy": 0.96},
    {"loss": 7.0},
]
CARD = {"title": "LeNet-5", "paper": "https://doi.org/10.1109/5.726791", "year": 1998,
        "summary": "Reads digits.", "differs": ("ReLU, not tanh.",), "exempt": {}}  # fmt: skip


def test_rows_become_curves_by_metric_and_split():
    found = curves(ROWS)
    assert list(found) == ["loss", "accuracy", "critic/gap", "grad_norm", "learning_rate"]
    assert found["loss"]["train"][:2] == [(10, 0.5), (20, 0.25)]
    assert math.isnan(found["loss"]["train"][2][1])
    assert found["loss"]["valid"] == [(20, 0.3)]
    assert found["accuracy"] == {
        "train": [(20, 0.99)],
        "valid": [(20, 0.97), (30, 0.98)],
        "test": [(30, 0.96)],
    }
    assert found["critic/gap"] == {"train": [(20, 3.0), (30, 4)]}


def test_charts_hold_all_splits_and_single_values_become_facts():
    charts = curve_charts(curves([*ROWS, {"step": 30, "test/f1": 0.5}]))
    assert [list(chart.series) for chart in charts if isinstance(chart, LineChart)][:2] == [
        ["train", "valid"],
        ["train", "valid", "test"],
    ]
    assert charts[-1] == Facts({"F1 (test)": 0.5})
    assert curve_charts({}) == []


def test_only_quantities_that_spread_get_a_logarithmic_axis():
    wide = {"train": [(0, 10.0), (1, 0.01)]}
    assert spreads("loss", wide)
    assert spreads("loss", {"train": [(0, 10.0), (1, math.nan), (2, 0.01)]})
    assert not spreads("accuracy", wide)
    assert not spreads("loss", {"train": [(0, math.nan)]})
    assert not spreads("loss", {"train": [(0, 10.0), (1, 0.0)]})
    assert not spreads("loss", {"train": [(0, 1.0), (1, 0.5)]})


def test_run_report_holds_everything(read):
    html = run_report(
        title="LeNet on digits",
        metrics_jsonl=ROWS,
        evaluation_sections=[Section("Mistakes", [Verdict("few", True)])],
        headline=[("accuracy", Interval(0.97, 0.96, 0.98), "test")],
        cost={"wall_seconds": 41.2},
        recipe={"model": {"width": 64}, "steps": 30},
        card=CARD,
        notes=["First note\nin two lines.", "- second"],
        command="fathom train lenet",
    )
    reading = read(html)
    titles = [name.removesuffix("-title") for name in reading.values("section", "id")]
    assert titles == ["notes", "learning-curves", "mistakes", "cost", "recipe", "card"]
    for text in ("First note in two lines.", "0.97", "95%: 0.96 to 0.98", "Wall seconds41.2", "width64",
                 "Reads digits.", "1998", "ReLU, not tanh.", "fathom train lenet",
                 "Learning rate"):  # fmt: skip
        assert text in reading.text
    assert CARD["paper"] in reading.values("a", "href")
    assert "1,998" not in reading.text


def test_a_run_that_recorded_nothing_still_has_a_page(read):
    html = run_report(title="Empty", metrics_jsonl=[], evaluation_sections=[], headline=[], cost={},
                      recipe={}, card={}, notes=[])  # fmt: skip
    assert "Empty" in read(html).text
    assert "section" not in read(html).tags


RUNS = [
    {"name": "a", "metrics": {"accuracy": Interval(0.9, 0.88, 0.92), "loss": 0.3}, "cost": {"seconds": 10},
     "curves": {"valid/loss": [(0, 1.0), (1, 0.5)]}, "recipe": {"width": 8}},
    {"name": "b", "metrics": {"accuracy": Interval(0.95, 0.93, 0.97)}, "cost": {"seconds": 20, "steps": 5},
     "curves": {"valid/loss": [(0, 1.0), (1, 0.4)]}, "recipe": {"width": 16}},
]  # fmt: skip
TEST = {"metric": "accuracy", "a": "a", "b": "b", "difference": -0.05, "low": -0.08, "high": -0.02,
        "p_value": 0.0004, "n": 500, "method": "exact McNemar"}  # fmt: skip


def test_comparison_stands_side_by_side(read):
    reading = read(compare_report(runs=RUNS, differences={"model.width": (8, 16)}, tests=[TEST]))
    assert "a and b compared" in reading.text
    assert "1 setting differs." in reading.text
    for text in ("model.width816", "0.9 [0.88, 0.92]", "Loss0.3\u2013", "Seconds1020", "Steps\u20135",
                 "p < 0.001", "larger than chance explains", "exact McNemar", "Valid loss"):  # fmt: skip
        assert text in reading.text
    assert any(
        "a: 2 points" in label and "b: 2 points" in label for label in reading.values("svg", "aria-label")
    )


def test_an_uncertain_difference_is_called_one(read):
    unsure = {**TEST, "p_value": 0.4}
    reading = read(compare_report(runs=RUNS, differences={}, tests=[unsure]))
    assert "p = 0.4. These data cannot tell the two apart." in reading.text
    assert "equal in every setting" in reading.text


def test_bare_runs_can_be_compared(read):
    assert (
        "No metrics were recorded."
        in read(
            compare_report(runs=[{"name": "x"}, {"name": "y"}, {"name": "z"}], differences={}, tests=[])
        ).text
    )


def test_comparisons_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="two or more"):
        compare_report(runs=RUNS[:1], differences={}, tests=[])
    with pytest.raises(InputError, match="each its own name"):
        compare_report(runs=[RUNS[0], RUNS[0]], differences={}, tests=[])
    with pytest.raises(InputError, match="'width' has 1 values for 2 runs"):
        compare_report(runs=RUNS, differences={"width": (8,)}, tests=[])


def test_names_become_headings():
    assert [readable(name) for name in ("log_loss", "valid/f1", "a")] == ["Log loss", "Valid f1", "A"]
