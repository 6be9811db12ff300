"""Scores of sets of labels against scikit-learn and torchmetrics, their intervals against the bootstrap."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

from fathom.errors import InputError
from fathom.report.intervals import bootstrap_mean, bootstrap_statistic
from fathom.report.label_sets import average_precision, f1, hardest_items, label_sections, score_labels

NAMES = tuple("abcd")


def drawn(count: int, seed: int = 0, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that know something of the truth; with ``steps`` many of them are equal."""
    dice = np.random.default_rng(seed)
    truth = (dice.random((count, 4)) < [0.5, 0.2, 0.05, 0.9]).astype(np.float32)
    truth[0] = 1
    scores = 1 / (1 + np.exp(-(2 * truth - 1 + dice.normal(0, 1.5, truth.shape))))
    return (np.round(scores * steps) / steps if steps else scores).astype(np.float32), truth


@pytest.mark.parametrize("steps", [None, 7, 1])
@pytest.mark.parametrize("count", [1, 2, 50, 997])
def test_average_precision_and_f1_are_those_of_others(count: int, steps: int | None) -> None:
    scores, truth = drawn(count, seed=count, steps=steps)
    found = score_labels(scores, truth, NAMES, 0.5)
    for k, name in enumerate(NAMES):
        theirs = average_precision_score(truth[:, k], scores[:, k])
        assert found.detail["average_precision"][name] == pytest.approx(theirs, abs=1e-12)
    said = (scores >= 0.5).astype(int)
    assert found.metrics["f1"] == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
    assert found.metrics["exact"] == (said == truth).all(axis=1).mean()
    preds, target = torch.from_numpy(scores), torch.from_numpy(truth).long()
    theirs = multilabel_average_precision(preds, target, num_labels=4, average="macro")
    assert found.metrics["mean_average_precision"] == pytest.approx(float(theirs), abs=1e-5)
    if 0.5 not in scores:  # torchmetrics says yes above the threshold, we at it too
        theirs = multilabel_f1_score(preds, target, num_labels=4, average="macro")
        assert found.metrics["f1"] == pytest.approx(float(theirs), abs=1e-5)


def test_every_metric_is_the_mean_of_its_items() -> None:
    scores, truth = drawn(300, steps=20)
    found = score_labels(scores, truth, NAMES, 0.3)
    assert set(found.items) == set(found.metrics)
    for name, values in found.items.items():
        assert values.shape == (300,) and values.mean() == pytest.approx(found.metrics[name], abs=1e-12)


@pytest.mark.parametrize("steps", [None, 5])
def test_items_hold_the_slopes_by_the_weight_of_each_item(steps: int | None) -> None:
    """Against central differences of the score with weights, of which scikit-learn's is one."""
    scores, truth = drawn(40, seed=3, steps=steps)
    own, true = scores[:, 0].astype(np.float64), truth[:, 0] > 0.5
    value, z = average_precision(own, true)
    balance, zf = f1(own >= 0.5, true)
    for i in range(40):
        sides, halves = [], []
        for step in (1e-5, -1e-5):
            weight = np.ones(40)
            weight[i] += step
            sides.append(average_precision_score(true, own, sample_weight=weight))
            halves.append(f1_score(true, own >= 0.5, sample_weight=weight))
        assert z[i] == pytest.approx(value + 40 * (sides[0] - sides[1]) / 2e-5, abs=1e-6)
        assert zf[i] == pytest.approx(balance + 40 * (halves[0] - halves[1]) / 2e-5, abs=1e-6)


def test_the_interval_is_near_that_of_the_bootstrap_of_the_score_itself() -> None:
    scores, truth = drawn(400, seed=5)
    cheap = bootstrap_mean(score_labels(scores, truth, NAMES, 0.5).items["mean_average_precision"])

    def score(scores: np.ndarray, truth: np.ndarray) -> float:
        return score_labels(scores, truth, NAMES, 0.5).metrics["mean_average_precision"]

    dear = bootstrap_statistic(score, scores, truth, resamples=400)
    width = dear.high - dear.low
    assert 0.02 < width < 0.3
    assert abs(cheap.low - dear.low) < 0.3 * width and abs(cheap.high - dear.high) < 0.3 * width


def test_a_label_that_nobody_has_is_left_out_and_none_at_all_is_refused() -> None:
    scores, truth = drawn(60)
    truth[:, 2] = 0
    found = score_labels(scores, truth, NAMES, 0.5)
    assert set(found.detail["average_precision"]) == {"a", "b", "d"}
    labels, sure = label_sections(found, NAMES, 0.5)
    table = next(iter(labels.blocks)).html()
    assert [table.count(f">{name}<") for name in NAMES] == [1, 1, 1, 1]
    assert all(block.html() for section in (labels, sure) for block in section.blocks)
    with pytest.raises(InputError, match="no item of this split has a label"):
        score_labels(scores, np.zeros_like(truth), NAMES, 0.5)


def test_hardest_items_come_first() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    scores = np.array([[0.9, 0.1], [0.4, 0.1], [0.1, 0.9], [0.1, 0.6]], np.float32)
    assert hardest_items(score_labels(scores, truth, "ab", 0.5), 5) == [2, 1]
